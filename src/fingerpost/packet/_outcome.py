"""What happened: the eight forms in which a packet can write an outcome."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, SupportsFloat, TypeAlias

from fingerpost.limits import LEVELS_MAX
from fingerpost.packet._layout import (
    FROM_FIRST_LEVEL,
    OUTCOME_ITEM_SIZE_BYTES,
    SEVERAL_ITEMS,
    OutcomeForm,
)
from fingerpost.packet._reasons import Reason, checked_integer, checked_octets, refusal

OUTCOME_ITEMS_MAX: Final = 255

_MOMENTS = struct.Struct("<Idd")


@dataclass(frozen=True, slots=True)
class CategoryOutcome:
    """One level of a category; ``code`` is the level index + 1."""

    code: int

    form: ClassVar[OutcomeForm] = OutcomeForm.CATEGORY
    items: ClassVar[int] = 1
    first_level: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _set(self, "code", checked_integer("code", self.code, low=1, high=LEVELS_MAX, reason=Reason.OUTCOME))

    def to_bytes(self) -> bytes:
        """Return the item as it stands in the payload."""
        return self.code.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class NumberOutcome:
    """One finite number in the unit of the template. Minus zero becomes zero."""

    value: float

    form: ClassVar[OutcomeForm] = OutcomeForm.NUMBER
    items: ClassVar[int] = 1
    first_level: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _set(self, "value", _checked_number("value", self.value))

    def to_bytes(self) -> bytes:
        """Return the item as it stands in the payload."""
        return struct.pack("<d", self.value)


@dataclass(frozen=True, slots=True)
class HistogramOutcome:
    """How many records had each level, from level index ``first_level`` on; at least one record in all."""

    first_level: int
    counts: tuple[int, ...]

    form: ClassVar[OutcomeForm] = OutcomeForm.HISTOGRAM

    def __post_init__(self) -> None:
        _check_levels(self, low=0, high=0xFFFF)
        if not sum(self.counts):
            raise refusal(Reason.OUTCOME, "a histogram counts at least one record")

    @property
    def items(self) -> int:
        """Return the number of levels counted."""
        return len(self.counts)

    def to_bytes(self) -> bytes:
        """Return the items as they stand in the payload."""
        return struct.pack(f"<{len(self.counts)}H", *self.counts)


@dataclass(frozen=True, slots=True)
class MomentsOutcome:
    """The number of records, their mean, and the sum ``m2`` of their squared deviations from it."""

    n: int
    mean: float
    m2: float

    form: ClassVar[OutcomeForm] = OutcomeForm.MOMENTS
    items: ClassVar[int] = 1
    first_level: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _set(self, "n", checked_integer("n", self.n, low=1, high=0xFFFF_FFFF, reason=Reason.OUTCOME))
        _set(self, "mean", _checked_number("mean", self.mean))
        _set(self, "m2", _checked_number("m2", self.m2))
        if self.m2 < 0:
            raise refusal(Reason.OUTCOME, f"m2 is {self.m2}, but squares do not sum to less than zero")

    def to_bytes(self) -> bytes:
        """Return the item as it stands in the payload."""
        return _MOMENTS.pack(self.n, self.mean, self.m2)


@dataclass(frozen=True, slots=True)
class CountsOutcome:
    """Noisy counts, which may be negative, for each level from level index ``first_level`` on."""

    first_level: int
    counts: tuple[int, ...]

    form: ClassVar[OutcomeForm] = OutcomeForm.COUNTS

    def __post_init__(self) -> None:
        _check_levels(self, low=-(2**31), high=2**31 - 1)

    @property
    def items(self) -> int:
        """Return the number of levels counted."""
        return len(self.counts)

    def to_bytes(self) -> bytes:
        """Return the items as they stand in the payload."""
        return struct.pack(f"<{len(self.counts)}i", *self.counts)


@dataclass(frozen=True, slots=True)
class ReportBits:
    """Randomised bits under local differential privacy, in whole bytes."""

    bits: bytes

    form: ClassVar[OutcomeForm] = OutcomeForm.REPORT_BITS
    first_level: ClassVar[int] = 0

    def __post_init__(self) -> None:
        sizes = range(1, OUTCOME_ITEMS_MAX + 1)
        _set(self, "bits", checked_octets("bits", self.bits, sizes=sizes, reason=Reason.OUTCOME))

    @property
    def items(self) -> int:
        """Return the number of bytes."""
        return len(self.bits)

    def to_bytes(self) -> bytes:
        """Return the items as they stand in the payload."""
        return self.bits


@dataclass(frozen=True, slots=True)
class ReportValue:
    """A randomised value under local differential privacy."""

    value: int

    form: ClassVar[OutcomeForm] = OutcomeForm.REPORT_VALUE
    items: ClassVar[int] = 1
    first_level: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _set(self, "value", checked_integer("value", self.value, low=0, high=0xFFFF_FFFF, reason=Reason.OUTCOME))

    def to_bytes(self) -> bytes:
        """Return the item as it stands in the payload."""
        return self.value.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The id of an earlier packet of the same emitter, which is taken back."""

    packet_id: bytes

    form: ClassVar[OutcomeForm] = OutcomeForm.PACKET_ID
    items: ClassVar[int] = 1
    first_level: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _set(self, "packet_id", checked_octets("packet_id", self.packet_id, sizes=(32,), reason=Reason.OUTCOME))

    def to_bytes(self) -> bytes:
        """Return the item as it stands in the payload."""
        return self.packet_id


