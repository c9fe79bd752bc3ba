"""Arrays of packets are signed and verified as single packets are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.errors import PacketError, UsageError
from fingerpost.packet import (
    BODY_DTYPE,
    BODY_SIZE_BYTES,
    PACKET_DTYPE,
    Reason,
    RootCache,
    Signer,
    _verifying,
    check_structure,
    encode,
    packet_ids,
    packets_from_frame,
    sign_batch,
    sign_bodies,
    verify_packets,
)
from fingerpost.packet._layout import Octets, Structured
from tests.unit.packet.samples import SIGNER, one_of_each_kind, packet


def bodies_of(count: int) -> Octets:
    body = np.frombuffer(packet().body(), np.uint8)
    bodies = np.tile(body, (count, 1))
    bodies.view(BODY_DTYPE)[:, 0]["cell"] = np.arange(count)
    return bodies


def mixed() -> Structured:
    return packets_from_frame(b"".join(encode(signed) for signed in sign_batch(one_of_each_kind(), SIGNER)))


def test_bodies_are_signed_to_the_same_bytes_as_packets() -> None:
    packets = one_of_each_kind()
    bodies = np.stack([np.frombuffer(one.body(), np.uint8) for one in packets])
    expected = b"".join(encode(signed) for signed in sign_batch(packets, SIGNER))
    assert sign_bodies(bodies, SIGNER).tobytes() == expected
    assert sign_bodies(bodies.view(BODY_DTYPE)[:, 0], SIGNER).tobytes() == expected


def test_packets_of_every_kind_are_valid_together_and_their_ids_are_those_of_the_values() -> None:
    packets = mixed()
    assert verify_packets(packets).all()
    assert [bytes(one) for one in packet_ids(packets)] == [bytes(one.packet_id) for one in one_of_each_kind()]


def test_every_256_packets_in_a_row_form_a_batch() -> None:
    packets = sign_bodies(bodies_of(300), SIGNER)
    assert packets["leaf_last"].tolist() == [255] * 256 + [43] * 44
    assert verify_packets(packets).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 9])
def test_a_batch_is_valid_in_any_order_and_in_any_part(count: int) -> None:
    packets = sign_bodies(bodies_of(count), SIGNER)
    assert verify_packets(packets).all()
    assert verify_packets(packets[::-1]).all()
    assert verify_packets(packets[1:]).all()
    assert verify_packets(np.concatenate((packets, packets))).all()


@pytest.mark.parametrize("count", [64, 100, 129, 256])
def test_a_large_batch_with_a_gap_is_valid_but_for_what_was_changed(count: int) -> None:
    packets = np.delete(sign_bodies(bodies_of(count), SIGNER), [3, 7, count // 2])
    shuffled = packets[np.random.default_rng(count).permutation(len(packets))]
    assert verify_packets(shuffled).all()
    shuffled["path"][10, 2, 0] ^= 1
    shuffled["cell"][20] += 1_000
    twice = np.concatenate((shuffled, shuffled[:30]))
    bad = {10, 20, len(shuffled) + 10, len(shuffled) + 20}
    assert verify_packets(twice).tolist() == [row not in bad for row in range(len(twice))]


@pytest.mark.parametrize("missing", [[], [0], [128], [3, 77, 127]])
def test_no_path_of_a_large_batch_is_followed_where_nothing_is_wrong(
    monkeypatch: pytest.MonkeyPatch, missing: list[int]
) -> None:
    def follow(*_arguments: Any) -> bytes:
        raise AssertionError("the tree gives the root")

    packets = np.delete(sign_bodies(bodies_of(129), SIGNER), missing)
    monkeypatch.setattr(_verifying, "root_from_path", follow)
    assert verify_packets(packets[::-1]).all()


def test_interleaved_batches_are_told_apart() -> None:
    packets = np.concatenate((sign_bodies(bodies_of(4), SIGNER), sign_bodies(bodies_of(6)[::-1], SIGNER)))
    order = np.array([0, 4, 1, 5, 2, 6, 3, 7, 8, 9])
    assert verify_packets(packets[order]).all()


def test_one_tampered_packet_does_not_spoil_its_batch() -> None:
    packets = sign_bodies(bodies_of(9), SIGNER).copy()
    packets["cell"][3] += 100
    assert verify_packets(packets).tolist() == [row != 3 for row in range(9)]
    packets["signature"][5, 0] ^= 1
    assert verify_packets(packets).tolist() == [row not in {3, 5} for row in range(9)]


def test_a_tampered_path_fails_its_packet_although_the_whole_batch_is_there() -> None:
    packets = sign_bodies(bodies_of(4), SIGNER).copy()
    packets["path"][2, 0, 0] ^= 1
    assert verify_packets(packets).tolist() == [True, True, False, True]


@pytest.mark.parametrize("count", [2, 16])
def test_a_batch_of_forgeries_only_is_refused_whole(count: int) -> None:
    packets = sign_bodies(bodies_of(count), SIGNER).copy()
    packets["path"][:, 0, 0] ^= 1
    assert not verify_packets(packets).any()


@pytest.mark.parametrize("count", [6, 16, 100])
def test_a_forgery_with_the_proof_of_a_packet_of_a_whole_batch_is_refused(count: int) -> None:
    packets = sign_bodies(bodies_of(count), SIGNER)
    forged = packets[1:2].copy()
    forged["cell"] += 1_000
    gaps = np.concatenate((forged, np.delete(packets, 5)))
    for gathered in (np.concatenate((packets, forged)), np.concatenate((forged, packets)), gaps, gaps[::-1]):
        expected = [not np.array_equal(one["cell"], forged["cell"][0]) for one in gathered]
        assert verify_packets(gathered).tolist() == expected


@pytest.mark.parametrize("changed", ["message", "signature", "public_key"])
def test_a_cached_verdict_is_for_one_message_signature_and_key(changed: str) -> None:
    cache = RootCache()
    claim = {"message": b"m", "signature": SIGNER.sign(b"m"), "public_key": SIGNER.public_key}
    assert cache.holds(**claim)
    other = {"message": b"n", "signature": SIGNER.sign(b"n"), "public_key": Signer(bytes(32)).public_key}
    assert not cache.holds(**(claim | {changed: other[changed]}))
    assert cache.holds(**claim)


def test_what_breaks_the_structure_is_invalid_and_the_rest_is_still_checked() -> None:
    packets = sign_bodies(bodies_of(3), SIGNER).copy()
    packets["version"][1] = 9
    assert check_structure(packets).tolist() == [Reason.FINE, Reason.VERSION, Reason.FINE]
    assert verify_packets(packets).tolist() == [True, False, True]
    packets["version"] = 9
    assert not verify_packets(packets).any()


def test_known_ids_spare_the_hashing_and_are_trusted() -> None:
    packets = sign_bodies(bodies_of(3), SIGNER)
    assert verify_packets(packets, ids=packet_ids(packets)).all()
    assert not verify_packets(packets, ids=np.zeros((3, 32), np.uint8)).any()


def test_a_cache_keeps_verdicts_and_forgets_the_oldest_of_each_kind_first() -> None:
    cache = RootCache(size_max=2)
    for count in (1, 2, 3):
        assert verify_packets(sign_bodies(bodies_of(count), SIGNER), cache=cache).all()
    assert len(cache) == 2
    forged = sign_bodies(bodies_of(1), SIGNER).copy()
    forged["signature"][0, 0] ^= 1
    assert not verify_packets(forged, cache=cache).any()
    assert not verify_packets(forged, cache=cache).any()
    assert len(cache) == 3


def test_a_frame_of_no_bytes_holds_no_packets_and_a_torn_one_is_refused() -> None:
    assert packets_from_frame(b"").shape == (0,)
    with pytest.raises(PacketError, match="not whole packets") as caught:
        packets_from_frame(bytes(513))
    assert caught.value.code == "packet-length"


def test_a_body_that_is_not_valid_is_named_and_nothing_is_signed() -> None:
    bodies = bodies_of(3)
    bodies[1, 0] ^= 1
    with pytest.raises(PacketError, match="body 1 of 3") as caught:
        sign_bodies(bodies, SIGNER)
    assert caught.value.code == "packet-magic"


def test_a_signer_signs_only_what_names_it() -> None:
    with pytest.raises(UsageError) as caught:
        sign_bodies(bodies_of(2), Signer(bytes(32)))
    assert caught.value.code == "batch-emitter"
    with pytest.raises(UsageError) as caught:
        sign_batch([packet()], Signer(bytes(32)))
    assert caught.value.code == "batch-emitter"
    with pytest.raises(UsageError) as caught:
        sign_batch([], SIGNER)
    assert caught.value.code == "batch-size"


def test_a_body_is_the_head_of_its_packet() -> None:
    assert PACKET_DTYPE.itemsize == 512
    assert encode(sign_batch([packet()], SIGNER)[0])[:BODY_SIZE_BYTES] == packet().body()


def test_of_part_of_a_batch_whose_paths_all_deny_their_neighbours_nothing_is_verified() -> None:
    packets = sign_bodies(bodies_of(256), SIGNER)[:100].copy()
    assert verify_packets(packets).all()
    packets["path"].view(np.uint8).reshape(len(packets), -1)[:, 0] ^= 1  # what each says of the packet beside it
    assert not verify_packets(packets).any()
