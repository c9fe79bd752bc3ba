"""The patients of the demo: four hospitals, 920 rows, one question (source and licence: ``heart.README.md``)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from fingerpost.packet import Profile
from fingerpost.template import Template, parse_template

HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "Long Beach")
HOSPITAL_COLUMN = "hospital"
OUTCOME_COLUMN = "disease"
DISEASED = "yes"
CELL_BITS = 5  # of profiles that count: 32 cells, what assessments use too, fixed before anything was scored
CITATION = "UCI Heart Disease (Janosi, Steinbrunn, Pfisterer, Detrano, 1988), CC BY 4.0, doi:10.24432/C52P4X"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One row: what was found on examination (cells as text, ``None`` where nothing was recorded), and the outcome."""

    hospital: str
    situation: dict[str, str | None]
    outcome: str


def load_patients() -> list[Patient]:
    """Return all 920 patients in the order of the table."""
    text = files(__package__).joinpath("heart.csv").read_text(encoding="utf-8")
    patients = []
    for row in csv.DictReader(text.splitlines()):
        hospital, outcome = row.pop(HOSPITAL_COLUMN), row.pop(OUTCOME_COLUMN)
        situation = {name: cell or None for name, cell in row.items()}
        patients.append(Patient(hospital=hospital, situation=situation, outcome=outcome))
    return patients


def load_heart_template(profile: Profile = Profile.OPEN) -> Template:
    """Return the template that the four hospitals share, under a profile.

    Fingerprints are the same under each; a sketch leaves only where packets tell of one patient each. Counts are those
    of ``CELL_BITS`` data-free cells.
    """
    text = files(__package__).joinpath("heart.toml").read_text(encoding="utf-8")
    template = parse_template(text, source="heart.toml")
    if profile in {Profile.OPEN, Profile.CONSORTIUM}:
        return replace(template, profile=profile)
    cell_bits = 0 if profile is Profile.K_ANONYMOUS else CELL_BITS
    return replace(template, profile=profile, sketch=False, cell_bits=cell_bits)


def columns_of(patients: Sequence[Patient]) -> dict[str, list[str | None]]:
    """Return the situations of patients as columns."""
    return {name: [patient.situation[name] for patient in patients] for name in patients[0].situation}


def row_bytes(patient: Patient) -> int:
    """Return the bytes of a patient's row in a CSV file, without the hospital."""
    cells = [cell or "" for cell in patient.situation.values()]
    return len(",".join([*cells, patient.outcome]).encode()) + 1
