"""The profiles that are attacked, by name; a further one slots in here.

Write a class with the members of ``fingerpost.lab.leakage.views.View`` (and of ``InformedView``, where a theorem speaks
of one who knows all other records), a function from a cohort and a number of a draw (other keys, other noise) to it,
and enter that function in ``VIEWS`` under the profile's name. Audit, page and figures take it from there.
"""

from __future__ import annotations

from collections.abc import Callable

from fingerpost.lab.leakage.counts import codebook_view, counts_view
from fingerpost.lab.leakage.groups import groups_view
from fingerpost.lab.leakage.records import Cohort
from fingerpost.lab.leakage.reports import reports_view
from fingerpost.lab.leakage.views import View, consortium_view, open_view

VIEWS: dict[str, Callable[[Cohort, int], View]] = {
    "open": open_view,
    "consortium": consortium_view,
    "k-anonymous": groups_view,
    "dp-aggregate": counts_view,
    "dp-aggregate-public-codebook": codebook_view,
    "local-dp": reports_view,
}
READ_BY = {
    "open": "everybody",
    "consortium": "holders and outsiders; its members see what open shows",
    "k-anonymous": "everybody who may read its packets",
    "dp-aggregate": "everybody",
    "dp-aggregate-public-codebook": "everybody; cells are prototypes of the public rows",
    "local-dp": "everybody",
}
