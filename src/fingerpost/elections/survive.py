"""The third election: which outcome survives.

Packets grow old, and some were wrong from the start. How to weigh them against fresh ones is itself decided by
outcomes: six rules forecast each confirmed outcome from the packets near it, and a fixed share over the rules (Herbster
and Warmuth 1998) follows whichever is right at the time. A rule is a half-life (``HALF_LIVES`` days, or none) with or
without *fitness*:

* **Fitness of a packet.** Every confirmed outcome tests the packets nearest to it. One that agrees is confirmed, one
  that does not is contradicted, each by as much as it is near; counts fade only where a packet is tested. Its weight is
  the expected share of confirmations to the power ``FITNESS_POWER``, one at most.
* **Trust in a node.** A node gains or loses log-odds by whether its tested packets agree more or less than all tested
  packets do. The sum stays within ``TRUST_NATS_MAX``, so that nobody can bank a reputation and spend it on lies.

The trust of a packet is the mean of the rules' weights by their shares. While the rule that keeps everything leads
clearly, all packets count alike. A packet that was contradicted ``DROP_TESTS`` times' worth and hardly ever confirmed,
while rules with fitness lead, is dropped: it takes part in no answer any more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from fingerpost.errors import UsageError
from fingerpost.synthesis.distances import nearest_rows
from fingerpost.synthesis.kernel import feature_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence

HALF_LIVES = (50.0, 200.0, math.inf)
RULES = tuple((half_life, fit) for half_life in HALF_LIVES for fit in (False, True))
KEEP_ALL = RULES.index((math.inf, False))
LEAK = 1 / 200
KEEP_ALL_START = 0.9  # of all shares: packets count alike until outcomes say otherwise
KEEP_ALL_LEADS = 0.5  # above this share of the rule that keeps everything no packet is weighed down
NEIGHBOURS = 40
LENGTH_SHARE = 0.25  # of the median distance of the neighbours: how fast nearness fades
FADING = 0.3
FITNESS_POWER = 4.0
DOUBT = 1.25  # with one confirmation imagined: an untested packet counts (1 / 1.25)^4 beside a proven one
TRUST_NATS_MAX = 6.0
TRUST_START = 3.0  # log-odds of a node about which nothing is known
TRUST_GAIN = 2.0  # nats for a node whose packets all agree where usually none do
VOTES_IMAGINED = 0.5
DROP_TESTS = 2.5  # contradictions that are still remembered; with fading at most 1 / FADING = 3.3
DROP_SHARE = 0.1  # of confirmations among all tests, at most
TESTED_MAX = 16_384  # packets whose tests are remembered; the least tested are forgotten first
SURVIVAL_VERSION = 1


class Survival(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What confirmed outcomes have said about the packets of one template. A value: ``tested`` returns a new one.

    ``shares`` of the rules sum to one. ``packets`` maps the id of every tested packet to (confirmed, contradicted),
    ``nodes`` the id of a node to its log-trust. ``dropped`` are ids that take part in no answer.
    """

    shares: tuple[float, ...] = tuple(
        KEEP_ALL_START if place == KEEP_ALL else (1 - KEEP_ALL_START) / (len(RULES) - 1) for place in range(len(RULES))
    )
    packets: dict[bytes, tuple[float, float]] = {}
    nodes: dict[bytes, float] = {}
    dropped: frozenset[bytes] = frozenset()
    tests: int = 0
    version: int = SURVIVAL_VERSION

    @property
    def keeps_all(self) -> bool:
        """Whether all packets count alike for now."""
        return self.shares[KEEP_ALL] >= KEEP_ALL_LEADS

    def trust(self, evidence: Evidence, *, day: int) -> NDArray[np.float64] | None:
        """Return the trust (n,) of every packet, in [0, 1], as of ``day``; None while all count alike."""
        if self.keeps_all and not self.dropped:
            return None
        gone = np.array([one.tobytes() in self.dropped for one in evidence.packet_ids], bool)
        if self.keeps_all:
            return np.where(gone, 0.0, 1.0)
        trust = np.array(self.shares) @ self._weights(evidence, np.arange(len(evidence)), day=day)
        return np.where(gone, 0.0, np.maximum(trust / max(float(trust.max(initial=0)), 1e-9), 1e-6))

    def tested(
        self,
        evidence: Evidence,
        features: NDArray[np.uint8],
        agreement: NDArray[np.float64],
        *,
        chance: float,
        day: int,
        own: bytes = b"",
    ) -> Survival:
        """Return the state after one confirmed outcome at the fingerprint ``features`` (B,), seen on ``day``.

        ``agreement`` (n,) in [0, 1] says how far the outcome of each packet agrees with it, ``chance`` how far one
        drawn at random would. Packets of the node ``own`` are tested like all others, but never dropped.
        """
        if not len(evidence):
            return self
        distances = feature_distances("bits", features[None], evidence.fingerprints)[0]
        near = nearest_rows(distances, NEIGHBOURS)
        length = max(LENGTH_SHARE * float(np.median(distances[near])), 1e-9)
        strength = np.exp(-(distances[near] - float(distances[near].min())) / length)
        agree = agreement[near]
        weights = self._weights(evidence, near, day=day)
        votes = (weights * strength) @ agree + VOTES_IMAGINED * chance
        likelihood = votes / ((weights * strength).sum(axis=1) + VOTES_IMAGINED)
        return msgspec.structs.replace(self, shares=_shared(self.shares, likelihood), tests=self.tests + 1)._counted(
            evidence, near, strength, agree, own=own
        )

    def to_bytes(self) -> bytes:
        """Return the state as bytes to be kept."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Survival:
        """Read a state that was kept. Raises ``UsageError`` (``survival-unreadable``)."""
        try:
            found = msgspec.msgpack.decode(data, type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UsageError("survival-unreadable", f"what is known about packets cannot be read: {error}") from None
        if found.version != SURVIVAL_VERSION or len(found.shares) != len(RULES):
            raise UsageError("survival-unreadable", "what is known about packets is of another version, or damaged")
        return found

    def _weights(self, evidence: Evidence, rows: NDArray[np.int64], *, day: int) -> NDArray[np.float64]:
        """Return (rules, r) weights of packets."""
        ages = np.maximum(day - evidence.epochs[rows], 0)
        fitness = self._fitness(evidence, rows)
        return np.array([0.5 ** (ages / half_life) * (fitness if fit else 1.0) for half_life, fit in RULES])

    def _fitness(self, evidence: Evidence, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = [self.packets.get(evidence.packet_ids[row].tobytes(), (0.0, 0.0)) for row in rows]
        confirmed, contradicted = np.array(counts).reshape(-1, 2).T
        packets = ((confirmed + 1) / (confirmed + contradicted + DOUBT)) ** FITNESS_POWER
        trust = np.array([self.nodes.get(one.tobytes(), 0.0) for one in evidence.node_ids])
        nodes = 1 / (1 + np.exp(-(trust + TRUST_START)))
        return np.asarray(packets * nodes[evidence.node_index[rows]], np.float64)

    def _counted(
        self,
        evidence: Evidence,
        near: NDArray[np.int64],
        strength: NDArray[np.float64],
        agree: NDArray[np.float64],
        *,
        own: bytes,
    ) -> Survival:
        packets, dropped = dict(self.packets), set(self.dropped)
        fit_leads = sum(share for share, (_, fit) in zip(self.shares, RULES, strict=True) if fit) > KEEP_ALL_LEADS
        for row, much, yes in zip(near.tolist(), strength.tolist(), agree.tolist(), strict=True):
            packet_id = evidence.packet_ids[row].tobytes()
            confirmed, contradicted = packets.get(packet_id, (0.0, 0.0))
            kept = 1 - FADING * much
            confirmed, contradicted = confirmed * kept + much * yes, contradicted * kept + much * (1 - yes)
            packets[packet_id] = confirmed, contradicted
            mine = evidence.node_ids[evidence.node_index[row]].tobytes() == own
            if fit_leads and not mine and contradicted >= DROP_TESTS and confirmed <= DROP_SHARE * contradicted:
                dropped.add(packet_id)
        if len(packets) > TESTED_MAX:
            ranked = sorted(packets, key=lambda one: (sum(packets[one]), one), reverse=True)
            packets = {one: packets[one] for one in ranked[:TESTED_MAX]}
        nodes = _trusted(self.nodes, evidence, near, strength, agree)
        return msgspec.structs.replace(self, packets=packets, nodes=nodes, dropped=frozenset(dropped))


def agreement_with(evidence: Evidence, outcome: float, *, deviation: float) -> tuple[NDArray[np.float64], float]:
    """Return how far the outcome of every packet (n,) agrees with a confirmed one, and how far one at random would.

    ``outcome`` is the number of a level, or a number; numbers agree by exp(-d^2 / 2) of their distance d in units of
    twice the usual ``deviation`` of single outcomes.
    """
    targets = evidence.targets()
    if evidence.levels:
        return np.asarray(targets[:, int(outcome)], np.float64), 1 / evidence.levels
    apart = (targets[:, 0] - outcome) / (2 * max(deviation, 1e-12))
    agreement = np.asarray(np.exp(-0.5 * apart**2), np.float64)
    return agreement, float(agreement.mean()) if len(agreement) else 0.5


def _shared(shares: tuple[float, ...], likelihood: NDArray[np.float64]) -> tuple[float, ...]:
    grown = np.array(shares) * likelihood
    grown /= grown.sum()
    leaked = (1 - LEAK) * grown + LEAK / len(RULES)
    return tuple((leaked / leaked.sum()).tolist())


def _trusted(
    before: dict[bytes, float],
    evidence: Evidence,
    near: NDArray[np.int64],
    strength: NDArray[np.float64],
    agree: NDArray[np.float64],
) -> dict[bytes, float]:
    nodes = dict(before)
    usual = float(strength @ agree) / float(strength.sum())
    for node in np.unique(evidence.node_index[near]):
        mine = evidence.node_index[near] == node
        share = float(strength[mine] @ agree[mine]) / float(strength[mine].sum())
        gain = TRUST_GAIN * min(1.0, float(strength[mine].sum())) * (share - usual)
        key = evidence.node_ids[node].tobytes()
        nodes[key] = min(max(nodes.get(key, 0.0) + gain, -TRUST_NATS_MAX), TRUST_NATS_MAX)
    return nodes
