"""The user's settings, keys and tables on the disk."""
