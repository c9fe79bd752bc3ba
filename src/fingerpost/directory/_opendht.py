"""A directory without any server: OpenDHT, in a process of its own.

Settings, all of them optional::

    [directory]
    bootstrap = ["192.0.2.7:4222"]    # any node of the network; none for the first one
    bind = "127.0.0.1"                # the address it listens on, and by which family it speaks
    port = 4222                       # UDP; 0 takes a free one
    lan_discovery = false             # find nodes of the network by multicast

Networks do not mix: their DHT nodes have numbers drawn from the network id, and drop each other's messages.

What OpenDHT keeps is signed twice: by the holder, which readers check, and by a key of the writing process, so that it
alone replaces or empties the value. A record withdrawn is gone from the network at once, unless an earlier process
of the node wrote it; then it lasts until its own time is over. A node that hears nothing answers from what it found
last; so it does where a look-up was cut short, and then a record that was withdrawn may show until its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import ipaddress
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fingerpost.directory._opendht_process import Supervisor
from fingerpost.directory._opendht_wire import Announce, Find, Reply, Start, Withdraw
from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.reading import RegionReading, believable
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.refusals import count_refusals
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.limits import DIRECTORY_SECONDS_MAX

ASK_SECONDS_MAX = 6.0
PATIENCE_SECONDS = 3.0  # for a process that is being started, while there is nothing else to answer from
CACHED_REGIONS_MAX = 256
NODES_REMEMBERED_MAX = 32
BOOTSTRAP_MAX = 64
NODES_NAME = "opendht-nodes"


class OpendhtDirectory:
    """Holder records in a distributed hash table; see ``fingerpost.directory.base.Directory``."""

    def __init__(self, options: DirectoryOptions, start: Start) -> None:
        self.refused: dict[str, int] = {}
        self._network_id = options.network_id
        self._clock = options.clock
        self._members = options.members
        self._state = options.state
        self._start = start
        self._port = start.port
        self._salt = secrets.token_bytes(32)
        self._own: dict[tuple[bytes, PublicKey], tuple[Region, HolderRecord]] = {}
        self._cache: dict[bytes, dict[PublicKey, HolderRecord]] = {}
        self._nodes: dict[tuple[str, int], None] = dict.fromkeys(read_nodes(options.state))
        self._supervisor = Supervisor(start=self._next_start, started=self._on_started)
        self._announcing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def endpoint(self) -> str:
        """Return the host and port of this node's part of the table: what others may give as ``bootstrap``."""
        return join_host(self._start.bind, self._port)

    @property
    def process_id(self) -> int | None:
        """Return the id of the OpenDHT process, or None while it is being replaced."""
        return self._supervisor.pid

    @property
    def restarts(self) -> int:
        """Return how often the process has been replaced."""
        return self._supervisor.restarts

    @property
    def nodes_met(self) -> tuple[str, ...]:
        """Return hosts and ports of nodes that answered look-ups: ways back into the network, the last one last."""
        return tuple(join_host(*node) for node in self._nodes)

    async def open(self) -> None:
        """Start the process. Raises ``NetworkError`` (``directory-unavailable``)."""
        await self._supervisor.open()

    async def announce(self, region: Region, record: HolderRecord) -> None:
        """Publish a record and keep it published until it expires, over every restart of the process."""
        self._require_open()
        believable(record, region, network_id=self._network_id, now=self._clock.now())
        key = region.key(self._network_id)
        held = self._own.get((key, record.public_key))
        if held is not None and held[1].issued_at > record.issued_at:
            return
        self._own[key, record.public_key] = region, record
        await self._publish(key, record)

    async def withdraw(self, region: Region, record: HolderRecord) -> None:
        """Publish the holder's record no more, and have it overwritten where it is kept."""
        self._require_open()
        key = region.key(self._network_id)
        held = self._own.pop((key, record.public_key), None)
        self._cache.get(key, {}).pop(record.public_key, None)
        if held is not None:
            await self._supervisor.ask(
                Withdraw(key, record.public_key), seconds=ASK_SECONDS_MAX, patience=PATIENCE_SECONDS
            )

    async def find(self, region: Region) -> tuple[HolderRecord, ...]:
        """Return the valid records of a region, ordered by public key."""
        self._require_open()
        key, now = region.key(self._network_id), self._clock.now()
        cached = self._cache.get(key, {})
        known: list[bytes] = [*self._members.union(cached)]
        request = Find(self._network_id, region.template_id, region.depth, region.prefix, now, known)
        try:
            reply = await self._supervisor.ask(
                request, seconds=ASK_SECONDS_MAX, patience=0.01 if cached else PATIENCE_SECONDS
            )
        except NetworkError:
            reply = Reply(0)
        self._require_open()
        self._note(reply)
        cached = self._cache.get(key, {})  # another call may have found more in the meantime
        now = self._clock.now()
        reading = RegionReading(
            region,
            network_id=self._network_id,
            now=now,
            salt=self._salt,
            known=self._members.union(cached),
            verified={encode_record(record): record for record in cached.values()},
        )
        for encoded in reply.records:
            reading.add(encoded)
        for place, (_region, record) in self._own.items():
            if place[0] == key:
                reading.add_record(record)
        if not reply.complete:
            for record in cached.values():
                if record.is_live(now):
                    reading.add_record(record)
        found = reading.records()
        self._keep(key, found)
        return found

    async def close(self) -> None:
        """Let the process leave the network, within seconds, and end it."""
        if not self._closed:
            self._closed = True
            for task in self._announcing:
                task.cancel()
            await asyncio.gather(*self._announcing, return_exceptions=True)
            await self._supervisor.close()
            write_nodes(self._state, self._nodes)

    async def _publish(self, key: bytes, record: HolderRecord) -> None:
        request = Announce(key, record.public_key, encode_record(record))
        await self._supervisor.ask(request, seconds=ASK_SECONDS_MAX, patience=PATIENCE_SECONDS)

    def _next_start(self) -> Start:
        """Join through whoever was met before, too: the first node of a network knows nobody else."""
        known = [*self._start.bootstrap, *(node for node in self._nodes if node not in self._start.bootstrap)]
        return Start(
            self._start.network, self._start.bind, self._port, known[:BOOTSTRAP_MAX], self._start.lan_discovery
        )

    def _on_started(self, reply: Reply) -> None:
        self._port = reply.port
        if self._own:
            task = asyncio.get_running_loop().create_task(self._announce_all())
            self._announcing.add(task)
            task.add_done_callback(self._announcing.discard)

    async def _announce_all(self) -> None:
        now = self._clock.now()
        for (key, public_key), (_region, record) in list(self._own.items()):
            if not record.is_live(now):
                self._own.pop((key, public_key), None)
            elif (key, public_key) in self._own:
                with contextlib.suppress(NetworkError):
                    await self._publish(key, record)

    def _note(self, reply: Reply) -> None:
        for reason, count in reply.refused.items():
            count_refusals(self.refused, reason, count)
        before_reply = set(self._nodes)
        for text in reply.nodes:
            with contextlib.suppress(ValueError):
                node = split_host(text)
                self._nodes.pop(node, None)
                self._nodes[node] = None
        while len(self._nodes) > NODES_REMEMBERED_MAX:
            del self._nodes[next(iter(self._nodes))]
        if self._nodes.keys() != before_reply:  # now: a node that is killed comes to write nothing
            write_nodes(self._state, self._nodes)

    def _keep(self, key: bytes, found: Iterable[HolderRecord]) -> None:
        self._cache.pop(key, None)
        self._cache[key] = {record.public_key: record for record in found}
        while len(self._cache) > CACHED_REGIONS_MAX:
            del self._cache[next(iter(self._cache))]

    def _require_open(self) -> None:
        if self._closed:
            raise NetworkError("directory-closed", "this directory was closed")


