"""Fingerprints: encoded situations as bits whose distance tells how similar two situations are."""

from fingerpost.fingerprint._simhash import Fingerprinter, hamming
from fingerpost.fingerprint._sketch import sketch_values
from fingerpost.fingerprint.cells import cell_of, group_of, likely_cells, probe_groups, probes

__all__ = ["Fingerprinter", "cell_of", "group_of", "hamming", "likely_cells", "probe_groups", "probes", "sketch_values"]
