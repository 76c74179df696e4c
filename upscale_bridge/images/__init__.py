"""Pictures and their files: formats, depth, metadata, sizes."""
