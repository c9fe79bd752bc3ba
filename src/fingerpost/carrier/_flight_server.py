"""The calls of a Flight server: the two actions of the proof, frames, and cells as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from fingerpost.carrier._accepted import AcceptedConnections
from fingerpost.carrier._flight_gate import Gate, TokenRequired
from fingerpost.carrier._tls import TlsIdentity
from fingerpost.ids import PublicKey

NOTHING = pa.schema([])  # Frames travel as metadata: their streams have no columns.

_MIDDLEWARE = "token"
Serve = Callable[[PublicKey, str, Any, Any], None]


class FlightServer(flight.FlightServerBase):  # type: ignore[misc]
    """Calls come on threads of the library. ``accepted`` is set once the port is known."""

    def __init__(
        self, host: str, port: int, tls: TlsIdentity, gate: Gate, *, serve: Serve, settings: Mapping[str, Any]
    ) -> None:
        self.accepted: AcceptedConnections | None = None
        self._gate = gate
        self._serve = serve
        self._read_cell: Callable[[bytes], Any] | None = settings.get("read_cell")
        self._list_cells: Callable[[], Any] = settings.get("list_cells", tuple)
        super().__init__(
            flight.Location.for_grpc_tls(host, port),
            tls_certificates=[(tls.certificate_pem, tls.key_pem)],
            middleware={_MIDDLEWARE: TokenRequired(gate)},
        )

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        """Serve ``challenge`` and ``token``, to anybody."""
        if action.type == "challenge":
            return [self._gate.on_loop(self._gate.challenge)]
        if action.type != "token":
            raise flight.FlightServerError("the actions are challenge and token")
        granted = self._gate.on_loop(self._gate.grant, action.body.to_pybytes())
        if granted is None:
            raise flight.FlightUnauthenticatedError("not admitted")
        self._prove(context)
        return [granted]

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:  # noqa: ARG002
        """Serve frames both ways until the stream ends."""
        self._prove(context)
        writer.begin(NOTHING)
        self._serve(context.get_middleware(_MIDDLEWARE).peer, context.peer(), reader, writer)

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[Any]:  # noqa: ARG002
        """List the cells, without their sizes."""
        self._prove(context)
        for ticket in self._list_cells():
            descriptor = flight.FlightDescriptor.for_command(ticket)
            yield flight.FlightInfo(NOTHING, descriptor, [flight.FlightEndpoint(ticket, [])], -1, -1)

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """Describe the cell whose ticket is the command of the descriptor."""
        self._prove(context)
        ticket = descriptor.command or b""
        table = self._cell(ticket)
        endpoints = [flight.FlightEndpoint(ticket, [])]
        return flight.FlightInfo(table.schema, descriptor, endpoints, table.num_rows, table.nbytes)

    def do_get(self, context: Any, ticket: Any) -> Any:
        """Return the cell of a ticket as a table."""
        self._prove(context)
        return flight.RecordBatchStream(self._cell(ticket.ticket))

    def _cell(self, ticket: bytes) -> Any:
        if self._read_cell is None:
            raise flight.FlightServerError("this node shows no cells")
        try:
            return self._read_cell(ticket)
        except LookupError:
            raise flight.FlightServerError("no such cell") from None

    def _prove(self, context: Any) -> None:
        if self.accepted is not None:
            self.accepted.prove(context.peer())
