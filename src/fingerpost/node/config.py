"""The configuration of a long-running node: a TOML file that becomes one valid value, or an error that names the key.

::

    home = "~/.fingerpost"             # left out: --home, $FINGERPOST_HOME or ~/.fingerpost
    template = "template.toml"         # paths count from the folder of this file

    [network]
    id = "hospitals"
    listen = "127.0.0.1:0"             # where other nodes reach this one
    members = [                        # who may take part, this node included
        "64 hex digits",
        { public_key = "64 hex digits", organisation = "St. Mary" },
    ]
    # open = true                      # anybody, with a quota and a quarantine; only members listed are free of both
    # open = { quota_packets = 10_000, quarantine_days = 1 }
    records = ["north.record"]         # signed successions and revocations, from keys/records of a home
    follow = true                      # keep the whole template, not only this node's share

    [carrier]
    name = "zeromq"                    # its own settings stand beside the name

    [directory]
    name = "opendht"                   # likewise
    port = 4222
    bootstrap = ["192.0.2.7:4222"]

    [control]
    listen = "127.0.0.1:0"             # loopback only
    metrics = true

    [log]
    level = "info"
"""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fingerpost.errors import ConfigError, UsageError
from fingerpost.ids import PublicKey
from fingerpost.limits import NETWORK_ID_LENGTH_MAX
from fingerpost.node.network import Network
from fingerpost.node.roster import OpenAdmission

CONFIG_SIZE_BYTES_MAX = 1_048_576
MEMBERS_MAX = 65_536
ORGANISATION_LENGTH_MAX = 256
KEY_SIZE_BYTES = 32
RECORD_SIZE_BYTES_READ = 4_096  # more than any record has: what is longer is refused as none
LOG_LEVELS = ("debug", "info", "warning", "error")
LISTEN_DEFAULT = "127.0.0.1:0"

_KEYS = {
    "": ("home", "template", "network", "carrier", "directory", "control", "log"),
    "network": ("id", "listen", "members", "open", "records", "follow"),
    "control": ("listen", "metrics"),
    "log": ("level",),
}
_MEMBER_KEYS = ("public_key", "organisation")
_OPEN_KEYS = ("quota_packets", "quarantine_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node that may take part; the ``organisation`` that runs it is empty where nobody says.

    No two nodes of one organisation hold the same packets for others.
    """

    public_key: PublicKey
    organisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What ``fingerpost node run`` is told.

    ``home`` is None where the file leaves it open. ``admission`` has the bounds of an open network, in which
    ``members`` are those without bounds; elsewhere it is None. ``records`` are files of signed successions and
    revocations. ``control_listen`` is a
    loopback address and a port, 0 for a free one. ``source`` is what errors call the configuration.
    """

    source: str
    home: Path | None
    template: Path
    network_id: str
    listen: str
    members: tuple[Member, ...]
    follow: bool
    carrier_name: str
    carrier_settings: Mapping[str, Any]
    directory_name: str
    directory_settings: Mapping[str, Any]
    control_listen: tuple[str, int]
    metrics: bool
    log_level: str
    records: tuple[Path, ...] = ()
    admission: OpenAdmission | None = None

    def network(self) -> Network:
        """Return the network that the node joins. Raises ``ConfigError`` for records that cannot be read, and what
        ``Network`` raises.
        """
        return Network(
            network_id=self.network_id,
            members=self.admission or frozenset(each.public_key for each in self.members),
            listen=self.listen,
            carrier_name=self.carrier_name,
            directory_name=self.directory_name,
            carrier_settings=self.carrier_settings,
            directory_settings=self.directory_settings,
            organisations={m.public_key: m.organisation for m in self.members if m.organisation},
            records=tuple(map(_record, self.records)),
        )

    def organisation_of(self, public_key: PublicKey) -> str:
        """Return the name that the configuration gives to whoever runs a node, or nothing."""
        return next((m.organisation for m in self.members if m.public_key == public_key), "")


def load_config(path: Path) -> NodeConfig:
    """Read a configuration file. Raises ``ConfigError``, naming the file and the key."""
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_SIZE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            "config-unreadable",
            f"{path}: {error.strerror}",
            hint="check the path; 'fingerpost node init' writes a configuration to start from",
        ) from None
    if len(data) > CONFIG_SIZE_BYTES_MAX:
        raise ConfigError(
            "config-unreadable",
            f"{path}: has more than {CONFIG_SIZE_BYTES_MAX} bytes",
            hint="is it the configuration of a node?",
        )
    return parse_config(data, source=str(path), folder=path.parent)


