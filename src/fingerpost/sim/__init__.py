"""Whole networks from one seed: the engine of production on virtual time, with simulated disks, links and liars."""