async def open_directory(options: DirectoryOptions) -> OpendhtDirectory:
    """Open the directory; see the head of this module for its settings."""
    if importlib.util.find_spec("opendht") is None:
        raise NetworkError(
            "directory-unavailable",
            "OpenDHT is not installed: there is a wheel for Linux with glibc 2.34 and later",
            hint="use the static directory, which lists the peers in the configuration",
        )
    directory = OpendhtDirectory(options, read_settings(options))
    await directory.open()
    return directory


def read_settings(options: DirectoryOptions) -> Start:
    """Read the settings. Raises ``NetworkError`` (``directory-settings``) naming the one that is wrong."""
    known = {"bootstrap", "bind", "port", "lan_discovery"}
    for name in options.settings:
        if name not in known:
            raise _wrong(f"the opendht directory knows no setting {name!r}", f"it has {', '.join(sorted(known))}")
    bind = options.settings.get("bind", "127.0.0.1")
    try:
        bind = str(ipaddress.ip_address(bind)) if isinstance(bind, str) else ""
    except ValueError:
        bind = ""
    if not bind:
        raise _wrong(f"bind is {options.settings['bind']!r}", "it is an IP address of this machine, or 0.0.0.0 for all")
    port = options.settings.get("port", 0)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port < 1 << 16:
        raise _wrong(f"port is {port!r}", "it is a UDP port, or 0 for a free one")
    lan_discovery = options.settings.get("lan_discovery", False)
    if not isinstance(lan_discovery, bool):
        raise _wrong(f"lan_discovery is {lan_discovery!r}", "it is true or false")
    texts = options.settings.get("bootstrap", [])
    if not isinstance(texts, list | tuple) or len(texts) > BOOTSTRAP_MAX:
        raise _wrong("bootstrap is no short list", f"it has at most {BOOTSTRAP_MAX} texts like '192.0.2.7:4222'")
    return Start(network_number(options.network_id), bind, port, [_read_node(text) for text in texts], lan_discovery)


