"""HTTP, and which addresses may be talked to."""
