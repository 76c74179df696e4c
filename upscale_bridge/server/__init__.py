"""A host that speaks the vendors' wire formats, backed by the local engine."""
