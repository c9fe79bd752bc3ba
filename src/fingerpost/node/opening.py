"""Opening the parts of a node: its template, its identity and its store."""

from __future__ import annotations

from pathlib import Path

from fingerpost.files import load_template
from fingerpost.node.home import Home
from fingerpost.node.identity import KEY_SIZE_BYTES, create_identity, load_identity
from fingerpost.packet import Signer
from fingerpost.ports import Entropy, day_of
from fingerpost.store.base import PacketStore
from fingerpost.template import Template

TEMPLATES_TABLE = "templates"


def read_template(template: Template | str | Path) -> Template:
    """Return the template itself, or the one in the file at this path. Raises ``TemplateError``."""
    return template if isinstance(template, Template) else load_template(Path(template))


def open_signer(home: Path | None, *, entropy: Entropy, now: float) -> Signer:
    """Return the identity of ``home``, made there if it has none yet; without a home a passing one.

    Raises ``KeyFileError``.
    """
    if home is None:
        return Signer(entropy.read(KEY_SIZE_BYTES))
    place = Home(home)
    if not place.key_file.exists() and not (place.keys / "records").exists():
        return create_identity(place, entropy=entropy, day=day_of(now)).signer
    return load_identity(place).signer


def open_store(home: Path | None, *, template: Template) -> PacketStore:
    """Open the store of ``home`` and keep the template's bytes in it; without a home a store in memory.

    Raises ``StoreError``.
    """
    store: PacketStore
    if home is None:
        from fingerpost.store._memory import MemoryStore

        store = MemoryStore()
    else:
        from fingerpost.store._lmdb import LmdbStore

        store = LmdbStore(Home(home).store)
    store.put_record(TEMPLATES_TABLE, template.template_id, template.canonical)
    return store
