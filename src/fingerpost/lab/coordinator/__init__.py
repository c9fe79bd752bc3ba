"""Whom it takes: what is lost, for how long and to whom, when the one in the middle is killed; real processes only."""
