"""Listeners and workers on many machines: what they share, and how turns reach them."""
