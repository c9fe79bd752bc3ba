"""Federated learning as an opponent: the same rows, the same splits, its own best known rules."""
