"""Learn from each other's outcomes: packets, fingerprints, routing, synthesis."""

__version__ = "0.1.0"
