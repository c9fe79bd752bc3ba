"""The tree of commands. A command is a function in a module of its own; it is named here and nowhere else."""

from __future__ import annotations

from typing import Annotated

import typer

from fingerpost import __version__
from fingerpost.cli import (
    ask,
    assess,
    codebook,
    confirm,
    consortium,
    demo,
    emit,
    forget,
    keys,
    lab,
    node,
    packet,
    peers,
    privacy,
    privacy_audit,
    sim,
    store,
    template,
    verify,
)

typer.core.HAS_RICH = False  # Help is plain text here; typer would load rich all the same, to escape brackets in it.

_ABOUT = """Learn from each other's outcomes without moving data.

Each observation becomes a 512-byte signed packet. Anyone in a similar situation can ask what happened elsewhere, how
sure that is, and who says so.
"""


def new_group(help_text: str) -> typer.Typer:
    """Return an empty group whose help is plain text, so that showing it loads nothing."""
    group = typer.Typer(
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
    )
    group.callback()(_show_help)
    return group


def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _show_version(wanted: object) -> None:
    if wanted:
        typer.echo(f"fingerpost {__version__}")
        raise typer.Exit


def _start(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - its callback has already acted
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    _show_help(context)


app = new_group(_ABOUT)
app.callback()(_start)

_keys = new_group("Make, show, replace and revoke the identity of this node.")
_keys.command("new")(keys.new)
_keys.command("show")(keys.show)
_keys.command("rotate")(keys.rotate)
_keys.command("revoke")(keys.revoke)
app.add_typer(_keys, name="keys")

_consortium = new_group("Make, give out and replace the keys that the members of a consortium share.")
_consortium.command("create")(consortium.create)
_consortium.command("add")(consortium.add)
_consortium.command("remove")(consortium.remove)
_consortium.command("rotate")(consortium.rotate)
_consortium.command("join")(consortium.join)
_consortium.command("keys")(consortium.keys)
app.add_typer(_consortium, name="consortium")

_template = new_group("Draft, check and read templates: the schema that nodes agree on.")
_template.command("infer")(template.infer)
_template.command("check")(template.check)
_template.command("show")(template.show)
_template.command("codebook")(codebook.codebook)
app.add_typer(_template, name="template")

app.command("assess")(assess.assess)
app.command("demo")(demo.demo)
app.command("emit")(emit.emit)
app.command("forget")(forget.forget)
app.command("ask")(ask.ask)
app.command("confirm")(confirm.confirm)
app.command("verify")(verify.verify)

_node = new_group("Run a node that stays, and look after it.")
_node.command("init")(node.init)
_node.command("run")(node.run)
_node.command("status")(node.status)
_node.command("peers")(node.peers)
_node.command("stop")(node.stop)
app.add_typer(_node, name="node")

_peers = new_group("See whom this node believes, and why.")
_peers.command("explain")(peers.explain)
_peers.command("graph")(peers.graph)
app.add_typer(_peers, name="peers")

_privacy = new_group("See what was released, what is left to spend, and what would leak.")
_privacy.command("budget")(privacy.budget)
_privacy.command("audit")(privacy_audit.audit)
app.add_typer(_privacy, name="privacy")

_packet = new_group("Show and verify packets in a file.")
_packet.command("show")(packet.show)
_packet.command("verify")(packet.verify)
app.add_typer(_packet, name="packet")

_store = new_group("Look after the packets that this node keeps.")
_store.command("stats")(store.stats)
_store.command("check")(store.check)
_store.command("export")(store.export)
_store.command("import")(store.take_in)
app.add_typer(_store, name="store")

_sim = new_group("Simulate whole networks from a seed, and check what must always hold.")
_sim.command("run")(sim.run)
app.add_typer(_sim, name="sim")

_lab = new_group("Run the benchmark suites on public data sets.")
_lab.command("run")(lab.run)
app.add_typer(_lab, name="lab")
