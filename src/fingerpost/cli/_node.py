"""Which node a command speaks to: the one that runs in this home, or else one that it opens itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fingerpost.limits import PROBES_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fingerpost.node.asking import Mode
    from fingerpost.node.daemon.client import DaemonClient
    from fingerpost.node.home import Home
    from fingerpost.node.reports import Confirmation, Emission
    from fingerpost.node.subject_book import Forgotten
    from fingerpost.synthesis import Answer
    from fingerpost.synthesis.receipt import Receipt
    from fingerpost.template import Template


class AnyNode(Protocol):
    """The verbs that commands need, alike here and in another process; see ``fingerpost.Node``."""

    def emit_table(
        self,
        columns: Mapping[str, Any],
        *,
        subject_column: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Emission:
        """Tell the outcomes of a whole table, columns by name."""
        ...

    def forget(self, subject: object) -> Forgotten:
        """Withdraw every packet that tells something about a subject."""
        ...

    def ask(
        self,
        situation: Mapping[str, object],
        *,
        conditions: Mapping[str, object] | None = None,
        mode: Mode | None = None,
        cells: int = PROBES_DEFAULT,
        tells_situation: bool = False,
        subject: object = None,
    ) -> Answer:
        """Return what happened elsewhere in situations like this one."""
        ...

    def ask_table(self, columns: Mapping[str, Any]) -> list[Answer]:
        """Return an answer for each row of a table."""
        ...

    def audit(self, *, count: int = 10) -> list[Answer]:
        """Return answers about known situations, those first whose confirmation would help most."""
        ...

    def confirm(
        self, answer: Answer, *, situation: Mapping[str, object], outcome: object, action: object = None
    ) -> Confirmation:
        """Tell how the situation of an answer turned out."""
        ...

    def receipt(self, answer: Answer) -> Receipt:
        """Return the evidence of an answer."""
        ...

    def explain(self, node: bytes) -> dict[str, Any]:
        """Return why a node was hired or refused."""
        ...

    def graph(self) -> dict[str, Any]:
        """Return who agrees with whom."""
        ...

    def find_packets(self, ids: Sequence[str]) -> Any:
        """Return the live packets with these ids."""
        ...


@contextmanager
def node_of(place: Home, template: Template) -> Iterator[AnyNode]:
    """Give the node that runs in this home, or open one for as long as the block lasts."""
    client = running_node(place)
    if client is not None:
        from fingerpost.node.daemon.client import RemoteNode

        yield RemoteNode(client, template)
        return
    from fingerpost.node.facade import Node

    with Node(template, home=place.root) as node:
        yield node


def running_node(place: Home) -> DaemonClient | None:
    """Return what speaks to the node that runs in this home, or None when none does."""
    from fingerpost.node.daemon.presence import read_presence

    presence = read_presence(place)
    if presence is None:
        return None
    from fingerpost.node.daemon.client import DaemonClient

    return DaemonClient(presence)
