"""Print what the fingerprint of the demo's template was chosen by: ``python tools/heart_fingerprint.py``.

For every three hospitals (the fourth, the newcomer, is not looked at) each packet's outcome is forecast from all other
packets. Printed is the mean log-loss over the four threes. The smallest one was chosen, once.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from fingerpost.fingerprint import Fingerprinter, sketch_values
from fingerpost.lab.heart import DISEASED, HOSPITALS, columns_of, load_patients
from fingerpost.synthesis import Evidence, fit
from fingerpost.template import encode_table, parse_template

CHOICES = ((256, False), (512, False), (1024, False), (256, True))


def left_out_loss(bits: int, *, sketch: bool) -> float:
    """Return the mean leave-one-out log-loss with this fingerprint, in nats."""
    text = files("fingerpost.lab").joinpath("heart.toml").read_text(encoding="utf-8")
    text = text.replace("bits = 256", f"bits = {bits}").replace("sketch = true", f"sketch = {str(sketch).lower()}")
    template, patients = parse_template(text), load_patients()
    encoded, _ = encode_table(template, columns_of(patients), rows=len(patients))
    fingerprinter = Fingerprinter(template)
    losses = []
    for newcomer in HOSPITALS:
        rows = np.flatnonzero([patient.hospital != newcomer for patient in patients])
        evidence = Evidence.from_arrays(
            fingerprints=fingerprinter.fingerprints(encoded[rows]),
            sketches=fingerprinter.sketches(encoded[rows]) if sketch else None,
            codes=[patients[row].outcome == DISEASED for row in rows],
            levels=2,
        )
        coordinates = None if evidence.sketches is None else sketch_values(evidence.sketches)
        fitted = fit(evidence, sketches=coordinates)
        probabilities = fitted.estimate(fitted.residuals.predicted)
        losses.append(-np.log((probabilities * fitted.residuals.observed).sum(axis=1)).mean())
    return float(np.mean(losses))


if __name__ == "__main__":
    for bits, sketch in CHOICES:
        print(f"{bits:5} bits{' and a sketch' if sketch else '':13}  {left_out_loss(bits, sketch=sketch):.3f}")
