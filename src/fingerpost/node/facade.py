"""The node for synchronous code: the same node, on one background event loop that the process shares."""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fingerpost.ids import NodeId, PublicKey
from fingerpost.limits import PROBES_DEFAULT
from fingerpost.node.asking import Mode
from fingerpost.node.network import Reach
from fingerpost.node.reports import Confirmation, Emission
from fingerpost.node.runtime import AsyncNode
from fingerpost.ports import Clock, Entropy
from fingerpost.privacy.seal import KeyRing
from fingerpost.template import Template

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fingerpost.carrier.base import Address
    from fingerpost.node.subject_book import Forgotten
    from fingerpost.synthesis import Answer
    from fingerpost.synthesis.receipt import Receipt

Result = TypeVar("Result")


class Node:
    """One participant of outcome routing; see ``AsyncNode`` for what each verb does and raises.

    ``template`` is a ``Template`` or the path of one; ``home`` keeps identity and packets between runs (None: in memory
    only); ``network`` joins other nodes: a ``MemoryNetwork`` inside this process, a ``Network`` between processes;
    ``keys`` are those of a consortium, where the home has none.
    """

    def __init__(
        self,
        template: Template | str | Path,
        *,
        home: str | Path | None = None,
        network: Reach | None = None,
        follow: bool = True,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        keys: KeyRing | None = None,
    ) -> None:
        opening = AsyncNode.open(
            template, home=home, network=network, follow=follow, clock=clock, entropy=entropy, keys=keys
        )
        self._node = _run(opening)
        self._abandoned = weakref.finalize(self, _abandon, self._node)
        self._abandoned.atexit = False  # The loop ends then, and what still waits with it.

    @property
    def template(self) -> Template:
        """The template that this node speaks."""
        return self._node.template

    @property
    def node_id(self) -> NodeId:
        """The id under which others know this node."""
        return self._node.node_id

    @property
    def public_key(self) -> PublicKey:
        """The Ed25519 key that this node signs with: what others name to admit it."""
        return self._node.public_key

    @property
    def address(self) -> Address:
        """Where peers reach this node: what a static directory lists. It is empty outside of a network."""
        return self._node.address

    @property
    def bytes_received(self) -> int:
        """Bytes of all frames that arrived so far."""
        return self._node.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Bytes of all frames that left so far."""
        return self._node.bytes_sent

    def emit(
        self,
        *,
        situation: Mapping[str, object],
        outcome: object,
        action: object = None,
        conditions: Mapping[str, object] | None = None,
        confidence: float = 1.0,
    ) -> str:
        """Tell what happened in one situation; return the id of the packet (hex) once it is durable here."""
        return _run(
            self._node.emit(
                situation=situation, outcome=outcome, action=action, conditions=conditions, confidence=confidence
            )
        )

    def emit_table(
        self,
        columns: Mapping[str, object],
        *,
        skip_bad_rows: bool = False,
        subject_column: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Emission:
        """Tell the outcomes of a whole table, columns by name."""
        return _run(
            self._node.emit_table(
                columns, skip_bad_rows=skip_bad_rows, subject_column=subject_column, progress=progress
            )
        )

    def emit_sum(
        self, columns: Mapping[str, object], *, subject_column: str, parties: Sequence[bytes], seconds: float
    ) -> Emission:
        """Release a table's counts added up with those of other nodes, all of which do the same at the same time."""
        return _run(self._node.emit_sum(columns, subject_column=subject_column, parties=parties, seconds=seconds))

    def forget(self, subject: object) -> Forgotten:
        """Withdraw every packet of the template that tells something about a subject, as ``emit_table`` noted it."""
        return _run(self._node.forget(subject))

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
        """Return what happened elsewhere in situations like this one; fields left out count as missing."""
        return _run(
            self._node.ask(
                situation,
                conditions=conditions,
                mode=mode,
                cells=cells,
                tells_situation=tells_situation,
                subject=subject,
            )
        )

    def ask_table(self, columns: Mapping[str, object]) -> list[Answer]:
        """Return an answer for each row of a table, columns by name; absent columns count as missing."""
        return _run(self._node.ask_table(columns))

    def audit(self, *, count: int = 10) -> list[Answer]:
        """Return answers about known situations, those first whose confirmation would help most."""
        return _run(self._node.audit(count=count))

    def confirm(
        self, answer: Answer, *, situation: Mapping[str, object], outcome: object, action: object = None
    ) -> Confirmation:
        """Tell how the situation of an answer turned out: it becomes a packet like any other, and a score."""
        return _run(self._node.confirm(answer, situation=situation, outcome=outcome, action=action))

    def receipt(self, answer: Answer) -> Receipt:
        """Return the evidence of an answer, for ``verify_receipt`` to check anywhere."""
        return _run(self._node.receipt(answer))

    def packets(self) -> npt.NDArray[np.void]:
        """Return every live packet that this node holds of its template, (n,) of ``fingerpost.packet.PACKET_DTYPE``."""
        return _run(self._node.packets())

    def find_packets(self, ids: Sequence[str]) -> npt.NDArray[np.void]:
        """Return the live packets with these ids (64 hex digits each), in their order, without those not here."""
        return _run(self._node.find_packets(ids))

    def explain(self, node: bytes) -> dict[str, Any]:
        """Return why a node was hired or refused, as plain values."""
        return _run(self._node.explain(node))

    def graph(self) -> dict[str, Any]:
        """Return who agrees with whom, as plain values."""
        return _run(self._node.graph())

    def synchronise(self) -> int:
        """Fetch every packet that the network holds for the template; return how many were new here."""
        return _run(self._node.synchronise())

    def close(self) -> None:
        """Leave the network and close the store; calling it twice is harmless."""
        self._abandoned.detach()
        _run(self._node.close())

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Loop:
    """One event loop on one daemon thread, started when the first node is opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="fingerpost", daemon=True).start()
                atexit.register(self._stop, self._loop)
            return self._loop

    @staticmethod
    def _stop(loop: asyncio.AbstractEventLoop) -> None:
        """End what still waits for frames when the program ends without closing its nodes."""

        async def cancel_all() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)


_loop = _Loop()


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    future = asyncio.run_coroutine_threadsafe(work, _loop.get())
    try:
        return future.result()
    except BaseException:
        future.cancel()  # Whoever was waiting has been interrupted: the work stops at its next pause.
        raise


def _abandon(node: AsyncNode) -> None:
    """Close a node that nobody can reach any more, without waiting for it: a collector may run on any thread."""
    asyncio.run_coroutine_threadsafe(node.close(), _loop.get())
