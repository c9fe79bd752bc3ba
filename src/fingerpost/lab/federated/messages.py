"""What travels between clients and server: Flower's own messages, so that every arm's bytes are counted alike.

Models travel as float32, as they would from any deep learning library; numbers that arrive are those that were sent.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Parameters = list["NDArray[np.float64]"]


class Line:
    """The line between clients and server for arms that Flower does not have: what crosses it is encoded and counted.

    Between clients, where there is no server, everything goes ``up``.
    """

    def __init__(self) -> None:
        prepare_flower()
        self.bytes_down = self.bytes_up = 0

    def down(self, parts: Sequence[NDArray[np.float64]], *, client: int, turn: int) -> Parameters:
        """Send arrays from the server to a client; return what arrives."""
        from flwr.app import ConfigRecord, RecordDict

        sent = _as_float32(parts)
        content = RecordDict({"arrays": _record(sent), "config": ConfigRecord({"server-round": turn})})
        self.bytes_down += size_of_message(_message(content, client))
        return [part.astype(np.float64) for part in sent]

    def up(self, parts: Sequence[NDArray[np.float64]], *, client: int, rows: int) -> Parameters:
        """Send arrays from a client with so many rows; return what arrives."""
        sent = _as_float32(parts)
        self.up_as_is(sent, client=client, rows=rows)
        return [part.astype(np.float64) for part in sent]

    def up_as_is(self, arrays: Sequence[NDArray[Any]], *, client: int, rows: int) -> None:
        """Count arrays of any type, as compressed updates are, on their way from a client."""
        from flwr.app import Message, MetricRecord, RecordDict

        content = RecordDict({"arrays": _record(arrays), "metrics": MetricRecord({"num-examples": rows})})
        self.bytes_up += size_of_message(Message(content, reply_to=_message(RecordDict(), client)))


def float32_record(parameters: Sequence[NDArray[np.float64]]) -> Any:
    """Return a model as Flower's record of float32 arrays."""
    return _record(_as_float32(parameters))


def size_of_message(message: Any) -> int:
    """Return the bytes of a message of Flower as protobuf."""
    from flwr.common.serde import message_to_proto

    return int(message_to_proto(message).ByteSize())


def prepare_flower() -> None:
    """Keep Flower from reporting its use and from printing every round; give its messages the identity they ask for."""
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    from flwr.supercore.task_identity import TaskIdentity

    logging.getLogger("flwr").setLevel(logging.ERROR)  # after the import, which sets it itself

    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


def _message(content: Any, client: int) -> Any:
    from flwr.app import Message

    return Message(content, client + 1, "train")


def _as_float32(parts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float32]]:
    return [part.astype(np.float32) for part in parts]


def _record(arrays: Sequence[NDArray[Any]]) -> Any:
    from flwr.app import ArrayRecord

    return ArrayRecord(list(arrays))
