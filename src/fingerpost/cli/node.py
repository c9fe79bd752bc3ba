"""``fingerpost node``: a node that keeps running, and what one wants to know of it."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._node import running_node
from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, home_of
from fingerpost.cli._output import Column, Output
from fingerpost.cli._templates import keep_template
from fingerpost.cli._words import count_text, short_id, size_text, today
from fingerpost.errors import (
    ConfigError,
    DaemonError,
    KeyFileError,
    NetworkError,
    StoreError,
    TemplateError,
    UsageError,
)
from fingerpost.system import SystemEntropy

if TYPE_CHECKING:
    from fingerpost.node.daemon.client import DaemonClient
    from fingerpost.node.home import Home
    from fingerpost.node.status import NodeStatus

CONFIG_DEFAULT = Path("node.toml")
STOP_SECONDS_MAX = 60.0
STOP_LOOK_SECONDS = 0.05

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration of the node (TOML).")
]


@noted(
    json_keys={
        "config": "path of the configuration that was written",
        "home": "path of the home",
        "node_id": "64 hex digits: how others know this node",
        "public_key": "64 hex digits: what the other members write into their configurations",
    },
    errors=(UsageError, KeyFileError),
    examples=("fingerpost node init --config node.toml --template template.toml --network hospitals",),
)
def init(
    *,
    config: ConfigOption = CONFIG_DEFAULT,
    template: Annotated[
        Path, typer.Option("--template", "-t", metavar="FILE", help="The template (TOML) that all nodes share.")
    ] = Path("template.toml"),
    network: Annotated[
        str, typer.Option("--network", metavar="NAME", help="The name that all nodes of the network share.")
    ] = "my-network",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write a commented configuration to start from, and make the identity of this node if it has none.

    An existing file is never overwritten.
    """
    from fingerpost.cli._node_config import config_text

    out = Output(as_json=json)
    place = home_of(home)
    if config.exists():
        raise UsageError(
            "config-exists", f"{config} is there already", hint="edit it, or name another file with --config"
        )
    identity = _identity(place)
    text = config_text(
        home=place.root.resolve(), template=template, network=network, public_key=identity.public_key.hex()
    )
    with config.open("x", encoding="utf-8") as file:
        file.write(text)
    document = {
        "config": str(config),
        "home": str(place.root),
        "node_id": identity.node_id.hex(),
        "public_key": identity.public_key.hex(),
    }
    if json:
        out.document(document)
        return
    out.title(f"Wrote {config}")
    out.facts([("home", place.root), ("node id", document["node_id"]), ("public key", document["public_key"])])
    out.line()
    out.line("Give the public key to the other members, and list theirs in the file.")
    out.next_step(f"fingerpost node run --config {config}")


@noted(
    json_keys={
        "process": "id of this process",
        "home": "path of the home",
        "node_id": "64 hex digits: how others know this node",
        "public_key": "64 hex digits: what admits this node elsewhere",
        "endpoint": "host and port where other nodes reach it",
        "directory_endpoint": "host and port: what others may give as bootstrap, or the NATS server in use; else empty",
    },
    errors=(ConfigError, TemplateError, KeyFileError, StoreError, NetworkError, DaemonError, UsageError),
    examples=("fingerpost node run --config node.toml",),
)
def run(*, config: ConfigOption = CONFIG_DEFAULT, home: HomeOption = None, json: JsonOption = False) -> None:
    """Run a node until it is stopped: it joins the network, keeps packets for others, and answers this home's commands.

    It logs to standard error; with --json the document is printed once everything is ready. SIGTERM and Ctrl-C end it
    in order, a second one at once.
    """
    import asyncio
    import os

    from fingerpost.files import load_template
    from fingerpost.node.config import load_config
    from fingerpost.node.daemon.logs import logging_to
    from fingerpost.node.daemon.service import run_daemon
    from fingerpost.node.home import Home

    out = Output(as_json=json)
    settings = load_config(config)
    chosen = home_of(home) if home is not None or settings.home is None else Home(settings.home)
    place = Home(chosen.root.absolute())
    template = load_template(settings.template)

    def ready(status: "NodeStatus") -> None:
        keep_template(template, place, source=settings.template)
        if json:
            out.document(
                {
                    "process": os.getpid(),
                    "home": str(place.root),
                    "node_id": status.node_id.hex(),
                    "public_key": status.public_key.hex(),
                    "endpoint": status.endpoint,
                    "directory_endpoint": status.directory_endpoint,
                }
            )
            sys.stdout.flush()

    with logging_to(sys.stderr, level=settings.log_level):
        asyncio.run(run_daemon(settings, place, ready=ready))