def parse_config(data: bytes, *, source: str, folder: Path) -> NodeConfig:
    """Return the value of a configuration; relative paths in it count from ``folder``. Raises ``ConfigError``."""
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError("config-syntax", f"{source}: is not UTF-8 text", hint="save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            "config-syntax", f"{source}: is not TOML: {error}", hint="texts stand in quotes, lists in brackets"
        ) from None
    top = _Table(source, "", table)
    network, carrier, directory = (top.table(name) for name in ("network", "carrier", "directory"))
    control, log = top.table("control"), top.table("log")
    for one in (top, network, control, log):
        one.check_keys()
    return NodeConfig(
        source=source,
        home=_path(top.text("home"), folder) if "home" in table else None,
        template=_path(top.text("template"), folder),
        network_id=network.text("id", longest=NETWORK_ID_LENGTH_MAX),
        listen=network.host_and_port("listen"),
        members=(members := _members(network)),
        admission=_admission(network, members),
        follow=network.flag("follow", default=True),
        records=tuple(_path(text, folder) for text in network.texts("records")),
        carrier_name=carrier.text("name", default="zeromq"),
        carrier_settings={name: value for name, value in carrier.values.items() if name != "name"},
        directory_name=directory.text("name", default="opendht"),
        directory_settings={name: value for name, value in directory.values.items() if name != "name"},
        control_listen=_loopback(control),
        metrics=control.flag("metrics", default=True),
        log_level=_level(log),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the file, and how errors call it."""

    source: str
    name: str
    values: Mapping[str, Any]

    def table(self, key: str) -> _Table:
        """Return the table below ``key``, empty when it is left out."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"is {_shown(value)}", hint=f"it is a table: write [{key}] on a line of its own")
        return _Table(self.source, key, value)

    def check_keys(self) -> None:
        """Refuse keys that mean nothing here."""
        known = _KEYS[self.name]
        for key in self.values:
            if key not in known:
                similar = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {similar[0]}? " if similar else ""
                raise ConfigError(
                    "config-key",
                    f"{self.source}: {self._place(key[:60])} is no key of a configuration",
                    hint=f"{hint}here it may have {', '.join(known)}",
                    field=self._place(key[:60]),
                )

    def text(self, key: str, *, default: str = "", longest: int = 4_096) -> str:
        """Return a text; one without a default must be there."""
        if key not in self.values:
            if default:
                return default
            raise ConfigError(
                "config-missing",
                f"{self.source}: {self._place(key)} is missing",
                hint=f"{_PURPOSE[self._place(key)]}; 'fingerpost node init' writes a configuration to start from",
                field=self._place(key),
            )
        value = self.values[key]
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise self.wrong(key, f"is {_shown(value)}", hint=f"it is a printable text of 1 to {longest} characters")
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, empty when it is left out."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise self.wrong(key, f"is {_shown(value)}", hint="it is a list of texts")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {_shown(value)}", hint="it is true or false, without quotes")
        return value

    def host_and_port(self, key: str) -> str:
        """Return a text like ``127.0.0.1:7000``."""
        text = self.text(key, default=LISTEN_DEFAULT)
        host, _, port = text.rpartition(":")
        if not host or not port.isascii() or not port.isdecimal() or int(port[:6]) > 65_535:
            raise self.wrong(key, f"is {_shown(text)}", hint="it is a host and a port, such as 127.0.0.1:7000")
        return text

    def wrong(self, key: str, what: str, *, hint: str) -> ConfigError:
        """Return the error about the value of a key."""
        place = self._place(key)
        return ConfigError("config-value", f"{self.source}: {place} {what}", hint=hint, field=place)

    def _place(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


_PURPOSE = {
    "home": "it says where this node keeps its keys, templates and packets",
    "template": "it names the template file (TOML) that all nodes share",
    "network.id": "it is the name that all nodes of one network share",
}


def _admission(network: _Table, members: tuple[Member, ...]) -> OpenAdmission | None:
    value = network.values.get("open", False)
    if not isinstance(value, dict):
        bounds: Mapping[str, Any] = {}
        if not network.flag("open", default=False):
            return None
    else:
        bounds = value
    for name, bound in bounds.items():
        if name not in _OPEN_KEYS or not isinstance(bound, int) or isinstance(bound, bool):
            raise network.wrong(
                "open",
                f"has {name[:60]} = {_shown(bound)}",
                hint=f"it is true, or a table with whole numbers for {' and '.join(_OPEN_KEYS)}",
            )
    named = frozenset(bytes(each.public_key) for each in members)
    try:
        return OpenAdmission(named=named, **bounds)
    except UsageError as error:
        raise network.wrong("open", f"is {_shown(value)}: {error.message}", hint=error.hint) from None


def _members(network: _Table) -> tuple[Member, ...]:
    listed = network.values.get("members", [] if network.values.get("open", False) is not False else None)
    if listed is None:
        raise ConfigError(
            "config-missing",
            f"{network.source}: network.members is missing",
            hint="list the public keys of the nodes that may take part ('fingerpost keys show' prints one's own), or "
            "say open = true to let anybody in",
            field="network.members",
        )
    if not isinstance(listed, list) or len(listed) > MEMBERS_MAX:
        raise network.wrong("members", "is no list of members", hint=f"it has at most {MEMBERS_MAX} public keys")
    members = tuple(_member(network, number, value) for number, value in enumerate(listed, start=1))
    seen: set[PublicKey] = set()
    for number, member in enumerate(members, start=1):
        if member.public_key in seen:
            raise network.wrong("members", f"number {number} is listed twice", hint="list each public key once")
        seen.add(member.public_key)
    return members


def _member(network: _Table, number: int, value: Any) -> Member:
    table = {"public_key": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not set(table) <= set(_MEMBER_KEYS) or "public_key" not in table:
        raise network.wrong(
            "members",
            f"number {number} is {_shown(value)}",
            hint='a member is "PUBLIC KEY" or { public_key = "…", organisation = "…" }',
        )
    try:
        key = bytes.fromhex(table["public_key"])
    except (TypeError, ValueError):
        key = b""
    if len(key) != KEY_SIZE_BYTES:
        raise network.wrong(
            "members",
            f"number {number} has the public key {_shown(table['public_key'])}",
            hint=f"a public key is {2 * KEY_SIZE_BYTES} hex digits, as 'fingerpost keys show' prints it",
        )
    organisation = table.get("organisation", "")
    if not isinstance(organisation, str) or len(organisation) > ORGANISATION_LENGTH_MAX:
        raise network.wrong(
            "members",
            f"number {number} has the organisation {_shown(organisation)}",
            hint=f"it is a text of at most {ORGANISATION_LENGTH_MAX} characters",
        )
    return Member(public_key=PublicKey(key), organisation=organisation)


def _loopback(control: _Table) -> tuple[str, int]:
    host, _, port = control.host_and_port("listen").rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]").replace("localhost", "127.0.0.1"))
    except ValueError:
        address = ipaddress.ip_address("0.0.0.0")  # noqa: S104 - no address to listen on, but one to refuse
    if not address.is_loopback:
        raise control.wrong(
            "listen",
            f"is {_shown(f'{host}:{port}')}, which is not on the loopback interface",
            hint="the control API is for this machine only: use 127.0.0.1 or [::1]",
        )
    return str(address), int(port)


def _level(log: _Table) -> str:
    level = log.text("level", default="info")
    if level not in LOG_LEVELS:
        raise log.wrong("level", f"is {_shown(level)}", hint=f"it is one of {', '.join(LOG_LEVELS)}")
    return level


def _record(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(RECORD_SIZE_BYTES_READ)
    except OSError as error:
        raise ConfigError(
            "config-unreadable",
            f"{path}: {error.strerror}",
            hint="network.records names files from keys/records of a node's home",
            field="network.records",
        ) from None


def _path(text: str, folder: Path) -> Path:
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:
        return folder / text


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
