"""What Prometheus is told: counts, sizes and times of this node; never a situation, an outcome or an id.

The names are listed in docs/how-to/run-a-node.md, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from fingerpost import __version__

if TYPE_CHECKING:
    from fingerpost.node.status import NodeStatus

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
ANSWER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_GAUGES = {
    "packets_held": "Live packets in the store, own ones included.",
    "withdrawals_held": "Withdrawals in the store.",
    "emitters": "Nodes that have packets in the store.",
    "store_bytes": "Size of the store on the disk.",
    "packets_pending": "Packets emitted since the start that no other node is known to keep.",
}
_COUNTERS = {
    "received_bytes": "Bytes of frames that arrived.",
    "sent_bytes": "Bytes of frames that left.",
    "packets_received": "Packets from others that were new here.",
    "packets_emitted": "Packets made here.",
    "packets_acknowledged": "Packets made here that two other nodes keep too.",
    "directory_restarts": "How often the process of the directory was replaced.",
}


class Meters:
    """Everything that is measured on one daemon. Of one event loop."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # Nobody asks when a counter began.
        self._registry = CollectorRegistry(auto_describe=False)
        self._asks = Counter(
            "fingerpost_asks", "Situations asked about, by whether the answer abstained.", ["abstained"],
            registry=self._registry,
        )  # fmt: skip
        self.answer_seconds = Histogram(
            "fingerpost_answer_seconds",
            "Seconds that answering one request took, however many situations it asked about.",
            buckets=ANSWER_SECONDS,
            registry=self._registry,
        )
        for abstained in ("false", "true"):
            self._asks.labels(abstained)
        ProcessCollector(registry=self._registry)

    def asked(self, *, abstained: bool) -> None:
        """Count one answer."""
        self._asks.labels(str(abstained).lower()).inc()

    @property
    def asks(self) -> int:
        """Answers given so far."""
        samples = [sample for family in self._asks.collect() for sample in family.samples]
        return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))

    def exposition(self, status: NodeStatus, *, refused_requests: Mapping[str, int]) -> bytes:
        """Return everything in the text format of Prometheus."""
        once = CollectorRegistry(auto_describe=False)
        once.register(_Reading(status, refused_requests))
        return generate_latest(self._registry) + generate_latest(once)


class _Reading:
    """The status of a node as metric families."""

    def __init__(self, status: NodeStatus, refused_requests: Mapping[str, int]) -> None:
        self._status = status
        self._refused = {**status.refused, "control": refused_requests}

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        status = self._status
        yield InfoMetricFamily("fingerpost_build", "The version that runs.", {"version": __version__})
        values = {
            "packets_held": status.store.packets,
            "withdrawals_held": status.store.withdrawals,
            "emitters": status.store.emitters,
            "store_bytes": status.store.size_bytes,
            "packets_pending": status.pending_packets,
            "received_bytes": status.received_bytes,
            "sent_bytes": status.sent_bytes,
            "packets_received": status.received_packets,
            "packets_emitted": status.emitted_packets,
            "packets_acknowledged": status.acknowledged_packets,
            "directory_restarts": status.directory_restarts,
        }
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"fingerpost_{name}", text, values[name])
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"fingerpost_{name}", text, values[name])
        peers = GaugeMetricFamily("fingerpost_peers", "Peers, by whether they answered last.", labels=["state"])
        states = {"live": True, "silent": False, "unknown": None}
        for state, live in states.items():
            peers.add_metric([state], sum(peer.live is live for peer in status.peers))
        yield peers
        refused = CounterMetricFamily(
            "fingerpost_refused", "What was refused, by layer and reason.", labels=["layer", "reason"]
        )
        for layer, reasons in self._refused.items():
            for reason, count in reasons.items():
                refused.add_metric([layer, reason], count)
        yield refused
