"""The subjects of one home: whose packets are whose, and what taking somebody's packets back comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerpost.node.home import Home
from fingerpost.node.identity import retired_identities
from fingerpost.node.salt import open_salt
from fingerpost.node.subjects import SubjectIndex
from fingerpost.node.withdrawing import build_withdrawals
from fingerpost.packet import PACKET_DTYPE, Kind, Profile, Signer, packet_ids
from fingerpost.ports import Entropy
from fingerpost.privacy.subjects import Contribution, SubjectKeys, subject_key, subject_keys
from fingerpost.store.base import PacketStore
from fingerpost.template import Template

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

    ``kept`` cannot be recalled (noise and randomised reports stay in sums); ``elsewhere`` are of other templates, which
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

    def note(self, subjects: SubjectKeys, packets: Packets) -> None:
        """Note, before packets are stored, which subject each of them is about: keys (n, 16), packets (n,)."""
        ids = packet_ids(packets)
        contributions = [
            Contribution(
                packet_id=packet_id.tobytes(),
                template_id=packet["template_id"].tobytes(),
                epoch=int(packet["epoch"]),
                ttl_days=int(packet["ttl_days"]),
                profile=Profile(int(packet["profile"])),
                kind=Kind(int(packet["kind"])),
                cell=int(packet["cell"]),
            )
            for packet, packet_id in zip(packets, ids, strict=True)
        ]
        self.index.note(subjects, contributions)

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
            kept=tuple(each for each in mine if not each.can_be_withdrawn),
            elsewhere=tuple(each for each in every if each.template_id != template.template_id),
        )

    def done(self, recall: Recall) -> None:
        """Note that the withdrawals of a recall are durable: nothing names those packets any more."""
        self.index.remove(recall.subject, recall.recalled)

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
