"""One node: ``engine`` decides without I/O, ``runtime`` owns time, files and frames."""
