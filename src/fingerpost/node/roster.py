"""Who takes part: the members, the organisation of each, and what signed records say of their keys.

A *succession* passes membership on: the new key takes part from its day on, in the same organisation; the old one is
no peer after that day, and its packets count if they are dated up to it. A *revocation* ends a key: of a compromised
one nothing counts any more, whenever it was signed, for it cannot be told from a forgery; of a retired one, or one
revoked without a reason, packets count that are dated up to that day. A succession that a compromised key signed counts
for nothing either: its thief may have made it. Records about keys that nobody knows here change nothing.

Days are numbers (days since 1970-01-01).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fingerpost.errors import FingerpostError, KeyFileError, UsageError
from fingerpost.ids import PublicKey
from fingerpost.limits import (
    EPOCH_DAY_MAX,
    OPEN_QUARANTINE_DAYS_DEFAULT,
    OPEN_QUOTA_PACKETS_DEFAULT,
    TTL_DAYS_MAX,
)
from fingerpost.node.succession import (
    REVOCATION_LABEL,
    SUCCESSION_LABEL,
    Revocation,
    RevocationReason,
    Succession,
    verify_revocation,
    verify_succession,
)

KEY_SIZE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """From which day to which, both included, what a key signs counts; ``revoked`` says that a record ended it."""

    first_day: int = 0
    last_day: int = EPOCH_DAY_MAX
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAdmission:
    """Anybody may take part, within bounds; ``docs/explanation/admission.md`` says what the bounds cannot stop.

    An emitter that is not ``named`` (32-byte public keys) may have ``quota_packets`` live packets at this node. They
    are held and handed on, but take no part in answers until ``quarantine_days`` whole days have passed since this node
    first saw the emitter; 0 is no quarantine.

    Raises ``UsageError`` (``open-admission``) for bounds that are none.
    """

    quota_packets: int = OPEN_QUOTA_PACKETS_DEFAULT
    quarantine_days: int = OPEN_QUARANTINE_DAYS_DEFAULT
    named: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a quota that leaves no room and a quarantine that never ends."""
        if self.quota_packets < 1 or not 0 <= self.quarantine_days <= TTL_DAYS_MAX:
            raise UsageError(
                "open-admission",
                f"{self.quota_packets} packets and {self.quarantine_days} days are no bounds of open admission",
                hint=f"a quota is at least 1, a quarantine lasts 0 to {TTL_DAYS_MAX} days",
            )


MEMBER = Standing()
STRANGER = Standing(first_day=1, last_day=0)
COMPROMISED = Standing(first_day=1, last_day=0, revoked=True)


