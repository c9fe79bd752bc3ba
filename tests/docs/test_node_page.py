"""The page about running a node names every metric, every path and every line of the log, and nothing else."""

from __future__ import annotations

import ast
import re

from fingerpost.ids import NodeId, PublicKey
from fingerpost.node.daemon.meters import Meters
from fingerpost.node.status import NodeStatus
from fingerpost.store.base import StoreStats
from tests.docs import pages

PAGE = (pages.ROOT / "docs/how-to/run-a-node.md").read_text(encoding="utf-8")
SOURCE = pages.ROOT / "src/fingerpost"
LOGGING = ("node/*.py", "node/daemon/*.py", "carrier/*.py", "directory/*.py")
STATUS = NodeStatus(
    node_id=NodeId(bytes(32)),
    public_key=PublicKey(bytes(32)),
    template_id=bytes(16),
    template_name="x",
    network_id="x",
    carrier="x",
    endpoint="",
    directory="x",
    directory_endpoint="",
    directory_restarts=0,
    store=StoreStats(
        packets=0,
        withdrawals=0,
        emitters=0,
        templates=0,
        dead_packets=0,
        dead_since=None,
        size_bytes=0,
        generation=0,
    ),
    peers=(),
    received_bytes=0,
    sent_bytes=0,
    received_packets=0,
    emitted_packets=0,
    acknowledged_packets=0,
    unsettled_emissions=0,
    refused={"carrier": {}, "directory": {}, "frame": {}, "packet": {"refused-future": 3}},
)


def test_the_page_lists_every_metric_with_its_kind() -> None:
    text = Meters().exposition(STATUS, refused_requests={"token": 2}).decode()
    told = dict(re.findall(r"^# TYPE (fingerpost_\w+) (\w+)$", text, re.MULTILINE))
    assert dict(re.findall(r"^\| `(fingerpost_\w+)` \| (\w+) \|", PAGE, re.MULTILINE)) == told
    assert 'fingerpost_refused_total{layer="packet",reason="refused-future"} 3.0' in text
    assert 'fingerpost_refused_total{layer="control",reason="token"} 2.0' in text


def test_the_page_lists_every_path_of_the_control_api_with_its_method() -> None:
    source = (SOURCE / "node/daemon/api.py").read_text(encoding="utf-8")
    served = set(re.findall(r'"(/v1/[\w/]+|/metrics)"\]? ?[:=] \("(\w+)"', source))
    assert len(served) == 15
    assert {(path, method) for method, path in re.findall(r"^\| `(\w+) (/[\w/]+)` \|", PAGE, re.MULTILINE)} == served


def test_the_page_lists_every_line_of_the_log() -> None:
    logged = set()
    for path in sorted(path for part in LOGGING for path in SOURCE.glob(part)):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            function = ast.unparse(call.func)
            said = call.args[1 if function == "log_event" else 0]
            if (function == "log_event" or function.startswith("_LOG.")) and isinstance(said, ast.Constant):
                logged.add(str(said.value))
    table = " ".join(re.findall(r"^\| `fingerpost\.\w+` \| (.*)$", PAGE, re.MULTILINE))
    shown = {re.sub(r"\b[A-Z]+\b", "%", text) for text in re.findall(r"`([^`]+)`", table)}
    missing = {line for line in logged if re.sub(r"%[sd]", "%", line) not in shown}
    assert logged >= {"ready", "refused %s: %s (%d times so far)", "refused in the directory: %s (%d times so far)"}
    assert missing == set()
