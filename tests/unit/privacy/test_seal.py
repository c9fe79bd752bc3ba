"""Who has a consortium's keys reads its packets; keys follow each other and die."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.errors import KeyFileError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import TemplateId
from fingerpost.node.emission import build_packets, observation
from fingerpost.packet import PACKET_DTYPE, Profile, Signer, sealed_rows
from fingerpost.privacy.seal import GRACE_DAYS, EpochKey, KeyRing, Seals, emitter_key, passing_ring
from fingerpost.template import Template, parse_template

DAY = 20_000
SIGNER, OTHER_SIGNER = Signer(bytes(range(32))), Signer(bytes(range(1, 33)))
TEMPLATE = parse_template("""
format = 1
name = "sizes"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[conditions.region]
levels = ["north", "south"]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[privacy]
profile = "consortium"
[retention]
ttl_days = 30
""")


class Counter:
    """Entropy that a test can repeat."""

    def __init__(self) -> None:
        self.read_so_far = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes of 0, 1, 2, …"""
        start, self.read_so_far = self.read_so_far, self.read_so_far + size
        return bytes((start + offset) % 256 for offset in range(size))


def ring(*, template: Template = TEMPLATE, secret: bytes = bytes(range(32))) -> KeyRing:
    return KeyRing(template_id=template.template_id, keys=(), ttl_days=30).next(secret, day=DAY)


def packet(
    seals: Seals | None, *, size: int = 7, outcome: str = "worked", signer: Signer = SIGNER, day: int = DAY
) -> Any:
    one = observation(TEMPLATE, {"size": size}, outcome=outcome, conditions={"region": "north"})
    packets, _ = build_packets(
        TEMPLATE, Fingerprinter(TEMPLATE), one, signer=signer, day=day, entropy=Counter(), seals=seals
    )
    return packets


def test_members_read_what_a_member_sealed() -> None:
    packets = np.concatenate([packet(Seals(ring())), packet(Seals(ring()), signer=OTHER_SIGNER)])
    opened = Seals(ring()).open(packets)
    assert opened.rows.tolist() == [0, 1]
    assert (opened.packets["profile"] == Profile.OPEN).all()


def test_nobody_else_reads_it() -> None:
    packets = packet(Seals(ring()))
    assert not len(Seals(None).open(packets).rows)
    assert not len(Seals(ring(secret=bytes(32))).open(packets).rows)


def test_each_emitter_seals_under_a_key_of_its_own() -> None:
    keys = {emitter_key(bytes(32), TEMPLATE.template_id, emitter) for emitter in (bytes(32), bytes([1]) * 32)}
    assert len(keys) == 2


def test_without_keys_nothing_leaves() -> None:
    with pytest.raises(KeyFileError) as caught:
        packet(None)
    assert caught.value.code == "consortium-keys-absent"


def test_packets_that_are_not_sealed_pass_through() -> None:
    plain = np.zeros(2, PACKET_DTYPE)
    opened = Seals(ring()).open(plain)
    assert opened.rows.tolist() == [0, 1]
    assert not opened.secrets.any()


def test_the_secret_of_one_packet_opens_no_other() -> None:
    packets = np.concatenate([packet(Seals(ring())), packet(Seals(ring()), signer=OTHER_SIGNER)])
    first, second = Seals(ring()).open(packets).secrets
    assert first.tobytes() != second.tobytes()


def test_what_a_record_says_shows_in_the_sealed_bytes_only() -> None:
    """Two records, the same chance: beside ciphertext and signature no byte of their packets differs."""
    one, other = (
        packet(Seals(ring()), size=size, outcome=outcome) for size, outcome in ((7, "worked"), (93, "failed"))
    )
    differing = [name for name in PACKET_DTYPE.names or () if (one[name] != other[name]).any()]
    assert set(differing) == {"payload", "signature"}
    assert (one["payload"][:, :16] == other["payload"][:, :16]).all()
    assert (one["payload"][:, -16:] != other["payload"][:, -16:]).any()


def test_after_a_rotation_new_packets_need_the_new_key_and_old_ones_the_old() -> None:
    before = ring()
    after = before.next(bytes([9]) * 32, day=DAY + 3)
    old, new = packet(Seals(before)), packet(Seals(after), day=DAY + 3)
    assert len(Seals(after).open(old).rows) == len(Seals(after).open(new).rows) == 1
    assert not len(Seals(before).open(new).rows)
    assert after.current(DAY + 3).number == 2
    assert after.keys[0].last_day == DAY + 3 + GRACE_DAYS


def test_a_late_member_is_heard_for_a_few_days_only() -> None:
    before, after = ring(), ring().next(bytes([9]) * 32, day=DAY + 3)
    assert len(Seals(after).open(packet(Seals(before), day=DAY + 3 + GRACE_DAYS)).rows) == 1
    assert not len(Seals(after).open(packet(Seals(before), day=DAY + 4 + GRACE_DAYS)).rows)


def test_a_key_dies_with_the_last_packet_that_it_sealed() -> None:
    rotated = ring().next(bytes([9]) * 32, day=DAY + 3)
    last_packet_ends = DAY + 3 + GRACE_DAYS + 30
    assert [key.number for key in rotated.alive(last_packet_ends).keys] == [1, 2]
    assert [key.number for key in rotated.alive(last_packet_ends + 1).keys] == [2]


def test_a_ring_without_a_key_of_today_seals_nothing() -> None:
    with pytest.raises(KeyFileError) as caught:
        ring().current(DAY - 1)
    assert caught.value.code == "consortium-key-missing"


def test_a_damaged_key_is_refused_and_never_shown() -> None:
    with pytest.raises(KeyFileError):
        EpochKey(number=1, secret=b"short", first_day=0)
    with pytest.raises(KeyFileError):
        KeyRing(template_id=TemplateId(b"short"), keys=(), ttl_days=30)
    assert bytes(range(32)).hex() not in repr(ring())
    assert repr(bytes(range(32))) not in repr(ring())


def test_a_passing_ring_seals_as_any_other() -> None:
    passing = passing_ring(TEMPLATE.template_id, bytes([7]) * 32, day=DAY)
    assert sealed_rows(packet(Seals(passing))).all()