def network_number(network_id: str) -> int:
    """Return the number by which OpenDHT tells this network from others; 0 would be the public one."""
    return int.from_bytes(hashlib.blake2s(network_id.encode(), person=b"fpdht").digest()[:4], "big") or 1


def split_host(text: str) -> tuple[str, int]:
    """Return the host and port of ``host:port`` or ``[address]:port``. Raises ``ValueError``."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not host or len(host) > 255 or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("no host and port")
    return host, int(port)


def join_host(host: str, port: int) -> str:
    """Return ``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_nodes(state: Path | None) -> list[tuple[str, int]]:
    """Return the nodes met before, the last one last; what cannot be read is left out."""
    nodes = []
    if state is not None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in (state / NODES_NAME).read_text(encoding="ascii").splitlines()[:NODES_REMEMBERED_MAX]:
                with contextlib.suppress(ValueError):
                    nodes.append(split_host(line))
    return nodes


def write_nodes(state: Path | None, nodes: Iterable[tuple[str, int]]) -> None:
    """Keep the nodes met, as a way back into the network; that this fails is no reason to stop anything."""
    if state is not None:
        with contextlib.suppress(OSError):
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = state / f"{NODES_NAME}.new"
            new.write_text("".join(f"{join_host(*node)}\n" for node in nodes), encoding="ascii")
            os.replace(new, state / NODES_NAME)


def _read_node(text: Any) -> tuple[str, int]:
    try:
        return split_host(text)
    except (AttributeError, ValueError):
        raise _wrong(f"bootstrap has {str(text)[:80]!r}", "each is a text like '192.0.2.7:4222'") from None


def _wrong(message: str, hint: str) -> NetworkError:
    return NetworkError("directory-settings", message, hint=hint)


if not PATIENCE_SECONDS + ASK_SECONDS_MAX < DIRECTORY_SECONDS_MAX:
    raise AssertionError("every call returns in time")
