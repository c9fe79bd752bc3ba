"""A node that runs on its own does the work of its home's commands, and leaves nothing behind when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost.carrier.base import Address, Peer
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.files import load_template
from fingerpost.ids import node_id
from fingerpost.node.daemon.presence import read_presence
from fingerpost.node.network import Network
from fingerpost.system import SystemClock
from fingerpost.testing.channel_identities import NumberedIdentity
from tests.integration.daemons import ROWS, SECONDS_MAX, Place, children_of, is_running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(name: str = "node", **options: Any) -> Place:
        places.append(Place.make(tmp_path / name, **options))
        return places[-1]

    yield make
    for one in places:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


def request(node: Place, method: str, path: str, *, token: str | None = None, body: bytes = b"", **headers: str) -> Any:
    """Send one request past the client and return its status and document."""
    presence = read_presence(node.home)
    assert presence is not None
    connection = http.client.HTTPConnection(presence.host, presence.port, timeout=SECONDS_MAX)
    token = presence.token if token is None else token
    try:
        connection.request(method, path, body=body, headers={"Authorization": f"Bearer {token}"} | headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_commands_print_the_same_through_a_running_node_and_without_one(place: Callable[..., Place]) -> None:
    node = place()
    ready = node.start()
    assert ready["public_key"] == node.public_key
    emitted = node.call("emit", "pumps.csv", "--output", "packets.bin", "--json")
    assert emitted.status == 0, emitted.err
    assert len(emitted.document["packet_ids"]) == len(set(emitted.document["packet_ids"])) == 50
    assert (node.folder / "packets.bin").stat().st_size == 50 * 512
    assert node.call("packet", "verify", "packets.bin").status == 0
    again = node.call("emit", "pumps.csv", "--json")
    assert again.document["error"]["code"] == "already-emitted"
    commands = [
        ["ask", "--set", "pressure=9.1", "--set", "model=B"],
        ["ask", "--set", "pressure=9.1", "--set", "model=B", "--json"],
        ["ask", "--csv", "pumps.csv", "--json"],
        ["ask", "--csv", "pumps.csv", "--format", "csv"],
        ["ask", "--set", "pressure=eleven", "--json"],
        ["ask", "--set", "pressure=1", "--condition", "colour=red", "--json"],
    ]
    through = [node.call(*command) for command in commands]
    receipt = node.call("ask", "--set", "pressure=9.1", "--set", "model=B", "--receipt", "a.receipt")
    assert receipt.status == 0, receipt.err
    assert node.call("verify", "a.receipt").status == 0
    assert node.call("node", "status", "--json").document["asks"] == 2 + 2 * 50 + 1
    assert node.end() == 0
    alone = [node.call(*command) for command in commands]
    assert [result.status for result in through] == [0, 0, 0, 0, 5, 5]
    assert through == alone
    confirmed = node.call(
        "confirm", "a.receipt", "--set", "pressure=9.1", "--set", "model=B", "--outcome", "failed", "--json"
    )
    assert confirmed.status == 0, confirmed.err
    node.start()
    repeated = node.call(
        *("confirm", "a.receipt", "--set", "pressure=9.1", "--set", "model=B", "--outcome", "failed"),
        *("--again", "--json"),
    )
    assert repeated.document | {"packet_id": ""} == confirmed.document | {"packet_id": ""}
    assert node.call("node", "status", "--json").document["packets"] == 52


def test_two_nodes_find_each_other_and_what_one_is_told_the_other_answers(place: Callable[..., Place]) -> None:
    first = place("first")
    second = place("second", bootstrap=[f"127.0.0.1:{first.dht_port}"])
    first.members.append(second.public_key)
    second.members.append(first.public_key)
    first.start()
    second.start()
    emitted = second.call("emit", "pumps.csv", "--json")
    assert emitted.status == 0, emitted.err
    assert emitted.document["holders"] == 1
    assert "and by      1 other node" in second.call("emit", "pumps.csv", "--again").out
    (peer,) = first.call("node", "peers", "--json").document["peers"]
    assert peer["public_key"] == second.public_key
    assert peer["endpoint"] == second.ready["endpoint"]
    assert peer["live"] is True
    assert peer["received_bytes"] > 50 * 512
    status = first.call("node", "status", "--json").document
    assert (status["packets"], status["received_packets"], status["live_peers"]) == (100, 100, 1)
    assert "1 live of 1 known" in first.call("node", "status").out
    assert "live" in first.call("node", "peers").out.splitlines()[1].split()
    told = second.call("node", "status", "--json").document
    assert (told["emitted_packets"], told["acknowledged_packets"]) == (100, 0), "two nodes are too few for that"
    for mode in ("cells", "direct"):
        asked = first.call("ask", "--set", "pressure=9.1", "--set", "model=B", "--mode", mode, "--json")
        gathering = asked.document["answers"][0]["gathering"]
        assert (gathering["mode"], gathering["holders_asked"], gathering["holders_answered"]) == (mode, 1, 1)
    answer = first.call("ask", "--set", "pressure=9.1", "--set", "model=B", "--json").document["answers"][0]
    assert {level["level"]: level["probability"] for level in answer["levels"]}["failed"] > 0.7
    second.end(signal.SIGKILL)
    lonely = first.call("emit", "pumps.csv", "--json")
    assert lonely.status == 0, lonely.err
    assert lonely.document["holders"] == 0
    status = first.call("node", "status", "--json").document
    assert (status["pending_packets"], status["live_peers"]) == (50, 0)


def test_a_node_that_is_stopped_takes_its_record_out_of_the_directory(place: Callable[..., Place]) -> None:
    first = place("first")
    others = [place(name, bootstrap=[f"127.0.0.1:{first.dht_port}"]) for name in ("second", "newcomer")]
    members = [node.public_key for node in (first, *others)]
    for node in (first, *others):
        node.members = members

    def found_by(node: Place) -> set[str]:
        return {peer["public_key"] for peer in node.call("node", "peers", "--json").document["peers"]}

    first.start()
    second, newcomer = others
    second.start()
    wait_until(lambda: found_by(first) == {second.public_key})
    assert second.end() == 0
    newcomer.start()
    wait_until(lambda: found_by(newcomer) != set())
    assert found_by(newcomer) == {first.public_key}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_in_order_and_nothing_is_left(place: Callable[..., Place], number: signal.Signals) -> None:
    node = place()
    process = node.start()["process"]
    children = children_of(process)
    assert children, "OpenDHT runs in a process of its own"
    assert stat.S_IMODE(node.home.control_file.stat().st_mode) == 0o600
    assert node.end(number) == 0
    assert not any(is_running(child) for child in children)
    assert not node.home.control_file.exists()
    lines = node.log()
    assert [line["message"] for line in lines] == ["ready", "stopping", "stopped"]
    assert node.call("node", "status", "--json").document["error"]["code"] == "daemon-not-running"


def test_a_signal_while_the_node_is_still_opening_ends_it_in_order(place: Callable[..., Place]) -> None:
    node = place(more='[log]\nlevel = "debug"\n')
    node.bootstrap = ["127.0.0.1:9"]
    process = node.launch()
    lock = node.home.store / "lock"
    wait_until(lambda: lock.exists() and lock.read_text().strip() == str(process.pid))
    assert node.end() == 0
    node.bootstrap = []
    assert node.start()["process"] != process.pid


def test_a_second_signal_ends_a_node_at_once(place: Callable[..., Place]) -> None:
    node = place()
    process = node.start()["process"]
    children = children_of(process)
    presence = read_presence(node.home)
    assert presence is not None
    with socket.create_connection((presence.host, presence.port)) as unfinished:
        unfinished.sendall(b"GET /v1/status HT")
        assert node.process is not None
        node.process.send_signal(signal.SIGTERM)
        wait_until(lambda: node.log()[-1]["message"] == "stopping")
        assert node.end() == 128 + signal.SIGTERM
    wait_until(lambda: not any(is_running(child) for child in children))
    assert node.start()["process"] != process


def test_the_stop_command_waits_until_the_process_is_gone(place: Callable[..., Place]) -> None:
    node = place()
    process = node.start()["process"]
    children = children_of(process)
    stopped = node.call("node", "stop", "--json")
    assert stopped.document["process"] == process
    assert not is_running(process)
    assert node.wait() == 0
    assert not any(is_running(child) for child in children)


def test_after_a_kill_commands_work_and_the_node_starts_again(place: Callable[..., Place]) -> None:
    node = place()
    process = node.start()["process"]
    children = children_of(process)
    assert node.call("emit", "pumps.csv").status == 0
    node.end(signal.SIGKILL)
    assert node.home.control_file.exists(), "a killed process cleans nothing up"
    wait_until(lambda: not any(is_running(child) for child in children))
    alone = node.call("ask", "--set", "pressure=9.1", "--json")
    assert alone.document["answers"][0]["packets"] == 50
    assert node.call("node", "stop", "--json").document["error"]["code"] == "daemon-not-running"
    assert node.start()["process"] != process
    assert node.call("node", "status", "--json").document["packets"] == 50
    assert node.call("ask", "--set", "pressure=9.1", "--json").document == alone.document


def test_a_file_that_names_another_living_process_is_known_to_be_stale(place: Callable[..., Place]) -> None:
    node = place()
    node.start()
    presence = json.loads(node.home.control_file.read_text())
    node.end(signal.SIGKILL)
    node.home.control_file.write_text(json.dumps(presence | {"process": os.getpid()}))
    assert node.call("node", "status", "--json").document["error"]["code"] == "daemon-not-running"


def test_a_second_node_on_one_home_is_refused(place: Callable[..., Place]) -> None:
    node = place()
    process = node.start()["process"]
    refused = node.call("node", "run", "--config", "node.toml", "--json")
    assert refused.status == 12
    assert refused.document["error"]["code"] == "daemon-running"
    assert str(process) in refused.document["error"]["message"]
    node.home.control_file.unlink()
    refused = node.call("node", "run", "--config", "node.toml", "--json")
    assert refused.document["error"]["code"] == "store-locked"
    assert refused.status == 8
    assert is_running(process)


def test_without_the_right_token_nothing_is_told_or_done(place: Callable[..., Place]) -> None:
    node = place()
    node.start()
    paths = {"/v1/status": "GET", "/v1/stop": "POST", "/v1/emit": "POST", "/v1/nothing": "POST", "/": "GET"}
    for path, method in paths.items():
        for token in ("", "0" * 64, "ÿ"):
            status, document = request(node, method, path, token=token)
            assert (status, document["error"]["code"]) == (401, "control-token")
            assert set(document) == {"error"}
    assert request(node, "GET", "/v1/status")[1]["refused"]["control"] == {"token": 15}
    assert [line["message"] for line in node.log() if line["level"] == "warning"] == [
        f"refused a request: token ({times} times so far)" for times in (1, 2, 4, 8)
    ]
    assert "token" in node.call("node", "status").out.splitlines()[-1]
    assert node.end() == 0


def test_a_stranger_and_a_member_that_talks_nonsense_are_counted_and_logged(place: Callable[..., Place]) -> None:
    node = place()
    member, stranger = NumberedIdentity(1), NumberedIdentity(2)
    node.members.append(member.public_key.hex())
    node.start()
    asyncio.run(talk_nonsense(node, member))
    asyncio.run(talk_nonsense(node, stranger))

    def refused(layer: str) -> dict[str, int]:
        counts: dict[str, int] = node.call("node", "status", "--json").document["refused"][layer]
        return counts

    wait_until(lambda: refused("frame") == {"frame-invalid": 2})
    wait_until(lambda: "not-admitted" in refused("carrier"))
    told = [line["message"] for line in node.log() if line["level"] == "warning"]
    name = node_id(member.public_key).hex()
    assert f"refused from {name}: frame-invalid (2 times so far)" in told
    assert any("not-admitted" in line for line in told)
    assert node.call("emit", "pumps.csv").status == 0
    (peer,) = node.call("node", "peers", "--json").document["peers"]
    assert (peer["public_key"], peer["endpoint"]) == (member.public_key.hex(), "")


async def talk_nonsense(node: Place, identity: NumberedIdentity) -> None:
    """Send two frames that are no message to a node, as ``identity``; whether they arrive is for the node to say."""
    network = Network(
        network_id="test",
        members=None,
        directory_settings={"bootstrap": [node.ready["directory_endpoint"]]},
    )
    carrier = await network.open_carrier(identity)
    directory = await network.open_directory(clock=SystemClock(), state=None)
    try:
        region = Region(template_id=load_template(node.folder / "pumps.toml").template_id)
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := await directory.find(region)):
                pass
        address = Address(endpoint=found[0].endpoint, channel_key=found[0].channel_key)
        with contextlib.suppress(NetworkError, TimeoutError):
            for frame in (b"nonsense", b"\x00" * 100_000):
                await carrier.send(frame, to=Peer(public_key=found[0].public_key, address=address))
            async with asyncio.timeout(1.0):  # Nothing is answered to nonsense.
                await carrier.receive()
    finally:
        await directory.close()
        await carrier.close()


def test_requests_that_make_no_sense_are_refused_by_name(place: Callable[..., Place]) -> None:
    node = place()
    node.start()
    rows = b'{"rows": [{"pressure": 1, "model": "A", "done": "grease", "result": "fine"}]}'
    cases = [
        (404, "control-path", request(node, "GET", "/v1/nothing")),
        (405, "control-method", request(node, "GET", "/v1/emit")),
        (403, "control-host", request(node, "GET", "/v1/status", Host="evil.example:80")),
        (413, "control-too-large", request(node, "POST", "/v1/emit", body=b" " * 33_554_433)),
        (400, "request-malformed", request(node, "POST", "/v1/emit", body=b'{"rows": [}')),
        (400, "request-malformed", request(node, "POST", "/v1/emit", body=b'{"rows": []}')),
        (400, "request-malformed", request(node, "POST", "/v1/emit", body=b'{"rows": [{}], "nothing": 1}')),
        (400, "request-malformed", request(node, "POST", "/v1/emit", body=b"[" * 100_000)),
        (400, "request-malformed", request(node, "POST", "/v1/ask", body=rows, **{"Content-Type": "text/csv"})),
        (
            400,
            "request-malformed",
            request(
                node, "POST", "/v1/emit", body=b"ARROW1", **{"Content-Type": "application/vnd.apache.arrow.stream"}
            ),
        ),
        (400, "request-malformed", request(node, "POST", "/v1/packets", body=b'{"packet_ids": ["zz"]}')),
        (
            400,
            "request-rows",
            request(node, "POST", "/v1/ask", body=json.dumps({"rows": [{"pressure": 1}] * 8_193}).encode()),
        ),
        (400, "bad-usage", request(node, "POST", "/v1/ask", body=b"{}")),
        (400, "answer-unreadable", request(node, "POST", "/v1/receipt", body=b'{"answer": {}}')),
        (
            400,
            "template-not-served",
            request(node, "POST", "/v1/emit", body=rows[:-1] + b', "template_id": "00"}'),
        ),
    ]
    assert [(status, document["error"]["code"]) for _, _, (status, document) in cases] == [
        (status, code) for status, code, _ in cases
    ]
    assert all(document["error"]["hint"] for _, _, (_, document) in cases)
    status, document = request(node, "POST", "/v1/emit", body=rows)
    assert (status, len(document["packet_ids"])) == (200, 1)
    assert node.end() == 0


def test_metrics_are_read_without_a_token_and_tell_no_names(place: Callable[..., Place]) -> None:
    node = place()
    node.start()
    assert node.call("emit", "pumps.csv").status == 0
    assert node.call("ask", "--set", "pressure=9.1", "--set", "model=B").status == 0
    url = node.call("node", "status", "--json").document["metrics_url"]
    host, _, port = url.removeprefix("http://").removesuffix("/metrics").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS_MAX)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["fingerpost_packets_held"]) == 50
    assert float(values["fingerpost_packets_emitted_total"]) == 50
    assert float(values["fingerpost_packets_pending"]) == 50
    assert float(values['fingerpost_asks_total{abstained="false"}']) == 1
    assert float(values["fingerpost_answer_seconds_count"]) == 1
    assert float(values['fingerpost_peers{state="live"}']) == 0
    for name in ("pressure", "failed", "grease", node.public_key, node.ready["node_id"]):
        assert name not in text


def test_with_metrics_off_there_are_none(place: Callable[..., Place]) -> None:
    node = place(more="[control]\nmetrics = false\n")
    node.start()
    assert node.call("node", "status", "--json").document["metrics"] is False
    assert request(node, "GET", "/metrics", token="none")[0] == 401
    assert request(node, "GET", "/metrics")[0] == 404


def test_the_log_holds_one_object_a_line_and_nothing_personal(place: Callable[..., Place]) -> None:
    node = place(more='[log]\nlevel = "debug"\n')
    node.start()
    assert node.call("emit", "pumps.csv").status == 0
    assert node.call("ask", "--set", "pressure=9.125", "--set", "model=B").status == 0
    assert node.call("ask", "--set", "pressure=eleven").status == 5
    token = json.loads(node.home.control_file.read_text())["token"]
    request(node, "GET", "/v1/status", token="5ecret")
    assert node.end() == 0
    lines = node.log()
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    text = (node.folder / "log").read_text()
    for secret in ("9.125", "eleven", "grease", "replace", "failed", token, "5ecret", node.home.key_file.read_text()):
        assert secret not in text


def test_systemd_is_told_when_the_node_is_ready_and_when_it_stops(place: Callable[..., Place], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "notify"))
        service.settimeout(SECONDS_MAX)
        node = place()
        process = node.start(extra={"NOTIFY_SOCKET": str(tmp_path / "notify")})["process"]
        assert service.recv(4_096).decode().splitlines() == ["READY=1", f"MAINPID={process}"]
        assert node.end() == 0
        assert service.recv(4_096) == b"STOPPING=1"


def test_a_table_is_resumed_through_a_running_node_where_it_was_interrupted(place: Callable[..., Place]) -> None:
    node = place()
    (node.folder / "long.csv").write_text("\n".join([ROWS[0], *(ROWS[1:] * 400)]) + "\n")
    node.start()
    emitted = node.call("emit", "long.csv", "--json")
    assert emitted.status == 0, emitted.err
    assert (emitted.document["packets"], emitted.document["bytes"]) == (20_000, 20_000 * 512)
    assert len(set(emitted.document["packet_ids"])) == 20_000
    (note,) = [path for path in node.home.emitted.iterdir() if json.loads(path.read_text())["total"] == 20_000]
    note.write_text(json.dumps(json.loads(note.read_text()) | {"rows": 19_990}))
    resumed = node.call("emit", "long.csv", "--json")
    assert resumed.document["packets"] == 10
    assert node.call("node", "status", "--json").document["packets"] == 20_010


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens in another process; fail when it never does."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        with contextlib.suppress(InterruptedError):
            time.sleep(0.01)
