"""A million holders and where groups of cells are placed among them: regions of at most 200 ids, rendezvous hashing."""

from __future__ import annotations

import hashlib

import numpy as np

from fingerpost.directory.region import Region, region_at
from fingerpost.directory.regions import group_leading
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import REGION_RECORDS_SPLIT, REPLICAS
from fingerpost.node.placement import group_key, rank


class Town:
    """So many holders, by id, in the regions that they settle into: divided where more than 200 stand."""

    def __init__(self, nodes: int, *, seed: int) -> None:
        keys = [PublicKey(hashlib.blake2s(b"%d %d" % (seed, number)).digest()) for number in range(nodes)]
        leading = np.array([int.from_bytes(node_id(key)[:4], "big") for key in keys], np.uint32)
        self._order = np.argsort(leading, kind="stable")
        self._leading = leading[self._order]
        self._keys = keys

    def home(self, template_id: TemplateId, group: int) -> Region:
        """Return the region among whose holders a group is placed."""
        toward, depth = group_leading(template_id, group), 0
        while self.count(region_at(template_id, toward, depth=depth)) > REGION_RECORDS_SPLIT:
            depth += 1
        return region_at(template_id, toward, depth=depth)

    def holders(self, template_id: TemplateId, group: int) -> list[int]:
        """Return the numbers of the holders of a group."""
        members = {self._keys[number]: int(number) for number in self._members(self.home(template_id, group))}
        return [members[key] for key in rank(group_key(template_id, group), members)[:REPLICAS]]

    def count(self, region: Region) -> int:
        """Return how many holders' ids fall into a region."""
        return len(self._members(region))

    def _members(self, region: Region) -> np.ndarray:
        first = region.prefix << (32 - region.depth)
        last = first + (1 << (32 - region.depth)) - 1
        low, high = np.searchsorted(self._leading, first), np.searchsorted(self._leading, last, side="right")
        return self._order[low:high]
