"""The subjects of one home: whose packets are whose, and what taking somebody's packets back comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerpost.node.home import Home
from fingerpost.node.identity import retired_identities
from fingerpost.node.ledger_file import look_at_ledger
from fingerpost.node.salt import open_salt
from fingerpost.node.subjects import SubjectIndex
from fingerpost.node.withdrawing import build_withdrawals
from fingerpost.packet import PACKET_DTYPE, Kind, Profile, Signer, packet_ids
from fingerpost.ports import Entropy
from fingerpost.privacy.subjects import Contribution, SubjectKeys, subject_key, subject_keys
from fingerpost.store.base import PacketStore
from fingerpost.template import Template, profile_name

ASKED_TABLE = "asked-cells"  # day (4 bytes) and cells (4 each), by subject and template: what holders were told

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What became of forgetting a subject: ids (hex) of packets that are withdrawn, durably here and at ``holders``.

    ``shared`` of them spoke of others too. ``kept`` are packets that cannot be recalled, ``elsewhere`` the templates
    (ids in hex) under which the subject has contributed more. ``acknowledged`` says that enough holders know.
    """

    withdrawn: tuple[str, ...]
    shared: int
    kept: tuple[str, ...]
    elsewhere: tuple[str, ...]
    holders: int
    acknowledged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What forgetting a subject comes to: withdrawals to put out, and the contributions that they name.

    ``kept`` cannot be recalled (what was counted with noise stays in sums); ``elsewhere`` are of other templates, which
    this node does not serve now.
    """

    subject: bytes
    withdrawals: Packets
    recalled: tuple[Contribution, ...]
    kept: tuple[Contribution, ...]
    elsewhere: tuple[Contribution, ...]

    def forgotten(self, *, holders: int, acknowledged: bool) -> Forgotten:
        """Return what became of it once the withdrawals are durable at so many holders."""
        return Forgotten(
            withdrawn=tuple(each.packet_id.hex() for each in self.recalled),
            shared=sum(each.subjects > 1 for each in self.recalled),
            kept=tuple(each.packet_id.hex() for each in self.kept),
            elsewhere=tuple(sorted({each.template_id.hex() for each in self.elsewhere})),
            holders=holders,
            acknowledged=acknowledged,
        )


class SubjectBook:
    """Opens salt and index when a subject is first named: a home that names none has neither."""

    def __init__(self, home: Home | None, store: PacketStore, *, signer: Signer, entropy: Entropy) -> None:
        self._home = home
        self._store = store
        self._signer = signer
        self._entropy = entropy
        self._salt: bytes | None = None
        self._index: SubjectIndex | None = None

    @property
    def index(self) -> SubjectIndex:
        """What each subject has contributed. Raises ``KeyFileError``."""
        if self._index is None:
            self._index = SubjectIndex(self._store, salt=self.salt)
        return self._index

    @property
    def salt(self) -> bytes:
        """What subjects are hashed with here. Raises ``KeyFileError``."""
        if self._salt is None:
            self._salt = open_salt(self._home, entropy=self._entropy)
        return self._salt

    def keys_of(self, column: object) -> SubjectKeys:
        """Return the keys of a column of subjects (n, 16). Raises ``RecordError``, naming a row without one."""
        return subject_keys(self.salt, column)

    def note(self, subjects: SubjectKeys, packets: Packets, places: Rows | None = None) -> None:
        """Note, before packets are stored, which packet tells of each subject: keys (n, 16), ``places`` (n,).

        Without ``places`` the packets (n,) are in the order of the subjects.
        """
        where = np.arange(len(packets)) if places is None else places
        shared = np.bincount(where, minlength=len(packets))
        contributions = [
            Contribution(
                packet_id=packet_id.tobytes(),
                template_id=packet["template_id"].tobytes(),
                epoch=int(packet["epoch"]),
                ttl_days=int(packet["ttl_days"]),
                profile=Profile(int(packet["profile"])),
                kind=Kind(int(packet["kind"])),
                subjects=int(subjects_in),
                cell=int(packet["cell"]),
            )
            for packet, packet_id, subjects_in in zip(packets, packet_ids(packets), shared, strict=True)
        ]
        self.index.note(subjects, [contributions[place] for place in where.tolist()])

    def cells_told(self, subject: object, template: Template, cells: Sequence[int], *, day: int) -> tuple[int, ...]:
        """Return the cells to ask holders for about a subject: on one day always the first ones, or else ``cells``.

        They are durable when this returns. Raises ``RecordError`` (``subject-missing``) and ``KeyFileError``.
        """
        key = subject_key(self.salt, subject) + template.template_id
        today = day.to_bytes(4, "big")
        known = self._store.get_record(ASKED_TABLE, key)
        if known is None or known[:4] != today:
            known = today + np.array(cells, ">u4").tobytes()
            over: dict[bytes, bytes | None] = {
                other: None for other, told in self._store.records(ASKED_TABLE) if told[:4] != today
            }
            self._store.put_records(ASKED_TABLE, over | {key: known})
        return tuple(np.frombuffer(known, ">u4", offset=4).tolist())

    def recall(self, subject: object, template: Template, *, day: int) -> Recall:
        """Work out what forgetting a subject comes to. Raises ``RecordError`` (``subject-missing``)."""
        key = subject_key(self.salt, subject)
        every = [each for each in self.index.contributions(key) if not each.is_over(day)]
        mine = [each for each in every if each.template_id == template.template_id]
        recalled = tuple(each for each in mine if each.can_be_withdrawn)
        return Recall(
            subject=key,
            withdrawals=self._withdrawals(template, recalled, day=day),
            recalled=recalled,
            kept=(*(each for each in mine if not each.can_be_withdrawn), *self._counted(key, template, day=day)),
            elsewhere=tuple(each for each in every if each.template_id != template.template_id),
        )

    def done(self, recall: Recall) -> None:
        """Note that the withdrawals of a recall are durable: nothing names those packets any more."""
        self.index.remove(recall.subject, recall.recalled)

    def _counted(self, subject: bytes, template: Template, *, day: int) -> list[Contribution]:
        """Return the live counts of a template that a subject is in; the ledger knows, no index names them."""
        ledger = None if self._home is None else look_at_ledger(self._home)
        releases = [] if ledger is None else ledger.releases_of(subject, template_id=template.template_id)
        counted = [
            Contribution(
                packet_id=packet_id,
                template_id=release.template_id,
                epoch=release.day,
                ttl_days=template.ttl_days,
                profile=Profile.DP_AGGREGATE,
                kind=Kind.COUNTS,
                subjects=sum(1 for _ in release.subject_keys()),
            )
            for release in releases
            if release.profile == profile_name(Profile.DP_AGGREGATE)
            for packet_id in release.packet_id_list()
        ]
        return [each for each in counted if not each.is_over(day)]

    def _withdrawals(self, template: Template, recalled: Sequence[Contribution], *, day: int) -> Packets:
        """Sign withdrawals with the key that signed each packet, which may be an earlier one of this node."""
        signers = {bytes(self._signer.public_key): self._signer}
        if self._home is not None:
            signers |= {bytes(each.public_key): each.signer for each in retired_identities(self._home)}
        ids = np.frombuffer(b"".join(each.packet_id for each in recalled), np.uint8).reshape(-1, 32)
        found = self._store.get(ids)
        emitters = {
            packet_id.tobytes(): packet["emitter"].tobytes()
            for packet, packet_id in zip(found, packet_ids(found), strict=True)
        }
        by_signer: dict[bytes, list[Contribution]] = {}
        for each in recalled:
            emitter = emitters.get(each.packet_id, b"")
            by_signer.setdefault(emitter if emitter in signers else bytes(self._signer.public_key), []).append(each)
        parts = [
            build_withdrawals(template, part, signer=signers[emitter], day=day, entropy=self._entropy)
            for emitter, part in by_signer.items()
        ]
        return np.concatenate(parts) if parts else np.zeros(0, PACKET_DTYPE)
