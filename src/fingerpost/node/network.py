"""How a node reaches others: which carrier moves its frames, and which directory finds their holders."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

from fingerpost.carrier._memory import MemorySwitch
from fingerpost.carrier.base import Carrier, CarrierFactory, CarrierOptions, ChannelIdentity
from fingerpost.directory._memory import MemoryBoard, MemoryDirectory
from fingerpost.directory.base import Directory, DirectoryFactory, DirectoryOptions
from fingerpost.errors import UsageError
from fingerpost.ids import PublicKey
from fingerpost.node.roster import OpenAdmission, Roster
from fingerpost.packet import Signer
from fingerpost.ports import Clock, day_of
from fingerpost.system import SystemClock

CARRIERS_GROUP, DIRECTORIES_GROUP = "fingerpost.carriers", "fingerpost.directories"
_BUILT_IN = {
    CARRIERS_GROUP: {
        "flight": "fingerpost.carrier._flight:open_flight_carrier",
        "grpc": "fingerpost.carrier._grpc:open_grpc_carrier",
        "nats": "fingerpost.carrier._nats:open_nats_carrier",
        "zeromq": "fingerpost.carrier._zeromq:open_zeromq",
        "zeromq-unencrypted": "fingerpost.carrier._zeromq:open_zeromq_unencrypted",
    },
    DIRECTORIES_GROUP: {
        "nats": "fingerpost.directory._nats:open_directory",
        "opendht": "fingerpost.directory._opendht:open_directory",
        "static": "fingerpost.directory._static:open_directory",
    },
}
_EXTRAS = ("grpc", "nats")


_SHOW_CELLS = {"flight"}


class ShownCells(Protocol):
    """Cells as Arrow tables; see ``fingerpost.node.tables.CellTables``."""

    def tickets(self) -> list[bytes]:
        """Return the names of the cells."""
        ...

    def read(self, ticket: bytes) -> Any:
        """Return the table of a cell. Raises ``LookupError``."""
        ...


class Reach(Protocol):
    """What a node needs of a network: ``MemoryNetwork`` inside one process, ``Network`` between processes."""

    @property
    def network_id(self) -> str:
        """The name that its nodes share; frames and records of other networks do not count."""
        ...

    @property
    def carrier_name(self) -> str:
        """The name of the carrier, as it stands in holder records."""
        ...

    @property
    def roster(self) -> Roster:
        """The members, and what is known of their keys."""
        ...

    def admits(self, public_key: PublicKey) -> bool:
        """Say whether a node with this key may take part today."""
        ...

    def organisation(self, public_key: PublicKey) -> str:
        """Return whose node this is, as far as the network says; no two nodes of one hold the same packets."""
        ...

    async def open_carrier(self, identity: ChannelIdentity, *, cells: ShownCells | None = None) -> Carrier:
        """Start to move frames; a carrier that can shows these ``cells`` to members. Raises ``NetworkError``."""
        ...

    async def open_directory(self, *, clock: Clock, state: Path | None) -> Directory:
        """Start to find holders. Raises ``NetworkError``."""
        ...


class MemoryNetwork:
    """A network inside one process: nodes opened on it find each other and exchange packets."""

    network_id = "memory"
    carrier_name = "memory"

    def __init__(self) -> None:
        self.roster = Roster(members=None)
        self._board = MemoryBoard()
        self._switch = MemorySwitch()

    def admits(self, public_key: PublicKey) -> bool:
        """Everybody in this process may take part."""
        return bool(public_key)

    def organisation(self, public_key: PublicKey) -> str:
        """Nobody belongs together."""
        del public_key
        return ""

    async def open_carrier(self, identity: ChannelIdentity, *, cells: ShownCells | None = None) -> Carrier:
        """Open an endpoint of this process; it shows no cells."""
        del cells
        listen = "127.0.0.1:0"
        return await self._switch(
            CarrierOptions(identity=identity, network_id=self.network_id, listen=listen, admits=self.admits)
        )

    async def open_directory(self, *, clock: Clock, state: Path | None) -> Directory:
        """Open the board of this network; it keeps no files."""
        del state
        return MemoryDirectory(self._board, network_id=self.network_id, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network between processes and machines.

    ``members`` are the public keys (32 bytes) of the nodes that may take part; an empty set refuses everybody.
    ``OpenAdmission`` admits everybody, with a quota and a quarantine for emitters that nobody named. None admits
    everybody, unguarded: anyone who can reach this node may crowd out others, so it is for tests and demos. ``listen``
    is a host and port; port 0 picks a free one. Settings are those of the backends, by name.

    ``organisations`` says, by public key, which nodes belong together: no two of them hold the same packets for others,
    so that one organisation's failure or malice costs one copy at most. What a node says of its own organisation does
    not count. ``records`` are the bytes of signed successions and revocations: ``fingerpost.node.roster`` says what
    they do. ``clock`` tells which day it is.

    Raises what ``Roster`` raises.
    """

    network_id: str
    members: frozenset[bytes] | OpenAdmission | None
    listen: str = "127.0.0.1:0"
    carrier_name: str = "zeromq"
    directory_name: str = "opendht"
    carrier_settings: Mapping[str, Any] = field(default_factory=dict)
    directory_settings: Mapping[str, Any] = field(default_factory=dict)
    organisations: Mapping[bytes, str] = field(default_factory=dict)
    records: tuple[bytes, ...] = ()
    clock: Clock = field(default_factory=SystemClock)
    roster: Roster = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the records."""
        roster = Roster(members=self.members, organisations=self.organisations, records=self.records)
        object.__setattr__(self, "roster", roster)

    def admits(self, public_key: PublicKey) -> bool:
        """Say whether a node with this key may take part today."""
        return self.roster.admits(public_key, day=day_of(self.clock.now()))

    def organisation(self, public_key: PublicKey) -> str:
        """Return whose node this is, "" for nobody's."""
        return self.roster.organisation(public_key)

    async def open_carrier(self, identity: ChannelIdentity, *, cells: ShownCells | None = None) -> Carrier:
        """Open the carrier of this name.

        Raises ``UsageError`` (``backend-unknown``, ``backend-not-installed``) and what the carrier raises.
        """
        shown: Mapping[str, Any] = {}
        if cells is not None and self.carrier_name in _SHOW_CELLS:
            shown = {"read_cell": cells.read, "list_cells": cells.tickets}
        factory = cast("CarrierFactory", _backend(CARRIERS_GROUP, self.carrier_name))
        return await factory(
            CarrierOptions(
                identity=identity,
                network_id=self.network_id,
                listen=self.listen,
                admits=self.admits,
                settings={**shown, **self.carrier_settings},
            )
        )

    async def open_directory(self, *, clock: Clock, state: Path | None) -> Directory:
        """Open the directory of this name. Raises as ``open_carrier`` does."""
        factory = cast("DirectoryFactory", _backend(DIRECTORIES_GROUP, self.directory_name))
        options = DirectoryOptions(
            network_id=self.network_id,
            clock=clock,
            state=state,
            members=self.roster.keys,
            settings=self.directory_settings,
        )
        return await factory(options)


