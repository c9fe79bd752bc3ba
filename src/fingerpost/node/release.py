"""Releases: what leaves of many subjects at once, entered in the ledger before anything of it is stored or sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from fingerpost.errors import PrivacyError, UsageError
from fingerpost.limits import (
    ACKNOWLEDGEMENTS,
    DP_LIFETIME_EPSILON,
    DP_RELEASE_EPSILON,
    GROUP_SUBJECTS_MIN,
    LOCAL_LIFETIME_EPSILON,
    LOCAL_RELEASE_EPSILON,
)
from fingerpost.node.consortium import RingFile
from fingerpost.node.emission import Observations, subjects_needed
from fingerpost.node.events import Acknowledged, Unacknowledged
from fingerpost.node.forms import Formed, formed
from fingerpost.node.home import Home
from fingerpost.node.joint import Joint
from fingerpost.node.ledger_file import LedgerFile, open_ledger
from fingerpost.node.reports import Emission, ReleaseReport
from fingerpost.node.status import Watch
from fingerpost.node.subject_book import SubjectBook
from fingerpost.packet import PACKET_DTYPE, Kind, Profile, Signer, packet_ids
from fingerpost.ports import day_of
from fingerpost.privacy.ledger import MILLI, Ledger
from fingerpost.privacy.subjects import SubjectKeys
from fingerpost.template import RowProblem, Template, profile_name

if TYPE_CHECKING:
    from pathlib import Path

    from fingerpost.node.connection import Connection
    from fingerpost.node.engine import Engine
    from fingerpost.ports import Entropy
    from fingerpost.privacy.noise import CountNoise
    from fingerpost.privacy.seal import KeyRing
    from fingerpost.store.base import PacketStore

Packets = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a release costs each subject, and how much one may spend in all, in thousandths of epsilon.

    ``while_live`` says that a subject rests until the packets of its last release have expired, not just for a day.
    """

    cost_milli: int
    cap_milli: int
    while_live: bool = False

    def rest_days(self, template: Template) -> int:
        """Return for how many days a release keeps a subject from the next one."""
        return template.ttl_days if self.while_live else 1