class Roster:
    """The members of a network, and what records say of their keys.

    ``members`` are public keys (32 bytes): an empty collection refuses everybody, ``OpenAdmission`` admits everybody
    within bounds, None without any. A collection is asked whenever a key is looked up, so it may grow.
    ``organisations`` says whose node a key is. ``records`` are bytes of successions and revocations, in any order.

    Raises ``UsageError``: ``member-key`` for a key that is none, ``records-contradict`` for records that cannot be true
    together; ``KeyFileError`` (``record-malformed``) and ``SignatureError`` (``record-signature``), which name the
    record by its place, from 1.
    """

    def __init__(
        self,
        *,
        members: Collection[bytes] | OpenAdmission | None,
        organisations: Mapping[bytes, str] = MappingProxyType({}),
        records: Sequence[bytes] = (),
    ) -> None:
        self._open = members if isinstance(members, OpenAdmission) else None
        self._named = members.named if isinstance(members, OpenAdmission) else () if members is None else members
        self._admits_all = members is None or self._open is not None
        for key in [*self._named, *organisations]:
            _require_key(key)
        self._organisations = dict(organisations)
        successions, revocations = _read(records)
        self._revoked = _strictest(revocations)
        self._left: dict[bytes, Succession] = {}
        self._joined: dict[bytes, Succession] = {}
        for succession in successions:
            self._add(succession)
        for key in self._joined:
            self._require_order(key)

    @property
    def open_admission(self) -> OpenAdmission | None:
        """The bounds within which anybody may take part, if anybody may."""
        return self._open

    @property
    def keys(self) -> frozenset[PublicKey]:
        """The keys that are named, or follow one that is, and may take part on some day."""
        named = {PublicKey(key) for key in [*self._named, *self._joined] if key not in self._revoked}
        return frozenset(key for key in named if self.is_named(key))

    @property
    def has_revocations(self) -> bool:
        """Whether a key was revoked, so that packets which are here already may count no more."""
        return bool(self._revoked)

    def admits(self, public_key: PublicKey, *, day: int) -> bool:
        """Say whether a node with this key may take part on a day."""
        standing = self.standing(public_key)
        return not standing.revoked and standing.first_day <= day <= standing.last_day

    def standing(self, public_key: PublicKey) -> Standing:
        """Return between which days packets of this emitter count."""
        revocation = self._revoked.get(public_key)
        if revocation is not None and revocation.reason is RevocationReason.COMPROMISED:
            return COMPROMISED
        first_day = self._first_day(public_key)
        if first_day is None:
            return STRANGER
        last_day = min(
            EPOCH_DAY_MAX if revocation is None else revocation.day,
            self._left[public_key].day if public_key in self._left else EPOCH_DAY_MAX,
        )
        return Standing(first_day=first_day, last_day=last_day, revoked=revocation is not None)

    def is_named(self, public_key: PublicKey) -> bool:
        """Say whether somebody named this key, or one that it follows."""
        return any(key in self._named for key in self._line(public_key))

    def organisation(self, public_key: PublicKey) -> str:
        """Return whose node this is, "" for nobody's: as named, or that of the key it follows."""
        for key in self._line(public_key):
            if key in self._organisations:
                return self._organisations[key]
        return ""

    def _first_day(self, public_key: bytes) -> int | None:
        """Return the day from which a key takes part, None for a stranger's."""
        day = 0
        for key in self._line(public_key):
            if self._admits_all or key in self._named:
                return day
            if key in self._joined:
                day = max(day, self._joined[key].day)
        return None

    def _line(self, public_key: bytes) -> Iterable[bytes]:
        """Yield a key, the one that it follows, the one which that follows, and so on."""
        key: bytes | None = public_key
        while key is not None:
            yield key
            key = self._joined[key].old_key if key in self._joined else None

    def _add(self, succession: Succession) -> None:
        old, new = succession.old_key, succession.new_key
        revocation = self._revoked.get(old)
        if revocation is not None and revocation.reason is RevocationReason.COMPROMISED:
            return
        if revocation is not None and succession.day > revocation.day:
            raise _contradiction(f"key {_name(old)} was revoked before it signed a succession", "drop the succession")
        for known in (self._left.get(old), self._joined.get(new)):
            if known is not None and (known.old_key, known.new_key) != (old, new):
                whose = f"{_name(old)} has two successors" if known.old_key == old else f"{_name(new)} follows two keys"
                raise _contradiction(f"key {whose}", "ask the owner which one counts, and drop the other")
        named = {self._organisations[key] for key in (old, new) if key in self._organisations}
        if len(named) > 1:
            raise _contradiction(
                f"key {_name(new)} follows {_name(old)} but is named in another organisation",
                "name one organisation for both",
            )
        earlier = self._left.get(old)
        if earlier is None or succession.day < earlier.day:
            self._left[old] = self._joined[new] = succession

    def _require_order(self, public_key: bytes) -> None:
        """Refuse a line of successions that comes back to where it began, or whose days go backwards."""
        seen = {public_key}
        key = public_key
        while key in self._joined:
            before = self._joined[key].old_key
            if before in seen:
                raise _contradiction(f"key {_name(public_key)} follows itself", "drop the record that closes the ring")
            if before in self._joined and self._joined[before].day > self._joined[key].day:
                raise _contradiction(
                    f"key {_name(before)} signed a succession before it followed another key",
                    "ask its owner which record counts",
                )
            seen.add(before)
            key = before


def _read(records: Sequence[bytes]) -> tuple[list[Succession], list[Revocation]]:
    successions, revocations = [], []
    for number, record in enumerate(records, start=1):
        try:
            if record.startswith(SUCCESSION_LABEL):
                successions.append(verify_succession(record))
            elif record.startswith(REVOCATION_LABEL):
                revocations.append(verify_revocation(record))
            else:
                raise KeyFileError(
                    "record-malformed",
                    "this is neither a succession nor a revocation",
                    hint="pass the bytes of a file from keys/records of a home",
                )
        except FingerpostError as error:
            raise type(error)(error.code, f"record {number}: {error.message}", hint=error.hint) from None
    return successions, revocations


def _strictest(revocations: Iterable[Revocation]) -> dict[bytes, Revocation]:
    """Return of each key the revocation that leaves least: a compromised key's, else the earliest."""
    strictest: dict[bytes, Revocation] = {}
    for revocation in sorted(revocations, key=lambda each: (each.reason is not RevocationReason.COMPROMISED, each.day)):
        strictest.setdefault(revocation.public_key, revocation)
    return strictest


def _require_key(key: bytes) -> None:
    if not isinstance(key, bytes) or len(key) != KEY_SIZE_BYTES:
        raise UsageError(
            "member-key",
            f"a member is named by its public key, {KEY_SIZE_BYTES} bytes, not by {str(key)[:80]!r}",
            hint="turn the hex digits that `fingerpost keys show` prints into bytes: bytes.fromhex(…)",
        )


def _contradiction(message: str, hint: str) -> UsageError:
    return UsageError("records-contradict", message, hint=hint)


def _name(key: bytes) -> str:
    return key.hex()[:16]
