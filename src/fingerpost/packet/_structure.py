"""The rules of ``decode`` for whole arrays of packets, without an object per packet."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.limits import BATCH_DEPTH_MAX, CONDITIONS_MAX, LEVELS_MAX, TTL_DAYS_MAX
from fingerpost.packet._layout import (
    BODY_DTYPE,
    BODY_SIZE_BYTES,
    FINGERPRINT_WORD_SIZE_BYTES,
    FINGERPRINT_WORDS_MAX,
    FORMS_OF_KIND,
    FROM_FIRST_LEVEL,
    KINDS_WITH_FINGERPRINT,
    MAGIC,
    OUTCOME_ITEM_SIZE_BYTES,
    PAYLOAD_HEADER_DTYPE,
    PAYLOAD_HEADER_SIZE_BYTES,
    PAYLOAD_SIZE_BYTES,
    PROFILES_OF_KIND,
    SEVERAL_ITEMS,
    SKETCH_SIZE_BYTES,
    VERSION,
    Flags,
    Kind,
    Octets,
    OutcomeForm,
    Profile,
    Structured,
    is_sealed,
)
from fingerpost.packet._payload_layout import PayloadLayout, payloads
from fingerpost.packet._reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK_PACKETS: Final = 4_096  # keeps the temporary arrays of a block in the processor's cache


def _table(allowed: Iterable[int]) -> Flags:
    """Return for each value of a byte whether it is among ``allowed``."""
    table = np.zeros(256, np.bool_)
    table[list(allowed)] = True
    return table


def _tables_of_kind(allowed: Mapping[Kind, Iterable[int]]) -> Flags:
    """Return the table of each kind, shape (256, 256); an unknown kind allows nothing."""
    tables = np.zeros((256, 256), np.bool_)
    for kind, values in allowed.items():
        tables[kind] = _table(values)
    return tables


_KIND_KNOWN = _table(PROFILES_OF_KIND)
_PROFILE_ALLOWED = _tables_of_kind(PROFILES_OF_KIND)
_FORM_ALLOWED = _tables_of_kind(FORMS_OF_KIND)
_FORM_KNOWN = _table(set(OutcomeForm) - {OutcomeForm.NONE})
_FORM_SEVERAL = _table(SEVERAL_ITEMS)
_FORM_FROM_LEVEL = _table(FROM_FIRST_LEVEL)
_NEEDS_FINGERPRINT = _table(KINDS_WITH_FINGERPRINT)
_FORM_ITEM_SIZE = np.zeros(256, np.int64)
_FORM_ITEM_SIZE[list(OUTCOME_ITEM_SIZE_BYTES)] = list(OUTCOME_ITEM_SIZE_BYTES.values())
_DEPTH_OF_LAST = np.array([last.bit_length() for last in range(256)], np.uint8)
_LEVELS = np.arange(BATCH_DEPTH_MAX, dtype=np.uint8)


def _absent_siblings() -> Octets:
    """Return the levels, a bit each, at which a leaf has no sibling, by last leaf and leaf, shape (256, 256)."""
    last, leaf = np.arange(256)[:, None, None], np.arange(256)[None, :, None]
    absent = (((leaf >> _LEVELS) ^ 1) > (last >> _LEVELS)) | (_DEPTH_OF_LAST[last] <= _LEVELS)
    return np.packbits(absent, axis=2, bitorder="little")[:, :, 0]


_ABSENT_SIBLINGS = _absent_siblings()

# The bytes that say which rules apply to a packet: magic to profile, days to live, shape of the payload, first level.
_HEADS = {"start": (0, 5), "ttl_days": (7, 2), "shape": (77, 5), "first_level": (85, 2)}  # offset and size
_HEAD_DTYPE = np.dtype([(name, f"V{size}") for name, (_offset, size) in _HEADS.items()] + [("unused", "V2")])


def check_structure(packets: Structured) -> Octets:
    """Return why each packet of a ``PACKET_DTYPE`` array would be refused by ``decode``: a ``Reason``, 0 for none.

    Shape (n,) in and out. Exactly the rules of ``decode``, and where several are broken the same one is named.
    """
    reasons = np.zeros(len(packets), np.uint8)
    for start in range(0, len(packets), BLOCK_PACKETS):
        block = packets[start : start + BLOCK_PACKETS]
        check = _Check(reasons[start : start + BLOCK_PACKETS])
        _check_body(block, check)
        _check_proof(block, check)
    return reasons


def check_bodies(bodies: Structured) -> Octets:
    """Do for a ``BODY_DTYPE`` array what ``check_structure`` does for packets."""
    reasons = np.zeros(len(bodies), np.uint8)
    for start in range(0, len(bodies), BLOCK_PACKETS):
        _check_body(bodies[start : start + BLOCK_PACKETS], _Check(reasons[start : start + BLOCK_PACKETS]))
    return reasons


class _Check:
    """The first broken rule of each packet so far."""

    def __init__(self, reasons: Octets) -> None:
        self.reasons = reasons

    def refuse(self, broken: Flags | np.bool_, reason: Reason) -> None:
        if broken.any():
            self.reasons[broken & (self.reasons == Reason.FINE)] = reason

    def refuse_rows(self, rows: npt.NDArray[np.intp], broken: Flags | np.bool_, reason: Reason) -> None:
        if broken.any():
            rows = rows[broken]
            self.reasons[rows[self.reasons[rows] == Reason.FINE]] = reason

    def fine(self) -> Flags:
        fine: Flags = self.reasons == Reason.FINE
        return fine


def _check_body(packets: Structured, check: _Check) -> None:
    """Check the beginning once and the contents of all, where all packets begin alike; else every rule on all."""
    heads = _heads(packets)
    if not (heads == heads[0]).all() or not _is_sound(heads[0].tobytes()):
        _check_every_rule(packets, check)
    elif not is_sealed(int(packets["kind"][0]), int(packets["profile"][0])):
        layout = _layout_of(packets["payload"][0, :5].tobytes())
        _check_contents_of_layout(packets, layout, np.arange(len(packets)), check)


def _heads(packets: Structured) -> npt.NDArray[np.uint64]:
    """Return what every rule but those about contents depends on, withdrawals apart, shape (n, 2)."""
    beginnings = packets.view(_beginnings(packets.dtype.itemsize))
    heads = np.zeros(len(packets), _HEAD_DTYPE)
    for name in _HEADS:
        heads[name] = beginnings[name]
    words: npt.NDArray[np.uint64] = heads.view(np.uint64).reshape(len(packets), -1)
    return words


@lru_cache(maxsize=2)
def _beginnings(item_size_bytes: int) -> np.dtype[np.void]:
    """Return the type of packets or bodies in which each part of a head is one value."""
    return np.dtype(
        {
            "names": list(_HEADS),
            "formats": [f"V{size}" for _offset, size in _HEADS.values()],
            "offsets": [offset for offset, _size in _HEADS.values()],
            "itemsize": item_size_bytes,
        }
    )


@lru_cache(maxsize=256)
def _is_sound(head: bytes) -> bool:
    """Say whether packets that begin like this can break no rule but those about contents; withdrawals can."""
    body = np.zeros(1, BODY_DTYPE)
    beginning = body.view(_beginnings(BODY_SIZE_BYTES))
    for name in _HEADS:
        beginning[name] = np.frombuffer(head, _HEAD_DTYPE)[name]
    check = _Check(np.zeros(1, np.uint8))
    _check_every_rule(body, check, contents=False)
    return body["kind"][0] != Kind.WITHDRAWAL and bool(check.fine().all())


def _check_every_rule(packets: Structured, check: _Check, *, contents: bool = True) -> None:
    kind, profile, ttl_days = packets["kind"], packets["profile"], packets["ttl_days"]
    check.refuse((packets["magic"] != np.frombuffer(MAGIC, np.uint8)).any(axis=1), Reason.MAGIC)
    check.refuse(packets["version"] != VERSION, Reason.VERSION)
    check.refuse(~_KIND_KNOWN[kind], Reason.KIND)
    check.refuse(~_PROFILE_ALLOWED[kind, profile], Reason.PROFILE)
    check.refuse((ttl_days == 0) | (ttl_days > TTL_DAYS_MAX), Reason.TTL)
    plain = check.fine() & ~((profile == Profile.CONSORTIUM) & (kind != Kind.WITHDRAWAL))
    if plain.all():
        _check_payloads(packets, np.arange(len(packets)), check, contents=contents)
    elif plain.any():
        rows = np.flatnonzero(plain)
        _check_payloads(packets[rows], rows, check, contents=contents)


def _check_payloads(packets: Structured, rows: npt.NDArray[np.intp], check: _Check, *, contents: bool) -> None:
    """Check plain payloads; ``rows`` says where each of ``packets`` stands among the reasons of ``check``."""
    header = packets["payload"][:, :PAYLOAD_HEADER_SIZE_BYTES].view(PAYLOAD_HEADER_DTYPE)[:, 0]
    words, sketch, conditions = header["fingerprint_words"], header["sketch_bytes"], header["condition_count"]
    form, items, first_level = header["outcome_form"], header["outcome_items"], header["first_level"]
    check.refuse_rows(
        rows,
        (words > FINGERPRINT_WORDS_MAX)
        | ((sketch != 0) & (sketch != SKETCH_SIZE_BYTES))
        | (conditions > CONDITIONS_MAX),
        Reason.PAYLOAD,
    )
    check.refuse_rows(rows, ~_FORM_KNOWN[form], Reason.OUTCOME)
    check.refuse_rows(rows, (items == 0) | ((items != 1) & ~_FORM_SEVERAL[form]), Reason.OUTCOME)
    reach = first_level + items.astype(np.int64)
    check.refuse_rows(rows, (first_level != 0) & (~_FORM_FROM_LEVEL[form] | (reach > LEVELS_MAX)), Reason.OUTCOME)
    end = PAYLOAD_HEADER_SIZE_BYTES + words * np.int64(FINGERPRINT_WORD_SIZE_BYTES) + sketch + conditions * np.int64(2)
    end += items * _FORM_ITEM_SIZE[form]
    check.refuse_rows(rows, end > PAYLOAD_SIZE_BYTES, Reason.PAYLOAD)

    fine = check.reasons[rows] == Reason.FINE
    if contents and fine.all():
        _check_contents(packets, rows, check)
    elif contents and fine.any():
        _check_contents(packets[fine], rows[fine], check)

    kind, profile = packets["kind"], packets["profile"]
    check.refuse_rows(rows, ~_FORM_ALLOWED[kind, form], Reason.OUTCOME)
    check.refuse_rows(rows, _NEEDS_FINGERPRINT[kind] & (words == 0), Reason.PAYLOAD)
    more = (words != 0) | (sketch != 0) | (conditions != 0) | (header["confidence"] != 0) | (header["action"] != 0)
    check.refuse_rows(rows, (kind == Kind.WITHDRAWAL) & more, Reason.PAYLOAD)
    check.refuse_rows(rows, (sketch != 0) & (profile != Profile.OPEN), Reason.PROFILE)


def _check_contents(packets: Structured, rows: npt.NDArray[np.intp], check: _Check) -> None:
    """Check what lies behind payload headers that are sound, one layout at a time."""
    shapes = np.zeros((len(packets), 8), np.uint8)
    shapes[:, :5] = packets["payload"][:, :5]
    shape = shapes.view(np.uint64)[:, 0]
    if (shape == shape[0]).all():
        _check_contents_of_layout(packets, _layout_of(shapes[0].tobytes()), rows, check)
        return
    order = np.argsort(shape, kind="stable")
    starts = np.flatnonzero(np.diff(shape[order], prepend=shape[order[0]] + np.uint64(1)))
    for members in np.split(order, starts[1:]):
        _check_contents_of_layout(packets[members], _layout_of(shapes[members[0]].tobytes()), rows[members], check)


def _layout_of(shape: bytes) -> PayloadLayout:
    words, sketch, conditions, form, items = shape[:5]
    return PayloadLayout(
        fingerprint_bits=64 * words,
        sketch=sketch,
        conditions=conditions,
        outcome_form=OutcomeForm(form),
        outcome_items=items,
    )


def _check_contents_of_layout(
    packets: Structured, layout: PayloadLayout, rows: npt.NDArray[np.intp], check: _Check
) -> None:
    content = payloads(packets, layout)
    broken = _broken_outcomes(content["outcome"], layout.outcome_form)
    if broken is not None:
        check.refuse_rows(rows, broken, Reason.OUTCOME)
    check.refuse_rows(rows, content["action"] > LEVELS_MAX, Reason.PAYLOAD)
    for wrong, reason in (
        (content["conditions"] > LEVELS_MAX, Reason.PAYLOAD),
        (packets["payload"][:, layout.size_bytes :], Reason.PADDING),
    ):
        if wrong.any():  # Row by row this takes several times longer.
            check.refuse_rows(rows, wrong.any(axis=1), reason)


def _broken_outcomes(outcome: Any, form: OutcomeForm) -> Flags | None:
    """Return for each outcome whether it is no valid value, or ``None`` for the forms in which every value is."""
    broken: Flags
    match form:
        case OutcomeForm.CATEGORY:
            broken = (outcome == 0) | (outcome > LEVELS_MAX)
        case OutcomeForm.NUMBER:
            broken = _broken_numbers(outcome)
        case OutcomeForm.HISTOGRAM:
            broken = ~outcome.any(axis=1)
        case OutcomeForm.MOMENTS:
            broken = (outcome["n"] == 0) | _broken_numbers(outcome["mean"])
            broken |= _broken_numbers(outcome["m2"]) | (outcome["m2"] < 0)
        case _:
            return None
    return broken


def _broken_numbers(numbers: npt.NDArray[np.float64]) -> Flags:
    broken: Flags = ~np.isfinite(numbers) | ((numbers == 0.0) & np.signbit(numbers))
    return broken


def _check_proof(packets: Structured, check: _Check) -> None:
    index, depth, last = packets["leaf_index"], packets["depth"], packets["leaf_last"]
    broken = (depth != _DEPTH_OF_LAST[last]) | (index > last)
    absent = _ABSENT_SIBLINGS[last, index]
    if absent.any():
        is_absent = (absent[:, None] >> _LEVELS & 1).astype(np.bool_)
        broken |= (packets["path"].any(axis=2) & is_absent).any(axis=1)
    check.refuse(broken, Reason.PROOF)
