"""Cells as Arrow tables, for carriers that show them: Arrow Flight lets any Arrow client of a member read them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from fingerpost.limits import PACKET_SIZE_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

    from fingerpost.node.engine import Engine, Packets
    from fingerpost.template import Template

READ_SECONDS_MAX = 30.0

Result = TypeVar("Result")


class CellTables:
    """The cells of one template that this node keeps, named by tickets ``TEMPLATE ID IN HEX/CELL``.

    Its methods are called on threads of a carrier, and do their work on the node's event loop.
    """

    def __init__(self, engine: Engine, template: Template, *, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._template = template
        self._loop = loop
        self._prefix = template.template_id.hex().encode() + b"/"

    def tickets(self) -> list[bytes]:
        """Return the tickets of the cells in which there is something."""

        async def cells() -> list[int]:
            return self._engine.cells(self._template.template_id)

        return [self._prefix + str(cell).encode() for cell in self._run(cells())]

    def read(self, ticket: bytes) -> pa.Table:
        """Return a cell: its packets whole in ``packet``, then what they say in words, as ``store export`` writes it.

        Raises ``LookupError`` for a ticket that names no cell of the template.
        """
        import pyarrow as pa  # here, not above: only Flight needs it

        from fingerpost.store._export import packets_table

        cell = ticket.removeprefix(self._prefix)
        if cell == ticket or not cell.isdigit() or len(cell) > 10 or int(cell) >> self._template.cell_bits:
            raise LookupError(ticket)

        async def packets() -> Packets:
            return self._engine.cell_packets(self._template.template_id, int(cell))

        found = self._run(packets())
        whole = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(PACKET_SIZE_BYTES), len(found), [None, pa.py_buffer(found.tobytes())]
        )
        return packets_table(found, self._template).add_column(0, "packet", whole)

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(READ_SECONDS_MAX)
