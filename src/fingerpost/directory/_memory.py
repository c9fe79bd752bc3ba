"""A directory inside one process."""

from __future__ import annotations

from fingerpost.directory.base import HolderRecord
from fingerpost.ids import PublicKey, TemplateId


class MemoryDirectory:
    """A table of holder records; see ``fingerpost.directory.base.Directory``."""

    def __init__(self) -> None:
        self._records: dict[tuple[TemplateId, PublicKey], HolderRecord] = {}

    async def announce(self, record: HolderRecord) -> None:
        """Publish a record, replacing an earlier one of the same key and template."""
        self._records[record.template_id, record.public_key] = record

    async def withdraw(self, record: HolderRecord) -> None:
        """Take a record back."""
        self._records.pop((record.template_id, record.public_key), None)

    async def find(self, template_id: TemplateId) -> tuple[HolderRecord, ...]:
        """Return the holders of a template, ordered by public key."""
        found = [record for record in self._records.values() if record.template_id == template_id]
        return tuple(sorted(found, key=lambda record: record.public_key))

    async def close(self) -> None:
        """Keep the table: other nodes of this process use it too."""
