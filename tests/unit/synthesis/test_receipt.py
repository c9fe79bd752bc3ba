"""Receipts: what they prove, and that nothing false passes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from fingerpost.errors import ReceiptError
from fingerpost.packet import PACKET_DTYPE, packet_ids, packets_from_frame
from fingerpost.synthesis import Answer, Evidence, KernelOptions, Receipt, make_receipt, synthesize, verify_receipt
from fingerpost.synthesis.receipt import HEADER, RECEIPT_SIZE_BYTES_MAX
from fingerpost.template import Template
from tests.unit.synthesis import worlds

SMALL = KernelOptions(whole_packets_max=32, neighbours=32, search_packets_max=60, calibration_packets_max=32)


def answered(template: Template, packets: Any, options: KernelOptions | None = None) -> Answer:
    evidence = Evidence.from_packets(packets, template)
    query = worlds.queries(template, worlds.situations(70, 1))[0]
    return synthesize(query, evidence, template, day=worlds.DAY, options=options)


def receipt_of(template: Template, *, options: KernelOptions | None = None, **more: Any) -> Receipt:
    packets = worlds.pool(template, rows=40, **more)
    return make_receipt(answered(template, packets, options), packets, template, options=options)


def with_digest(content: bytes) -> bytes:
    return HEADER + hashlib.blake2s(content).digest() + content


def changed(receipt: Receipt, change: Callable[[dict[str, Any]], object]) -> Receipt:
    claims = json.loads(receipt.claims)
    change(claims)
    text = json.dumps(claims, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return msgspec.structs.replace(receipt, claims=text.encode())


def code_of(receipt: Receipt | bytes) -> str:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt)
    return caught.value.code


@pytest.mark.parametrize(
    "make",
    [worlds.category_template, worlds.number_template, worlds.sketch_template, lambda: worlds.forgetful_template(9)],
)
def test_an_answer_is_derived_again_from_its_receipt(make: Callable[[], Template]) -> None:
    template = make()
    packets = worlds.pool(template, rows=40, action=1)
    answer = answered(template, packets)
    data = make_receipt(answer, packets, template).to_bytes()
    found = verify_receipt(data)
    assert found.answer == answer
    assert (found.packets, found.nodes, found.whole) == (40, 4, True)
    assert "derivation verified" in found.statements
    assert "completeness: not attested" in found.statements


def test_arrival_order_and_other_packets_do_not_change_a_receipt() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template, rows=40)
    answer = answered(template, packets)
    expired = worlds.pool(template, rows=4, seed=5, day=worlds.DAY - 2_000)
    shuffled = np.concatenate([expired, packets[::-1]])
    receipt = make_receipt(answer, packets, template)
    assert make_receipt(answer, shuffled, template) == receipt


def test_any_changed_byte_of_the_file_is_noticed() -> None:
    data = receipt_of(worlds.category_template()).to_bytes()
    for place in [*range(60), *np.random.default_rng(0).integers(60, len(data), 200).tolist()]:
        broken = bytearray(data)
        broken[place] ^= 1 << (place % 8)
        assert code_of(bytes(broken)) in {"receipt-format", "receipt-digest"}


def test_any_changed_byte_of_a_packet_is_noticed_even_under_a_new_digest() -> None:
    receipt = receipt_of(worlds.category_template())
    places = [*range(512), *np.random.default_rng(1).integers(512, len(receipt.packets), 40).tolist()]
    for place in places[::7]:
        broken = bytearray(receipt.packets)
        broken[place] ^= 1 << (place % 8)
        code = code_of(msgspec.structs.replace(receipt, packets=bytes(broken)))
        assert code in {"receipt-packets", "receipt-signature"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("levels[1].probability", lambda c: c["levels"][1].update(probability=c["levels"][1]["probability"] + 1e-6)),
        ("levels[0].high", lambda c: c["levels"][0].update(high=0.999)),
        ("levels[0].level", lambda c: c["levels"][0].update(level="grand")),
        ("confidence", lambda c: c.update(confidence=1.0)),
        ("effective_sample_size", lambda c: c.update(effective_sample_size=400.0)),
        ("abstained", lambda c: c.update(abstained=not c["abstained"])),
        ("warnings", lambda c: c.update(warnings=[{"code": "prior-only"}])),
        (
            "pair_sums.same_outcome",
            lambda c: c["pair_sums"].update(same_outcome=str(int(c["pair_sums"]["same_outcome"]) + 2)),
        ),
        ("nearest[0].packet_id", lambda c: c["nearest"].reverse()),
        ("nearest[2].weight", lambda c: c["nearest"][2].update(weight=0.5)),
        ("carriers[2].weight", lambda c: c["carriers"][2].update(weight=c["carriers"][2]["weight"] * 1.01)),
        ("carriers", lambda c: c["carriers"].append(c["carriers"][0])),
        ("carriers[1].packet_id", lambda c: c["carriers"].__setitem__(1, c["carriers"][0])),
        ("carriers[3].packet_id", lambda c: c["carriers"][3].update(packet_id="ab" * 32)),
        ("carriers[0]", lambda c: c.update(carriers=[5] * len(c["carriers"]))),
        ("nodes[1].weight", lambda c: c["nodes"][1].update(weight=0.9)),
        ("agreement[0][1]", lambda c: c["agreement"][0].__setitem__(1, 1.5)),
        ("settings.length", lambda c: c["settings"].update(length=c["settings"]["length"] * 2)),
        ("evidence_digest", lambda c: c.update(evidence_digest="0" * 64)),
        ("packets", lambda c: c.update(packets=41)),
        ("packets", lambda c: c.update(packets=40.0)),
        ("template_name", lambda c: c.update(template_name="other")),
    ],
)
def test_a_claim_that_does_not_follow_is_named(name: str, change: Callable[[dict[str, Any]], object]) -> None:
    receipt = changed(receipt_of(worlds.category_template()), change)
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt.to_bytes())
    assert caught.value.code == "receipt-derivation"
    assert caught.value.message == f"the answer does not follow: {name} differs"


def test_an_extra_claim_does_not_follow() -> None:
    assert (
        code_of(changed(receipt_of(worlds.category_template()), lambda c: c.update(cured=True))) == "receipt-derivation"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("query"),
        lambda c: c["query"].update(fingerprint="zz"),
        lambda c: c["query"].update(fingerprint="00"),
        lambda c: c.update(query=7),
        lambda c: c.update(day="monday"),
        lambda c: c.update(day=-3),
        lambda c: c.update(conditions=[1]),
        lambda c: c.update(conditions={"weather": "fine"}),
        lambda c: c.update(packets="many"),
        lambda c: c.update(packets=5_000, settings={"length": "a"}),
        lambda c: c.update(packets=5_000, settings=None),
        lambda c: c.update(packets=5_000, settings=dict(c["settings"], ridge=-1)),
        lambda c: c.update(packets=5_000, settings=dict(c["settings"], family="odour")),
        lambda c: c.update(packets=5_000, settings=dict(c["settings"], family="sketch")),
        lambda c: c.update(packets=5_000, levels=3),
    ],
)
def test_claims_that_make_no_sense_are_refused_without_a_traceback(change: Callable[[dict[str, Any]], object]) -> None:
    assert code_of(changed(receipt_of(worlds.category_template()), change)) == "receipt-claims"


def test_claims_of_another_day_or_condition_do_not_follow() -> None:
    receipt = receipt_of(worlds.category_template(), region=1)
    assert code_of(changed(receipt, lambda c: c.update(day=worlds.DAY + 5_000))) == "receipt-packets"
    assert code_of(changed(receipt, lambda c: c.update(conditions={"region": "south"}))) == "receipt-packets"


def test_a_packet_left_out_swapped_or_repeated_is_noticed() -> None:
    receipt = receipt_of(worlds.category_template())
    one = 512
    fewer = msgspec.structs.replace(receipt, packets=receipt.packets[one:])
    swapped = msgspec.structs.replace(
        receipt, packets=receipt.packets[one : 2 * one] + receipt.packets[:one] + receipt.packets[2 * one :]
    )
    twice = msgspec.structs.replace(receipt, packets=receipt.packets[:one] + receipt.packets)
    assert code_of(fewer) == "receipt-derivation"
    assert code_of(swapped) == "receipt-packets"
    assert code_of(twice) == "receipt-packets"
    assert code_of(msgspec.structs.replace(receipt, packets=b"")) == "receipt-packets"
    assert code_of(msgspec.structs.replace(receipt, packets=receipt.packets[:-1])) == "receipt-packets"


def test_the_template_of_a_receipt_is_the_canonical_one_of_its_packets() -> None:
    receipt = receipt_of(worlds.category_template())
    other = worlds.forgetful_template(3).canonical
    assert code_of(msgspec.structs.replace(receipt, template=other)) == "receipt-packets"
    assert code_of(msgspec.structs.replace(receipt, template=receipt.template + b"\n")) == "receipt-template"
    assert code_of(msgspec.structs.replace(receipt, template=b"format = 1")) == "receipt-template"


@pytest.mark.parametrize(
    "options",
    [
        {"neighbours": 10**9},
        {"lengths": [1.0] * 1000},
        {"ridges": [-1.0]},
        {"ridges": 5},
        {"validation": "row"},
        {"colour": 3},
        {"half_life_days": 3},
        {"whole_packets_max": 8},
    ],
)
def test_options_of_a_receipt_are_bounded(options: dict[str, Any]) -> None:
    receipt = receipt_of(worlds.category_template())
    assert code_of(msgspec.structs.replace(receipt, options={**receipt.options, **options})) == "receipt-options"


def test_a_receipt_states_all_options() -> None:
    receipt = receipt_of(worlds.category_template())
    fewer = {name: value for name, value in receipt.options.items() if name != "neighbours"}
    assert code_of(msgspec.structs.replace(receipt, options=fewer)) == "receipt-options"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "receipt-format"),
        (b"PK\x03\x04", "receipt-format"),
        (HEADER, "receipt-digest"),
        (with_digest(b""), "receipt-format"),
        (with_digest(b"\x91" * 100_000), "receipt-format"),
        (with_digest(msgspec.msgpack.encode({"template": b""})), "receipt-format"),
        (bytes(RECEIPT_SIZE_BYTES_MAX + 1), "receipt-size"),
    ],
)
def test_bytes_that_are_no_receipt_are_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_a_receipt_has_one_form_only() -> None:
    receipt = receipt_of(worlds.category_template())
    fields = msgspec.to_builtins(receipt, builtin_types=(bytes,))
    reordered = msgspec.msgpack.encode(dict(reversed(fields.items())))
    assert code_of(with_digest(reordered)) == "receipt-format"
    spaced = receipt.claims.replace(b'"confidence":', b'"confidence": ')
    assert code_of(msgspec.structs.replace(receipt, claims=spaced)) == "receipt-claims"
    for nonsense in (b"[" * 100_000, b"{", b"[]", b'{"a":NaN}', b"\xff", b" " * (1 << 22)):
        assert code_of(msgspec.structs.replace(receipt, claims=nonsense)) in {"receipt-claims", "receipt-size"}


def test_the_estimate_of_a_large_pool_follows_from_its_nearest_packets() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template, rows=200)
    answer = answered(template, packets, SMALL)
    receipt = make_receipt(answer, packets, template, options=SMALL)
    kept = packets_from_frame(receipt.packets)
    found = verify_receipt(receipt.to_bytes())
    assert len(kept) == 32
    assert not found.whole
    assert found.statements[1].startswith("derivation verified (estimate")
    known = {one.tobytes().hex() for one in packet_ids(kept)}
    assert {share.packet_id for share in answer.nearest} <= known
    worse = changed(receipt, lambda c: c["levels"][0].update(probability=0.001))
    assert code_of(worse) == "receipt-derivation"


def test_a_receipt_is_made_only_from_the_packets_of_the_answer() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template, rows=40)
    answer = answered(template, packets)
    with pytest.raises(ReceiptError, match="not the packets"):
        make_receipt(answer, packets[1:], template)
    nothing = answered(template, np.zeros(0, PACKET_DTYPE))
    with pytest.raises(ReceiptError, match="without evidence"):
        make_receipt(nothing, packets, template)
