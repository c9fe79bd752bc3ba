"""The verbs of the control API: who may ask for what, and what the node then does.

Every path but ``/metrics`` needs the token. ``/metrics`` needs none, because scrapers have no place for one: it listens
on the loopback interface like the rest and gives counts only. A request that names another host than this one is
refused everywhere, so that no web page can have a browser read it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from fingerpost import __version__
from fingerpost.errors import (
    DaemonError,
    FingerpostError,
    NetworkError,
    StoreError,
    UsageError,
)
from fingerpost.ids import from_hex
from fingerpost.node.asking import as_mode
from fingerpost.node.config import NodeConfig
from fingerpost.node.daemon.messages import (
    ARROW,
    JSON,
    PACKETS,
    PACKETS_TOGETHER_MAX,
    ROWS_TOGETHER_MAX,
    Ask,
    AskOptions,
    AuditOf,
    Confirm,
    Emit,
    EmitOptions,
    Explain,
    Find,
    Forget,
    ReceiptOf,
    SumOptions,
    columns_of_arrow,
    columns_of_rows,
    emission_document,
    error_document,
    read_message,
    read_options,
)
from fingerpost.node.daemon.meters import CONTENT_TYPE, Meters
from fingerpost.node.daemon.server import Request, Response
from fingerpost.node.daemon.uploads import Uploads
from fingerpost.node.runtime import AsyncNode
from fingerpost.node.status import NodeStatus, PeerStatus
from fingerpost.synthesis import Answer
from fingerpost.synthesis.answer_reading import read_answer

ANSWERED_TOGETHER = 64  # Between two such parts the node serves its peers.
LOCAL_NAMES = ("127.0.0.1", "[::1]", "localhost")

_LOG = logging.getLogger("fingerpost.control")
_REFUSALS = {
    error.code.removeprefix("control-"): error
    for error in (
        DaemonError("control-busy", "too many requests are being answered already", hint="try again in a moment"),
        DaemonError("control-stopping", "the node is being stopped", hint="start it again first"),
        DaemonError(
            "control-token",
            "the token is missing or wrong",
            hint="send the token of control.json in the home, as 'Authorization: Bearer TOKEN'",
        ),
        DaemonError("control-host", "the request names another host", hint=f"ask for {', '.join(LOCAL_NAMES)}"),
        UsageError("control-head-slow", "the request took too long to arrive", hint="send it at once"),
        UsageError("control-body-slow", "the request took too long to arrive", hint="send less at once"),
        UsageError("control-too-large", "the request is too large", hint="send fewer rows at once"),
        UsageError("control-not-http", "this is no HTTP/1.1 request", hint="the control API speaks HTTP/1.1"),
        UsageError("control-path", "there is nothing at this path", hint="see docs/how-to/run-a-node.md"),
        UsageError("control-method", "this path does not know that method", hint="see docs/how-to/run-a-node.md"),
    )
}


class ControlApi:
    """Answers requests for one node. ``stop`` is called when a request asks for the end."""

    def __init__(
        self,
        node: AsyncNode,
        config: NodeConfig,
        *,
        token: str,
        refused: Callable[[], Mapping[str, int]],
        stop: Callable[[], None],
    ) -> None:
        self.meters = Meters()
        self.is_stopping = False
        self._node = node
        self._config = config
        self._token = token.encode()
        self._refused = refused
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._uploads = Uploads()
        self._changing = asyncio.Lock()  # One change at a time: each waits for answers of the same peers.
        self._verbs: dict[str, tuple[str, Callable[[Request], Awaitable[Response]]]] = {
            "/v1/status": ("GET", self._status),
            "/v1/peers": ("GET", self._peers),
            "/v1/peers/explain": ("POST", self._explain),
            "/v1/peers/graph": ("GET", self._graph),
            "/v1/emit": ("POST", self._emit),
            "/v1/sum": ("POST", self._sum),
            "/v1/ask": ("POST", self._ask),
            "/v1/audit": ("POST", self._audit),
            "/v1/confirm": ("POST", self._confirm),
            "/v1/receipt": ("POST", self._receipt),
            "/v1/forget": ("POST", self._forget),
            "/v1/packets": ("POST", self._packets),
            "/v1/synchronise": ("POST", self._synchronise),
            "/v1/stop": ("POST", self._end),
        }
        if config.metrics:
            self._verbs["/metrics"] = ("GET", self._metrics)

    def check(self, request: Request) -> Response | None:
        """Turn a request away by its head, or return None."""
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in LOCAL_NAMES:
            return refusal(403, "host")
        path = request.target.partition("?")[0]
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        is_known = kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)
        if not is_known and not (path == "/metrics" and self._config.metrics):
            return refusal(401, "token")
        if path not in self._verbs:
            return refusal(404, "path")
        if request.method != self._verbs[path][0]:
            return refusal(405, "method")
        return refusal(503, "stopping") if self.is_stopping else None

    async def answer(self, request: Request) -> Response:
        """Do what a request asks for. Whatever goes wrong becomes a response."""
        path = request.target.partition("?")[0]
        try:
            return await self._verbs[path][1](request)
        except FingerpostError as error:
            return Response(status=_status_of(error), body=_json(error_document(error)))
        except Exception as error:  # The last stop: a bug must not take the node down.
            _LOG.error("a bug: %s failed", path, exc_info=error)
            bug = FingerpostError(
                "internal-error",
                f"this is a bug in fingerpost ({type(error).__name__})",
                hint="the log of the node says where",
            )
            return Response(status=500, body=_json(error_document(bug)))

    async def _status(self, _request: Request) -> Response:
        status = await self._node.status()
        return _document(
            status_document(status)
            | {
                "version": __version__,
                "uptime_seconds": round(self._loop.time() - self._started, 3),
                "asks": self.meters.asks,
                "metrics": self._config.metrics,
                "refused": {**status.refused, "control": dict(self._refused())},
            }
        )

    async def _peers(self, _request: Request) -> Response:
        status = await self._node.status(look_up=True)
        return _document({"peers": [self._peer_document(peer) for peer in status.peers]})

    async def _explain(self, request: Request) -> Response:
        named = read_message(request.body, Explain).node_id
        return _document(await self._node.explain(from_hex(named, size=32, what="a node id")))

    async def _graph(self, _request: Request) -> Response:
        return _document(await self._node.graph())

    async def _emit(self, request: Request) -> Response:
        if _is_arrow(request):
            options = read_options(request.target, EmitOptions)
            columns = columns_of_arrow(request.body)
        else:
            message = read_message(request.body, Emit)
            options, columns = message, columns_of_rows(message.rows)
        whole = self._collected(options, columns)
        if whole is None:
            return _document({"more": True})
        async with self._changing:
            emission = await self._node.emit_table(
                whole, skip_bad_rows=options.skip_bad_rows, subject_column=options.subject_column or None
            )
        return _document(emission_document(emission))

    async def _sum(self, request: Request) -> Response:
        if not _is_arrow(request):
            raise UsageError("request-malformed", "a sum takes a table as an Arrow stream", hint=f"send {ARROW}")
        options = read_options(request.target, SumOptions)
        whole = self._collected(options, columns_of_arrow(request.body))
        if whole is None:
            return _document({"more": True})
        parties = [from_hex(party, size=32, what="a public key") for party in options.parties.split(",")]
        async with self._changing:
            emission = await self._node.emit_sum(
                whole, subject_column=options.subject_column, parties=parties, seconds=options.seconds
            )
        return _document(emission_document(emission))

    def _collected(self, options: EmitOptions, columns: dict[str, Any]) -> dict[str, Any] | None:
        """Return the table of which this is the last part, or the only one; None where others are to come."""
        self._require_template(options.template_id)
        _require_few(columns)
        if options.more:
            self._uploads.add(options.upload, columns)
            return None
        return self._uploads.whole(options.upload, columns) if options.upload else columns

    async def _ask(self, request: Request) -> Response:
        begun = self._loop.time()
        if _is_arrow(request):
            self._require_template(read_options(request.target, AskOptions).template_id)
            answers = await self._ask_columns(columns_of_arrow(request.body))
        else:
            message = read_message(request.body, Ask)
            self._require_template(message.template_id)
            if (message.situation is None) == (message.rows is None):
                raise UsageError("bad-usage", "ask about one situation or about rows", hint="give one of the two")
            if message.rows is not None:
                if message.conditions:
                    raise UsageError("bad-usage", "rows go without conditions", hint="ask about one situation")
                answers = await self._ask_columns(columns_of_rows(message.rows))
            else:
                answers = [
                    await self._node.ask(
                        message.situation or {},
                        conditions=message.conditions,
                        mode=as_mode(message.mode),
                        cells=message.cells,
                        tells_situation=message.tells_situation,
                        subject=message.subject or None,
                    )
                ]
        for answer in answers:
            self.meters.asked(abstained=answer.abstained)
        self.meters.answer_seconds.observe(self._loop.time() - begun)
        return _document({"answers": [answer.as_dict() for answer in answers]})

    async def _ask_columns(self, columns: Mapping[str, Any]) -> list[Answer]:
        _require_few(columns)
        rows, answers = len(next(iter(columns.values()))), list[Answer]()
        for start in range(0, rows, ANSWERED_TOGETHER):
            part = {name: column[start : start + ANSWERED_TOGETHER] for name, column in columns.items()}
            answers += await self._node.ask_table(part)
            await asyncio.sleep(0)
        return answers

    async def _forget(self, request: Request) -> Response:
        message = read_message(request.body, Forget)
        self._require_template(message.template_id)
        async with self._changing:
            forgotten = await self._node.forget(message.subject)
        return _document(msgspec.to_builtins(forgotten))

    async def _audit(self, request: Request) -> Response:
        message = read_message(request.body, AuditOf)
        self._require_template(message.template_id)
        if not 1 <= message.count <= ANSWERED_TOGETHER:
            raise UsageError("bad-usage", f"an audit names 1 to {ANSWERED_TOGETHER} situations", hint="ask for fewer")
        answers = await self._node.audit(count=message.count)
        return _document({"answers": [answer.as_dict() for answer in answers]})

    async def _confirm(self, request: Request) -> Response:
        message = read_message(request.body, Confirm)
        self._require_template(message.template_id)
        template = self._node.template
        row = dict(message.row)
        outcome = row.pop(template.outcome.name, None)
        action = row.pop(template.action.name, None) if template.action is not None else None
        answer = read_answer(message.answer)
        async with self._changing:
            done = await self._node.confirm(answer, situation=row, outcome=outcome, action=action)
        return _document({"packet_id": done.packet_id, "log_loss": done.log_loss, "learnt": done.learnt})

    async def _receipt(self, request: Request) -> Response:
        message = read_message(request.body, ReceiptOf)
        self._require_template(message.template_id)
        receipt = await self._node.receipt(read_answer(message.answer))
        return Response(status=200, body=receipt.to_bytes(), content_type=PACKETS)

    async def _packets(self, request: Request) -> Response:
        ids = read_message(request.body, Find).packet_ids
        if len(ids) > PACKETS_TOGETHER_MAX or any(not _is_packet_id(one) for one in ids):
            raise UsageError(
                "request-malformed",
                "the request cannot be read: these are no packet ids, or too many",
                hint=f"ask for at most {PACKETS_TOGETHER_MAX} ids of 64 hex digits at once",
            )
        return Response(status=200, body=(await self._node.find_packets(ids)).tobytes(), content_type=PACKETS)

    async def _synchronise(self, _request: Request) -> Response:
        async with self._changing:
            return _document({"new": await self._node.synchronise()})

    async def _end(self, _request: Request) -> Response:
        self._stop()
        return _document({"stopping": True})

    async def _metrics(self, _request: Request) -> Response:
        text = self.meters.exposition(await self._node.status(), refused_requests=self._refused())
        return Response(status=200, body=text, content_type=CONTENT_TYPE)

    def _peer_document(self, peer: PeerStatus) -> dict[str, Any]:
        return peer_document(peer) | {"organisation": self._config.organisation_of(peer.public_key)}

    def _require_template(self, template_id: str) -> None:
        own = self._node.template
        if template_id not in ("", own.template_id.hex()):
            raise UsageError(
                "template-not-served",
                f"the running node serves the template {own.name!r} ({own.template_id.hex()}), not {template_id}",
                hint="use that template, or stop the node: fingerpost node stop",
            )


def refusal(status: int, reason: str) -> Response:
    """Return the response to a request that is turned away; ``reason`` is the end of an error's code."""
    return Response(status=status, body=_json(error_document(_REFUSALS[reason])), refusal=reason)


