"""Synthesis: from packets to an answer with its evidence."""
