"""Faces: found, turned upright, restored by a model, and put back."""