PRICES: Final = {
    Profile.K_ANONYMOUS: Prices(cost_milli=0, cap_milli=0, while_live=True),
    Profile.DP_AGGREGATE: Prices(cost_milli=MILLI * DP_RELEASE_EPSILON, cap_milli=MILLI * DP_LIFETIME_EPSILON),
    Profile.LOCAL_DP: Prices(cost_milli=MILLI * LOCAL_RELEASE_EPSILON, cap_milli=MILLI * LOCAL_LIFETIME_EPSILON),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Rows that may be counted, in no order, with their subjects, and how many are left out for which reason."""

    rows: npt.NDArray[np.intp]
    subjects: SubjectKeys
    same_subject: int
    spent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A release that is paid for and durable here: the number of its emission, its packets, and what it took in."""

    number: int
    packets: Packets
    report: ReleaseReport

    def emission(self, seen: Acknowledged | Unacknowledged | None, problems: Sequence[RowProblem]) -> Emission:
        """Return what the user is told, given how many holders have it."""
        return Emission(
            packet_ids=tuple(packet_id.tobytes().hex() for packet_id in packet_ids(self.packets)),
            problems=tuple(problems),
            size_bytes=self.packets.nbytes,
            holders=0 if seen is None else seen.holders,
            acknowledged=isinstance(seen, Acknowledged),
            release=self.report,
        )


class Releaser:
    """Makes the releases of one home. Raises ``UsageError`` (``ledger-home``) where there is no home."""

    def __init__(
        self,
        home: Home | None,
        engine: Engine,
        *,
        signer: Signer,
        entropy: Entropy,
        book: SubjectBook,
        noise: CountNoise | None = None,
    ) -> None:
        self._home = home
        self._book = book
        self._engine = engine
        self._signer = signer
        self._entropy = entropy
        self._noise = noise

    @contextmanager
    def ledger(self) -> Iterator[LedgerFile]:
        """Give the ledger to this release alone. Raises ``PrivacyError``."""
        with open_ledger(self._require_home(), entropy=self._entropy) as file:
            yield file

    def choose(self, ledger: Ledger, template: Template, subjects: SubjectKeys, *, day: int) -> Chosen:
        """Return the rows that a release may count: one of each subject, drawn at random, that may still spend.

        Raises ``PrivacyError`` (``ledger-clock``; ``release-empty`` where no row is left).
        """
        prices = PRICES[template.profile]
        nonces = np.frombuffer(self._entropy.read(8 * len(subjects)), np.uint64)
        order = np.argsort(nonces, kind="stable")
        may = ledger.may_count(
            subjects[order],
            day=day,
            template_id=template.template_id,
            cost_milli=prices.cost_milli,
            cap_milli=prices.cap_milli,
            rest_days=prices.rest_days(template),
        )
        rows = order[may]
        out = subjects[order[~may]]
        over = prices.cap_milli - prices.cost_milli
        spent = sum(ledger.spent_milli(key.tobytes()) > over for key in out) if prices.cost_milli else 0
        if not len(rows):
            raise _empty(prices, same_subject=len(out) - spent, spent=spent)
        return Chosen(rows=rows, subjects=subjects[rows], same_subject=len(out) - spent, spent=spent)

    def publish_earlier(self, file: LedgerFile, template: Template, *, now: float) -> None:
        """Store what was paid for before a crash and did not reach the store."""
        for packets in file.unpublished():
            self._engine.put_out(template.template_id, packets, now=now)
        file.published()

    def release(
        self,
        file: LedgerFile,
        template: Template,
        observations: Observations,
        *,
        now: float,
        holders_answered: int,
    ) -> Made:
        """Take in the records of subjects that may be counted, enter it in the ledger, then publish.

        Raises ``PrivacyError``, and ``UsageError`` (``subject-column``) for records that name no subjects.
        """
        engine, day, prices = self._engine, day_of(now), PRICES[template.profile]
        subjects = observations.subjects
        if subjects is None:
            raise subjects_needed(template)
        asked = len(engine.peers.all())
        packets = engine.packets(template.template_id, now=now)
        emitter = engine.public_key
        require_known(file.ledger, packets, emitter=emitter, asked=asked, answered=holders_answered)
        chosen = self.choose(file.ledger, template, subjects, day=day)
        fingerprinter = engine.knowledge(template.template_id).fingerprinter
        made = formed(
            template,
            fingerprinter,
            observations.part(chosen.rows),
            signer=self._signer,
            day=day,
            entropy=self._entropy,
            noise=self._noise,
        )
        told = chosen.subjects[made.rows]
        if not len(made.packets):
            raise _too_few(made.ungrouped)
        if made.places is not None:  # Before they are paid for: an entry may lack its packet, no packet its entry.
            self._book.note(told, made.packets, made.places)
        file.spend(
            made.packets,
            told,
            day=day,
            template_id=template.template_id,
            profile=profile_name(template.profile),
            cost_milli=prices.cost_milli,
            cap_milli=prices.cap_milli,
            rest_days=prices.rest_days(template),
        )
        number = engine.put_out(template.template_id, made.packets, now=now)
        file.published()
        report = _report(made, chosen, prices, number=len(file.ledger.entries), holders_checked=holders_answered)
        return Made(number=number, packets=made.packets, report=report)

    async def joint(
        self,
        file: LedgerFile,
        connection: Connection,
        template: Template,
        observations: Observations,
        *,
        parties: Sequence[bytes],
        seconds: float,
        now: float,
        holders_answered: int,
    ) -> Made:
        """Count as ``release`` does, add up with the other ``parties``, and publish where this node is to.

        ``Made.packets`` is empty where another one publishes. Raises ``PrivacyError``, also ``sum-dropout``.
        """
        engine, prices = self._engine, PRICES[template.profile]
        if observations.subjects is None:
            raise subjects_needed(template)
        known, asked = engine.packets(template.template_id, now=now), len(engine.peers.all())
        require_known(file.ledger, known, emitter=engine.public_key, asked=asked, answered=holders_answered)
        chosen = self.choose(file.ledger, template, observations.subjects, day=day_of(now))
        joint = Joint(
            engine=engine,
            connection=connection,
            template=template,
            signer=self._signer,
            entropy=self._entropy,
            parties=parties,
            seconds=seconds,
        )
        agreed, total = await joint.total(file, observations, chosen, prices, now=now)
        number = len(file.ledger.entries)
        put_out, packets = joint.publish(file, agreed, total, now=now) or (0, np.zeros(0, PACKET_DTYPE))
        made = Formed(packets=packets, rows=np.arange(len(chosen.rows)))
        report = _report(made, chosen, prices, number=number, holders_checked=holders_answered)
        return Made(number=put_out, packets=packets, report=replace(report, parties=len(agreed.parties)))

    def _require_home(self) -> Home:
        if self._home is None:
            raise UsageError(
                "ledger-home",
                "a node in memory forgets what its subjects have spent, so it releases nothing under this profile",
                hint="open the node with home=DIR",
            )
        return self._home


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What a node has around its engine: what it saw, whose packets are whose, its releases, and its keys."""

    watch: Watch
    book: SubjectBook
    releaser: Releaser
    ring_file: RingFile | None


def open_shell(
    engine: Engine,
    store: PacketStore,
    root: Path | None,
    template: Template,
    *,
    signer: Signer,
    entropy: Entropy,
    keys: KeyRing | None,
) -> Shell:
    """Return what a node on the home ``root`` has around its engine; without a home most of it forgets."""
    place = None if root is None else Home(root)
    book = SubjectBook(place, store, signer=signer, entropy=entropy)
    return Shell(
        watch=Watch(store=store),
        book=book,
        releaser=Releaser(place, engine, signer=signer, entropy=entropy, book=book),
        ring_file=None if place is None or keys is not None else RingFile(place, template.template_id),
    )


def _report(made: Formed, chosen: Chosen, prices: Prices, *, number: int, holders_checked: int) -> ReleaseReport:
    return ReleaseReport(
        number=number,
        rows=len(made.rows),
        same_subject=chosen.same_subject,
        spent=chosen.spent,
        epsilon=prices.cost_milli / MILLI,
        lifetime_epsilon=prices.cap_milli / MILLI,
        holders_checked=holders_checked,
        groups=made.groups,
        unanimous=made.unanimous,
        ungrouped=made.ungrouped,
    )


def _empty(prices: Prices, *, same_subject: int, spent: int) -> PrivacyError:
    if prices.while_live:
        return PrivacyError(
            "release-empty",
            f"no row can be grouped: all {same_subject:,} are of subjects who are in a group that is still live",
            hint="a second group while the first may be compared with it would tell who joined: wait until it expires",
        )
    return PrivacyError(
        "release-empty",
        f"no row can be counted: {same_subject:,} are of subjects who are counted today already, and "
        f"{spent:,} of subjects who have spent epsilon {prices.cap_milli / MILLI:g}",
        hint="each subject counts once a day, as long as its lifetime budget lasts: fingerpost privacy budget",
    )


def _too_few(rows: int) -> PrivacyError:
    return PrivacyError(
        "release-few",
        f"{rows:,} subjects are too few: a group has at least {GROUP_SUBJECTS_MIN}",
        hint="emit again when there are more; those who are in a live group already are left out",
    )


def require_known(ledger: Ledger, packets: Packets, *, emitter: bytes, asked: int, answered: int) -> int:
    """Return how many other holders vouch that this ledger is the last one: they have no release that it lacks.

    ``packets`` are those of the template, here and from ``answered`` of ``asked`` other holders. Raises
    ``PrivacyError``: ``ledger-behind`` when a packet of this emitter is not in the ledger (restored from an older
    backup), ``ledger-unchecked`` when fewer holders than acknowledge a packet answer.
    """
    mine = packets[(packets["emitter"] == np.frombuffer(emitter, np.uint8)).all(axis=1)]
    mine = mine[np.isin(mine["kind"], (Kind.SUMMARY, Kind.COUNTS, Kind.REPORT))]
    unknown = sum(not ledger.knows(packet_id.tobytes()) for packet_id in packet_ids(mine))
    if unknown:
        raise PrivacyError(
            "ledger-behind",
            f"{unknown} packets were released under this identity that the privacy ledger does not know",
            hint="the home was restored from an older backup: restore the newest ledger, or release no more from it",
        )
    if answered < min(ACKNOWLEDGEMENTS, asked):
        raise PrivacyError(
            "ledger-unchecked",
            f"{answered} of {asked} other holders answered; {min(ACKNOWLEDGEMENTS, asked)} have to say what they hold",
            hint="a ledger cannot see by itself that it is an old copy; try again when the holders are back",
        )
    return answered
