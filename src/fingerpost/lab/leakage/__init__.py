"""Attacks on what leaves a node: packets and counts of ours, gradients of federated learning, on the same records."""
