"""Conformance kits that a stranger can run on a backend of their own."""
