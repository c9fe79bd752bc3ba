"""Regions that divide at fifteen members instead of two hundred, so that a few dozen nodes are a large network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

from fingerpost.directory import regions
from fingerpost.node import finding

NODES = 30
GROUP_MEMBERS_MIN = 5


@contextlib.contextmanager
def small_regions() -> Iterator[None]:
    """Let regions divide early for as long as the context lasts."""
    bounds = {
        "REGION_RECORDS_SPLIT": 14,
        "SIGNPOSTS": 12,
        "MERGE_MEMBERS": 2,
        "EVIDENCE_MIN": 1,
        "GROUP_MEMBERS_MIN": GROUP_MEMBERS_MIN,
    }
    with contextlib.ExitStack() as stack:
        for name, value in bounds.items():
            stack.enter_context(patch.object(regions, name, value))
        stack.enter_context(patch.object(finding, "GROUP_MEMBERS_MIN", GROUP_MEMBERS_MIN))
        yield
