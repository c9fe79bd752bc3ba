"""Benchmark suites: public data sets split in several ways, outcome routing beside everything else on the same rows."""
