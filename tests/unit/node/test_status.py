"""What a node has seen is counted by its own reasons, logged now and then, and bounded."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from fingerpost.carrier.base import Address
from fingerpost.ids import PublicKey
from fingerpost.node import status
from fingerpost.node.events import FrameRefused, PacketsArrived
from fingerpost.node.peers import Holder, Peers
from fingerpost.node.status import Watch
from fingerpost.store._memory import MemoryStore

PEER, OTHER = PublicKey(b"p" * 32), PublicKey(b"o" * 32)


@pytest.fixture
def watch() -> Watch:
    return Watch(store=MemoryStore())


def test_frames_are_counted_for_each_peer_and_in_all(watch: Watch) -> None:
    watch.heard(PEER, size_bytes=10, now=5.0)
    watch.heard(OTHER, size_bytes=20, now=6.0)
    watch.sent(PEER, size_bytes=7)
    watch.listed({PEER})
    assert (watch.received_bytes, watch.sent_bytes) == (30, 7)
    other, peer = watch.peers({PEER: Address(endpoint="127.0.0.1:1")}, Peers())
    assert (peer.public_key, peer.endpoint, peer.received_bytes, peer.sent_bytes) == (PEER, "127.0.0.1:1", 10, 7)
    assert (other.public_key, other.endpoint, other.heard_at) == (OTHER, "", 6.0)


def test_a_peer_lives_from_its_last_frame_to_its_first_silence(watch: Watch) -> None:
    known = Peers()
    known.know([Holder(public_key=PEER)])
    watch.listed({PEER})

    def live() -> list[bool | None]:
        return [peer.live for peer in watch.peers({PEER: Address(endpoint="x")}, known)]

    watch.listed({PEER})
    assert live() == [None]
    watch.silent(PEER)
    assert live() == [False]
    watch.heard(PEER, size_bytes=1, now=1.0)
    assert live() == [True]
    watch.sent(PEER, size_bytes=1)
    assert live() == [True]
    watch.silent(PEER)
    assert live() == [False]


def test_a_peer_that_the_directory_names_no_longer_is_forgotten_and_one_that_it_never_named_is_not(
    watch: Watch,
) -> None:
    watch.listed({PEER})
    for peer in (PEER, OTHER):
        watch.heard(peer, size_bytes=1, now=1.0)
    watch.listed(set())
    assert [peer.public_key for peer in watch.peers({}, Peers())] == [OTHER]
    assert watch.received_bytes == 2
    watch.listed({PEER})
    known = Peers()
    known.know([Holder(public_key=PEER), Holder(public_key=OTHER)])
    assert [peer.live for peer in watch.peers({}, known)] == [True, None]


def test_refusals_are_counted_and_logged_ever_more_rarely(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fingerpost.node"):
        for _ in range(9):
            watch.note(FrameRefused(peer=PEER, code="frame-invalid", message="secret"))
            watch.note(PacketsArrived(peer=PEER, stored=2, refused={"refused-future": 3}))
    assert watch.refused_frames == {"frame-invalid": 9}
    assert watch.refused_packets == {"refused-future": 27}
    assert watch.received_packets == 18
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition("(")[2] for line in lines if "frame-invalid" in line] == [
        f"{times} times so far)" for times in (1, 2, 4, 8)
    ]
    assert sum("refused-future" in line for line in lines) == 4
    assert not any("secret" in line for line in lines)


def test_only_so_many_peers_are_remembered(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "PEERS_REMEMBERED_MAX", 3)
    peers = [PublicKey(bytes([number]) * 32) for number in range(5)]
    for peer in [peers[0], *peers[1:3], peers[0], *peers[3:]]:
        watch.heard(peer, size_bytes=1, now=0.0)
    assert [peer.public_key for peer in watch.peers({}, Peers())] == [peers[0], *peers[3:]]


def test_a_program_that_uses_the_package_sees_its_log_only_when_it_wants_to() -> None:
    say = (
        "import logging, fingerpost.node.status; from fingerpost.ids import PublicKey; "
        "from fingerpost.store._memory import MemoryStore; "
        "fingerpost.node.status.Watch(store=MemoryStore()).silent(PublicKey(bytes(32)))"
    )
    quiet = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True)
    assert (quiet.stdout, quiet.stderr) == ("", "")
    told = subprocess.run(
        [sys.executable, "-c", f"import logging; logging.basicConfig(); {say}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "does not answer" in told.stderr
