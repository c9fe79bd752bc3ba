"""The port that finds the holders of a template's packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fingerpost.ids import PublicKey, TemplateId


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRecord:
    """Where a holder can be reached, and for which template it keeps packets."""

    template_id: TemplateId
    public_key: PublicKey
    endpoint: str


class Directory(Protocol):
    """Finds who may hold the packets of a template. It discovers; it never decides what is safe.

    What a directory promises: a record announced is found by every later ``find`` on a connected directory until it
    is withdrawn. What it does not promise: that the holder still lives, or that the record is true; whoever talks to a
    holder checks the packets it gets.
    """

    async def announce(self, record: HolderRecord) -> None:
        """Publish a record; announcing the same key and template again replaces the earlier one."""
        ...

    async def withdraw(self, record: HolderRecord) -> None:
        """Take a record back; withdrawing one that is not there is harmless."""
        ...

    async def find(self, template_id: TemplateId) -> tuple[HolderRecord, ...]:
        """Return the holders of a template, ordered by public key."""
        ...

    async def close(self) -> None:
        """Stop; calling it twice is harmless."""
        ...
