"""Fingerprints: encoded situations as bits whose distance tells how similar two situations are."""

from fingerpost.fingerprint._simhash import Fingerprinter, hamming
from fingerpost.fingerprint._sketch import sketch_values
from fingerpost.fingerprint.cells import cell_of

__all__ = ["Fingerprinter", "cell_of", "hamming", "sketch_values"]