Outcome: TypeAlias = (
    CategoryOutcome
    | NumberOutcome
    | HistogramOutcome
    | MomentsOutcome
    | CountsOutcome
    | ReportBits
    | ReportValue
    | Withdrawn
)


def checked_outcome_size(form: int, items: int, first_level: int) -> int:
    """Return the size in bytes of an outcome so described; raise ``PacketError`` if no outcome is."""
    if form not in OUTCOME_ITEM_SIZE_BYTES or form == OutcomeForm.NONE:
        raise refusal(Reason.OUTCOME, f"outcome_form is {form}, not 1 to 8")
    if items == 0 or (items != 1 and form not in SEVERAL_ITEMS):
        raise refusal(Reason.OUTCOME, f"outcome_items is {items} for outcome_form {form}")
    if first_level and (form not in FROM_FIRST_LEVEL or first_level + items > LEVELS_MAX):
        raise refusal(Reason.OUTCOME, f"first_level is {first_level} for outcome_form {form}")
    return items * OUTCOME_ITEM_SIZE_BYTES[OutcomeForm(form)]


def outcome_from_bytes(form: OutcomeForm, first_level: int, data: bytes) -> Outcome:
    """Return the outcome of ``form`` written in ``data``, whose size must be that of its items."""
    match form:
        case OutcomeForm.CATEGORY:
            return CategoryOutcome(int.from_bytes(data, "little"))
        case OutcomeForm.NUMBER:
            return NumberOutcome(_number_from_bytes("value", data))
        case OutcomeForm.HISTOGRAM:
            return HistogramOutcome(first_level, struct.unpack(f"<{len(data) // 2}H", data))
        case OutcomeForm.MOMENTS:
            n = int.from_bytes(data[:4], "little")
            return MomentsOutcome(n, _number_from_bytes("mean", data[4:12]), _number_from_bytes("m2", data[12:]))
        case OutcomeForm.COUNTS:
            return CountsOutcome(first_level, struct.unpack(f"<{len(data) // 4}i", data))
        case OutcomeForm.REPORT_BITS:
            return ReportBits(data)
        case OutcomeForm.REPORT_VALUE:
            return ReportValue(int.from_bytes(data, "little"))
        case _:
            return Withdrawn(data)


def _set(value: object, name: str, content: object) -> None:
    object.__setattr__(value, name, content)  # a frozen value may still settle its own fields while it is made


def _checked_number(name: str, value: SupportsFloat) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise refusal(Reason.OUTCOME, f"{name} is not a number") from None
    if not math.isfinite(number):
        raise refusal(Reason.OUTCOME, f"{name} is {number}, which is not finite")
    return number + 0.0  # -0.0 + 0.0 is 0.0, so that equal values have equal bytes


def _number_from_bytes(name: str, data: bytes) -> float:
    if data == b"\0\0\0\0\0\0\0\x80":
        raise refusal(Reason.OUTCOME, f"{name} is minus zero, which is written as zero")
    number: float = struct.unpack("<d", data)[0]
    return number


def _check_levels(outcome: HistogramOutcome | CountsOutcome, *, low: int, high: int) -> None:
    first = checked_integer("first_level", outcome.first_level, low=0, high=LEVELS_MAX - 1, reason=Reason.OUTCOME)
    if not isinstance(outcome.counts, Sequence) or not 1 <= len(outcome.counts) <= OUTCOME_ITEMS_MAX:
        raise refusal(Reason.OUTCOME, f"counts are 1 to {OUTCOME_ITEMS_MAX} integers")
    if first + len(outcome.counts) > LEVELS_MAX:
        raise refusal(Reason.OUTCOME, f"counts reach level {first + len(outcome.counts)} of at most {LEVELS_MAX}")
    counts = tuple(
        checked_integer("count", count, low=low, high=high, reason=Reason.OUTCOME) for count in outcome.counts
    )
    _set(outcome, "first_level", first)
    _set(outcome, "counts", counts)
