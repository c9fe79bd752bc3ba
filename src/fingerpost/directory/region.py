"""Regions: how the holders of a template are spread over a directory, so that no look-up grows with the network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fingerpost.errors import UsageError
from fingerpost.ids import TemplateId
from fingerpost.limits import NETWORK_ID_LENGTH_MAX, REGION_DEPTH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One place of a directory: the holders of a template whose node ids start with ``depth`` bits of ``prefix``."""

    template_id: TemplateId
    depth: int = 0
    prefix: int = 0

    def child(self, bit: int) -> Region:
        """Return the half of this region whose ids have ``bit`` next."""
        return Region(template_id=self.template_id, depth=self.depth + 1, prefix=2 * self.prefix + bit)

    def covers(self, leading: int) -> bool:
        """Say whether ids that start with the 32 bits ``leading`` fall into this region."""
        return leading >> (32 - self.depth) == self.prefix

    def key(self, network_id: str) -> bytes:
        """Return the 32 bytes under which a network keeps this region."""
        if not 0 <= self.depth <= REGION_DEPTH_MAX or not 0 <= self.prefix < 1 << self.depth:
            raise UsageError("region-invalid", f"no region has depth {self.depth} and prefix {self.prefix}")
        if not 0 < len(network_id) <= NETWORK_ID_LENGTH_MAX:
            raise UsageError("network-id-length", f"a network id has 1 to {NETWORK_ID_LENGTH_MAX} characters")
        parts = (network_id.encode(), b"\0", self.template_id, bytes([self.depth]), self.prefix.to_bytes(4, "big"))
        return hashlib.blake2s(b"".join(parts), person=b"fpregion").digest()


def region_at(template_id: TemplateId, leading: int, *, depth: int) -> Region:
    """Return the region of ``depth`` that ids with the first 32 bits ``leading`` fall into."""
    return Region(template_id=template_id, depth=depth, prefix=leading >> (32 - depth))
