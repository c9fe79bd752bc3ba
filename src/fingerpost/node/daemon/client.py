"""Speaking to the running node of a home: the verbs of ``fingerpost.Node``, answered by another process."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import numpy as np
import numpy.typing as npt

from fingerpost.errors import DaemonError
from fingerpost.limits import PROBES_DEFAULT
from fingerpost.node import asking
from fingerpost.node.asking import Mode
from fingerpost.node.daemon.messages import (
    ARROW,
    JSON,
    PACKETS_TOGETHER_MAX,
    ROWS_TOGETHER_MAX,
    arrow_of_columns,
    read_emission,
    read_error,
)
from fingerpost.node.emission import is_release, observation
from fingerpost.node.reports import Confirmation, Emission
from fingerpost.node.subject_book import Forgotten
from fingerpost.packet import PACKET_DTYPE
from fingerpost.privacy.subjects import subject_text
from fingerpost.synthesis.answer_reading import read_answer
from fingerpost.synthesis.receipt import Receipt
from fingerpost.template import Template

if TYPE_CHECKING:
    from fingerpost.node.daemon.presence import Presence
    from fingerpost.synthesis import Answer

ANSWER_SECONDS_MAX = 600.0
ANSWERED_TOGETHER = 256
BODY_SIZE_BYTES_MAX = 16_777_216  # half of what the server takes: rows are halved until they fit
RESPONSE_SIZE_BYTES_MAX = 268_435_456


class DaemonClient:
    """Sends requests to one running node, each on a connection of its own."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    @property
    def process(self) -> int:
        """The process that the node runs in."""
        return self._presence.process

    @property
    def is_alive(self) -> bool:
        """Whether that process still runs."""
        return self._presence.is_alive

    @property
    def url(self) -> str:
        """Where the node serves, without a path."""
        host = f"[{self._presence.host}]" if ":" in self._presence.host else self._presence.host
        return f"http://{host}:{self._presence.port}"

    def get(self, path: str) -> dict[str, Any]:
        """Return the document at a path. Raises the error that the node answers with, and ``DaemonError``."""
        return self._document(self.request("GET", path))

    def post(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Send a document and return the one that is answered. Raises as ``get`` does."""
        return self._document(self.request("POST", path, body=json.dumps(document).encode()))

    def post_table(
        self, path: str, columns: Mapping[str, Any], options: Mapping[str, str], *, wait: float = ANSWER_SECONDS_MAX
    ) -> dict[str, Any]:
        """Send the columns of a table and return the document that is answered. Raises as ``get`` does."""
        target, body = f"{path}?{urlencode(options)}", arrow_of_columns(columns)
        return self._document(self.request("POST", target, body=body, content_type=ARROW, wait=wait))

    def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        content_type: str = JSON,
        wait: float = ANSWER_SECONDS_MAX,
    ) -> bytes:
        """Return the body of the response to one request, which may take ``wait`` seconds.

        Raises ``DaemonError``: ``daemon-unreachable``, ``daemon-answer``; else the error that the node answers with.
        """
        where = self._presence
        connection = http.client.HTTPConnection(where.host, where.port, timeout=wait)
        headers = {"Authorization": f"Bearer {where.token}", "Content-Type": content_type}
        try:
            connection.request(method, target, body=body or None, headers=headers)
            response = connection.getresponse()
            content = response.read(RESPONSE_SIZE_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise DaemonError(
                "daemon-unreachable",
                f"the running node (process {where.process}) gives no answer: {error or type(error).__name__}",
                hint="look into its log; what it has acknowledged before is kept",
            ) from None
        finally:
            connection.close()
        if len(content) > RESPONSE_SIZE_BYTES_MAX:
            raise _nonsense("it is too large")
        if response.status != 200:
            raise read_error(self._document(content).get("error", {}))
        return content

    @staticmethod
    def _document(content: bytes) -> dict[str, Any]:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _nonsense(str(error)) from None
        if not isinstance(document, dict):
            raise _nonsense("it is no JSON object")
        return document


class RemoteNode:
    """The running node as one sees it who asks and tells; see ``fingerpost.Node`` for what each verb does and raises.

    Every verb raises ``UsageError`` (``template-not-served``) when the node speaks another template.
    """

    def __init__(self, client: DaemonClient, template: Template) -> None:
        self._client = client
        self._template = template
        self._id = template.template_id.hex()

    def emit_table(
        self,
        columns: Mapping[str, Any],
        *,
        subject_column: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Emission:
        """Tell the outcomes of a table, in parts; each part is durable when ``progress`` is called.

        What leaves as one release goes as a whole.
        """
        if is_release(self._template):
            emission = self._emit_whole("/v1/emit", columns, subject_column=subject_column or "")
            if progress is not None:
                progress(_rows_of(columns), _rows_of(columns))
            return emission
        options = {"template_id": self._id, "subject_column": subject_column or ""}
        done, parts = 0, list[Emission]()
        for part in _parts(columns):
            document = self._client.post_table("/v1/emit", part, options)
            found = read_emission(document)
            problems = (replace(problem, row=problem.row + done) for problem in found.problems)
            parts.append(replace(found, problems=tuple(problems)))
            done += _rows_of(part)
            if progress is not None:
                progress(done, _rows_of(columns))
        return Emission(
            packet_ids=tuple(packet_id for part in parts for packet_id in part.packet_ids),
            problems=tuple(problem for part in parts for problem in part.problems),
            size_bytes=sum(part.size_bytes for part in parts),
            holders=min(part.holders for part in parts),
            acknowledged=all(part.acknowledged for part in parts),
            learnt=sum(part.learnt for part in parts),
        )

    def emit_sum(
        self, columns: Mapping[str, Any], *, subject_column: str, parties: Sequence[bytes], seconds: float
    ) -> Emission:
        """Release a table's counts added up with those of other nodes, all of which do the same at the same time."""
        return self._emit_whole(
            "/v1/sum",
            columns,
            wait=2 * seconds + ANSWER_SECONDS_MAX,  # for all to be there, for what they send, and for the rest
            subject_column=subject_column,
            parties=",".join(party.hex() for party in parties),
            seconds=str(seconds),
        )

    def _emit_whole(
        self, path: str, columns: Mapping[str, Any], *, wait: float = ANSWER_SECONDS_MAX, **options: str
    ) -> Emission:
        """Hand over a table, in parts where it is long, and have it emitted as one."""
        *others, last = _parts(columns)
        if others:
            options["upload"] = secrets.token_hex(16)
        for part in others:
            self._client.post_table(path, part, options | {"template_id": self._id, "more": "true"})
        found = self._client.post_table(path, last, options | {"template_id": self._id}, wait=wait)
        return read_emission(found)

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
        question = {
            "situation": dict(situation),
            "conditions": dict(conditions or {}),
            "template_id": self._id,
            "mode": mode,
            "cells": cells,
            "tells_situation": tells_situation,
            "subject": subject_text(subject) or "",
        }
        return read_answer(self._client.post("/v1/ask", question)["answers"][0])

    def ask_table(self, columns: Mapping[str, Any]) -> list[Answer]:
        """Return an answer for each row of a table."""
        rows, answers = len(next(iter(columns.values()))), list["Answer"]()
        for start in range(0, rows, ANSWERED_TOGETHER):
            part = {name: column[start : start + ANSWERED_TOGETHER] for name, column in columns.items()}
            found = self._client.post_table("/v1/ask", part, {"template_id": self._id})
            answers += [read_answer(answer) for answer in found["answers"]]
        return answers

    def audit(self, *, count: int = 10) -> list[Answer]:
        """Return answers about known situations, those first whose confirmation would help most."""
        found = self._client.post("/v1/audit", {"count": count, "template_id": self._id})
        return [read_answer(answer) for answer in found["answers"]]

    def confirm(
        self, answer: Answer, *, situation: Mapping[str, object], outcome: object, action: object = None
    ) -> Confirmation:
        """Tell how the situation of an answer turned out."""
        observation(self._template, situation, outcome=outcome, action=action)  # Raises what one record alone would.
        row = {**situation, self._template.outcome.name: outcome}
        if self._template.action is not None:
            row[self._template.action.name] = action
        document = {"row": row, "answer": answer.as_dict(), "template_id": self._id}
        found = self._client.post("/v1/confirm", document)
        return Confirmation(
            packet_id=found["packet_id"], log_loss=asking.log_loss(answer, outcome), learnt=found["learnt"]
        )

    def forget(self, subject: object) -> Forgotten:
        """Withdraw every packet of the template that tells something about a subject."""
        found = self._client.post("/v1/forget", {"subject": str(subject), "template_id": self._id})
        return msgspec.convert(found, Forgotten)

    def receipt(self, answer: Answer) -> Receipt:
        """Return the evidence of an answer."""
        body = json.dumps({"answer": answer.as_dict(), "template_id": self._id}).encode()
        return Receipt.from_bytes(self._client.request("POST", "/v1/receipt", body=body))

    def find_packets(self, ids: Sequence[str]) -> npt.NDArray[np.void]:
        """Return the live packets with these ids (64 hex digits each), in their order, without those not there."""
        parts = [
            self._client.request("POST", "/v1/packets", body=json.dumps({"packet_ids": part}).encode())
            for start in range(0, len(ids), PACKETS_TOGETHER_MAX)
            if (part := list(ids[start : start + PACKETS_TOGETHER_MAX]))
        ]
        return np.frombuffer(b"".join(parts), PACKET_DTYPE)

    def explain(self, node: bytes) -> dict[str, Any]:
        """Return why a node was hired or refused, as plain values."""
        return self._client.post("/v1/peers/explain", {"node_id": node.hex()})

    def graph(self) -> dict[str, Any]:
        """Return who agrees with whom, as plain values."""
        return self._client.get("/v1/peers/graph")

    def synchronise(self) -> int:
        """Fetch every packet that the network holds for the template; return how many were new there."""
        return int(self._client.post("/v1/synchronise", {})["new"])


def _parts(columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, as many together as fit into one request; at least one part."""
    start, count = 0, ROWS_TOGETHER_MAX
    while start < _rows_of(columns) or not start:
        part = {name: column[start : start + count] for name, column in columns.items()}
        if count > 1 and len(arrow_of_columns(part)) > BODY_SIZE_BYTES_MAX:
            count //= 2
            continue
        yield part
        start += count


def _rows_of(columns: Mapping[str, Any]) -> int:
    return len(next(iter(columns.values())))


def _nonsense(what: str) -> DaemonError:
    return DaemonError(
        "daemon-answer",
        f"the running node's answer cannot be read: {what}",
        hint="is it of the same version as this command?",
    )