class SignerIdentity:
    """The identity of a node as carriers see it."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def public_key(self) -> PublicKey:
        """The Ed25519 public key."""
        return PublicKey(self._signer.public_key)

    def sign(self, statement: bytes) -> bytes:
        """Return the signature of a statement."""
        return self._signer.sign(statement)

    def channel_secret(self, label: bytes) -> bytes:
        """Return 32 secret bytes for one use."""
        return self._signer.derived_secret(label)


def _backend(group: str, name: str) -> Callable[..., Any]:
    built_in = _BUILT_IN[group].get(name)
    if built_in is not None:
        module, _, function = built_in.partition(":")
        try:
            return cast("Callable[..., Any]", getattr(importlib.import_module(module), function))
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("fingerpost"):
                raise
            raise UsageError(
                "backend-not-installed",
                f"{group} has {name!r}, but the package it needs is not installed: {error.name}",
                hint=f"pip install 'fingerpost[{name}]'" if name in _EXTRAS else "pip install --upgrade fingerpost",
            ) from None
    found = {point.name: point for point in entry_points(group=group)}
    if name not in found:
        known = ", ".join(sorted({*_BUILT_IN[group], *found}))
        raise UsageError("backend-unknown", f"{group} has no backend {name!r}", hint=f"there are: {known}")
    return cast("Callable[..., Any]", found[name].load())