@noted(
    json_keys={
        "version": "version of fingerpost that runs",
        "process": "id of the process",
        "home": "path of the home",
        "uptime_seconds": "since it was ready",
        "node_id": "64 hex digits",
        "public_key": "64 hex digits",
        "template": "name of the template",
        "template_id": "32 hex digits",
        "network_id": "name of the network",
        "carrier": "what moves its frames",
        "endpoint": "host and port where other nodes reach it",
        "directory": "what finds other nodes",
        "directory_endpoint": "host and port: what others may give as bootstrap, or the NATS server in use; else empty",
        "packets": "live packets in the store",
        "withdrawals": "withdrawals in the store",
        "emitters": "nodes that have packets in the store",
        "size_bytes": "size of the store on the disk",
        "peers": "peers that are known",
        "live_peers": "peers that did what was last asked of them",
        "received_bytes": "bytes of frames that arrived",
        "sent_bytes": "bytes of frames that left",
        "received_packets": "packets from others that were new here",
        "emitted_packets": "packets made here since the start",
        "acknowledged_packets": "those of them that two other nodes keep too",
        "pending_packets": "those that are not acknowledged yet",
        "asks": "situations asked about since the start",
        "metrics": "whether /metrics is served",
        "metrics_url": "where",
        "refused": "how often what was refused, by layer and reason",
    },
    errors=(DaemonError,),
    examples=("fingerpost node status", "fingerpost node status --json | jq .live_peers"),
)
def status(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the node that runs in this home: what it holds, whom it reaches, what it refused."""
    out = Output(as_json=json)
    place = home_of(home)
    client = _client(place)
    document = client.get("/v1/status")
    document |= {"process": client.process, "home": str(place.root), "metrics_url": f"{client.url}/metrics"}
    if json:
        out.document(document)
    else:
        _print_status(out, document)


@noted(
    json_keys={
        "peers": "one each: node_id, public_key, organisation (empty where the configuration names none), endpoint "
        "(empty for one that only connected to us), live (null when nothing was asked of it yet), heard_at (seconds "
        "since 1970, or null), received_bytes, sent_bytes",
    },
    errors=(DaemonError,),
    examples=("fingerpost node peers",),
)
def peers(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the peers of the node that runs in this home, after asking the directory who is there."""
    out = Output(as_json=json)
    document = _client(home_of(home)).get("/v1/peers")
    if json:
        out.document(document)
        return
    found = document["peers"]
    if not found:
        out.line("no peer is known yet")
        out.next_step("check directory.bootstrap and the members of both sides")
        return
    columns = [Column(title="node"), Column(title="organisation"), Column(title="endpoint"), Column(title="state")]
    columns += [
        Column(title="heard"),
        Column(title="bytes in", align="right"),
        Column(title="bytes out", align="right"),
    ]
    out.table(columns, [_peer_row(peer) for peer in found])


@noted(
    json_keys={"process": "id of the process that ended", "seconds": "how long it took"},
    errors=(DaemonError,),
    examples=("fingerpost node stop",),
)
def stop(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Stop the node that runs in this home, and wait until it has ended."""
    out = Output(as_json=json)
    client = _client(home_of(home))
    begun = time.monotonic()
    client.post("/v1/stop", {})
    while client.is_alive:
        if time.monotonic() - begun > STOP_SECONDS_MAX:
            raise DaemonError(
                "daemon-stuck",
                f"process {client.process} has not ended within {STOP_SECONDS_MAX:.0f} s",
                hint=f"look into its log; kill -KILL {client.process} loses nothing that was acknowledged",
            )
        time.sleep(STOP_LOOK_SECONDS)
    seconds = round(time.monotonic() - begun, 3)
    if json:
        out.document({"process": client.process, "seconds": seconds})
    else:
        out.line(f"the node has ended (process {client.process}, {seconds:.1f} s)")


def _client(place: "Home") -> "DaemonClient":
    client = running_node(place)
    if client is None:
        raise DaemonError(
            "daemon-not-running", f"no node runs in {place.root}", hint="start it: fingerpost node run --config FILE"
        )
    return client


def _identity(place: "Home") -> Any:
    from fingerpost.node.identity import create_identity, load_identity

    try:
        return load_identity(place)
    except KeyFileError as error:
        if error.code != "key-missing":
            raise
    return create_identity(place, entropy=SystemEntropy(), day=today())


def _print_status(out: Output, document: dict[str, Any]) -> None:
    out.title(f"Node {short_id(document['node_id'])} of {document['network_id']}, process {document['process']}")
    pending = document["pending_packets"]
    facts = [
        ("home", document["home"]),
        ("public key", document["public_key"]),
        ("template", f"{document['template']} ({document['template_id']})"),
        ("running for", f"{document['uptime_seconds']:,.0f} s (version {document['version']})"),
        ("carrier", f"{document['carrier']} on {document['endpoint'] or 'no address'}"),
        ("directory", f"{document['directory']} {document['directory_endpoint']}".strip()),
        ("peers", f"{document['live_peers']} live of {document['peers']} known"),
        ("packets", f"{document['packets']:,} of {count_text(document['emitters'], 'node')}"),
        ("on the disk", size_text(document["size_bytes"])),
        ("emitted", f"{document['emitted_packets']:,} since the start, {pending:,} kept by no other node yet"),
        ("received", f"{document['received_packets']:,} new ones since the start"),
        ("questions", f"{document['asks']:,} answered"),
        ("traffic", f"{size_text(document['received_bytes'])} in, {size_text(document['sent_bytes'])} out"),
    ]
    if document["metrics"]:
        facts.append(("metrics", document["metrics_url"]))
    out.facts(facts)
    refused = [
        [layer, reason, f"{count:,}"]
        for layer, reasons in document["refused"].items()
        for reason, count in sorted(reasons.items())
    ]
    if refused:
        out.line()
        out.title("Refused since the start")
        out.table([Column(title="layer"), Column(title="reason"), Column(title="times", align="right")], refused)


def _peer_row(peer: dict[str, Any]) -> list[str]:
    heard = "never" if peer["heard_at"] is None else f"{max(0.0, time.time() - peer['heard_at']):,.0f} s ago"
    state = {True: "live", False: "silent", None: "unknown"}[peer["live"]]
    return [
        short_id(peer["node_id"]),
        peer["organisation"],
        peer["endpoint"],
        state,
        heard,
        f"{peer['received_bytes']:,}",
        f"{peer['sent_bytes']:,}",
    ]