def status_document(status: NodeStatus) -> dict[str, Any]:
    """Return the status of a node as JSON values."""
    return {
        "node_id": status.node_id.hex(),
        "public_key": status.public_key.hex(),
        "template": status.template_name,
        "template_id": status.template_id.hex(),
        "network_id": status.network_id,
        "carrier": status.carrier,
        "endpoint": status.endpoint,
        "directory": status.directory,
        "directory_endpoint": status.directory_endpoint,
        "packets": status.store.packets,
        "withdrawals": status.store.withdrawals,
        "emitters": status.store.emitters,
        "size_bytes": status.store.size_bytes,
        "peers": len(status.peers),
        "live_peers": status.live_peers,
        "received_bytes": status.received_bytes,
        "sent_bytes": status.sent_bytes,
        "received_packets": status.received_packets,
        "emitted_packets": status.emitted_packets,
        "acknowledged_packets": status.acknowledged_packets,
        "pending_packets": status.pending_packets,
    }


def peer_document(peer: PeerStatus) -> dict[str, Any]:
    """Return one peer as JSON values; ``heard_at`` is null for never."""
    return {
        "node_id": peer.node_id.hex(),
        "public_key": peer.public_key.hex(),
        "endpoint": peer.endpoint,
        "live": peer.live,
        "heard_at": peer.heard_at or None,
        "received_bytes": peer.received_bytes,
        "sent_bytes": peer.sent_bytes,
    }


def _is_arrow(request: Request) -> bool:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (ARROW, JSON):
        raise UsageError("request-malformed", f"the request cannot be read: it is {kind[:80]!r}", hint=f"send {JSON}")
    return kind == ARROW


def _is_packet_id(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _require_few(columns: Mapping[str, Any]) -> None:
    rows = len(next(iter(columns.values())))
    if rows > ROWS_TOGETHER_MAX:
        raise UsageError(
            "request-rows", f"{rows} rows in one request", hint=f"send at most {ROWS_TOGETHER_MAX} rows at once"
        )


def _status_of(error: FingerpostError) -> int:
    if isinstance(error, NetworkError):
        return 502
    return 500 if isinstance(error, StoreError) else 400


def _document(document: Mapping[str, Any]) -> Response:
    return Response(status=200, body=_json(document))


def _json(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(document)
