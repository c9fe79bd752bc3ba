"""The configuration that ``fingerpost node init`` writes: every key, with what it means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = """\
# The configuration of one node. Paths count from the folder of this file.

# Where this node keeps its keys, templates and packets.
home = {home}

# The template that all nodes of the network share.
template = {template}

[network]
# The name that all nodes of the network share. It separates networks; it protects nothing.
id = {network}

# Where other nodes reach this one; port 0 takes a free one. On one machine the loopback address does, else give
# an address that the others can reach, and let its port through the firewall.
listen = "127.0.0.1:0"

# Who may take part, by public key ('fingerpost keys show' prints one's own). The organisation is optional;
# no two nodes of one hold the same packets for others.
members = [
    {{ public_key = {public_key}, organisation = "this node" }},
    # {{ public_key = "64 hex digits", organisation = "St. Mary" }},
]
# Let anybody in, and with them anybody who wants to crowd out the others. Of an emitter that is not listed above, so
# many live packets are kept, and they count after so many days; "open = true" is short for these numbers:
# open = {{ quota_packets = 10_000, quarantine_days = 1 }}

# Files from keys/records of other homes: who changed its key, and which keys are revoked.
records = []

# Keep every packet of the template, and answer without telling anybody what is asked; or, with false, this node's share
# only, and ask the holders of a situation's cells.
follow = true

[carrier]
# zeromq, grpc, flight or nats; settings of the carrier stand beside its name.
name = "zeromq"

[directory]
# How nodes find each other: opendht needs one address of a node that is there already, except on the first node.
name = "opendht"
bind = "127.0.0.1"
port = 0
bootstrap = []

# Or NATS servers that all nodes reach, of the carrier or others; they need nothing but these:
# name = "nats"
# servers = ["nats://192.0.2.7:4222"]

# Or a list that you keep yourself:
# name = "static"
# [[directory.peers]]
# public_key = "64 hex digits"
# carrier = "zeromq"
# endpoint = "192.0.2.7:7000"
# channel_key = "64 hex digits, from the other node's holder record"

[control]
# Where the commands of this home reach the node: the loopback interface only. Port 0 takes a free one.
listen = "127.0.0.1:0"
# Serve /metrics for Prometheus there, without the token.
metrics = true

[log]
# debug, info, warning or error
level = "info"
"""


def config_text(*, home: Path, template: Path, network: str, public_key: str) -> str:
    """Return the file, with this node as its only member."""
    return _TEXT.format(
        home=_quoted(str(home)),
        template=_quoted(str(template)),
        network=_quoted(network),
        public_key=_quoted(public_key),
    )


def _quoted(text: str) -> str:
    """Return a basic string of TOML: what JSON writes is one, a DEL apart."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
