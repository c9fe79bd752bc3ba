"""Networks under attack: rows dealt to nodes, some of which lie, and what an asker makes of their packets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from fingerpost.elections.hire import Elector
from fingerpost.elections.hiring import Hiring
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import node_id
from fingerpost.lab import data
from fingerpost.lab.attacks import ATTACKS, Scene
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import KernelOptions, KernelSettings, fit

NODES = {"digits": 50, "breast_cancer": 20, "heart": 20, "diabetes": 10}
BITS = 1_024
TEST_SHARE = 0.3
DAY = 20_000


@cache
def prints(name: str) -> np.ndarray:
    """Return the fingerprints of all rows of a set, as nodes would make them."""
    found = data.load(name)
    made: np.ndarray = Fingerprinter(found.template(bits=BITS)).fingerprints(found.encoded())
    return made


@cache
def keys(count: int) -> np.ndarray:
    """Return as many public keys."""
    return np.array([list(hashlib.blake2s(f"node {node}".encode()).digest()) for node in range(count)], np.uint8)


def deal(outcomes: np.ndarray, nodes: int, *, dirichlet: float | None, chance: np.random.Generator) -> np.ndarray:
    """Return the node of every row: evenly, or each level spread by a Dirichlet distribution."""
    if dirichlet is None:
        dealt: np.ndarray = chance.permutation(np.arange(len(outcomes)) % nodes)
        return dealt
    node = np.empty(len(outcomes), np.int64)
    for level in np.unique(outcomes):
        rows = chance.permutation(np.flatnonzero(outcomes == level))
        ends = np.round(np.cumsum(chance.dirichlet(np.full(nodes, dirichlet))) * len(rows)).astype(int)
        for owner, part in enumerate(np.split(rows, ends[:-1])):
            node[part] = owner
    return node


@dataclass(slots=True)
class World:
    """One split of a set, dealt to nodes; the asker is a node of middling size, node ``me``."""

    name: str
    seed: int
    dirichlet: float | None = None
    train: np.ndarray = field(init=False)
    test: np.ndarray = field(init=False)
    node: np.ndarray = field(init=False)
    me: int = field(init=False)
    others: np.ndarray = field(init=False)
    settings: KernelSettings = field(init=False)

    def __post_init__(self) -> None:
        """Split, deal, and choose the calculator's settings once, for all arms alike, from what is true."""
        found = data.load(self.name)
        chance = np.random.default_rng(self.seed)
        kind = StratifiedShuffleSplit if found.levels else ShuffleSplit
        split = kind(1, test_size=TEST_SHARE, random_state=self.seed)
        self.train, self.test = next(split.split(found.outcomes[:, None], found.outcomes))
        self.node = deal(self.truth, NODES[self.name], dirichlet=self.dirichlet, chance=chance)
        sizes = np.bincount(self.node, minlength=NODES[self.name])
        self.me = int(np.argsort(-sizes, kind="stable")[NODES[self.name] // 3])
        self.others = np.array([each for each in chance.permutation(NODES[self.name]) if each != self.me])
        evidence = self.evidence(self.truth)
        self.settings = fit(evidence, day=DAY, options=KernelOptions()).settings

    @property
    def truth(self) -> np.ndarray:
        """What happened in the rows that nodes have."""
        outcomes: np.ndarray = data.load(self.name).outcomes[self.train]
        return outcomes

    @property
    def levels(self) -> int:
        """The number of outcome levels, 0 for numbers."""
        return data.load(self.name).levels

    def keep_half_of_the_levels(self) -> None:
        """Let the asker have outcomes of the first half of the levels only; the next node gets the others."""
        lost = (self.node == self.me) & (self.truth >= self.levels // 2)
        self.node[lost] = self.others[-1]

    def liars(self, share: float) -> np.ndarray:
        """Return the nodes that lie; the larger the share, the more of the same order."""
        return self.others[: min(round(share * NODES[self.name]), len(self.others))]

    def claims(self, attack: str, liars: np.ndarray) -> np.ndarray:
        """Return what is claimed of every row."""
        chance = np.random.default_rng([self.seed, len(attack)])
        scene = Scene(
            truth=self.truth,
            levels=self.levels,
            lying=np.isin(self.node, liars),
            seen=np.unique(self.truth[self.node == self.me]),
            order=chance.permutation(len(self.truth)),
            bits=np.unpackbits(prints(self.name)[self.train], axis=1),
            chance=chance,
        )
        return ATTACKS[attack](scene)

    def evidence(
        self, claims: np.ndarray, *, more: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    ) -> Evidence:
        """Return the packets that claim this, and those of ``more`` nodes: fingerprints, claims, and node numbers."""
        prints_, told, owner = prints(self.name)[self.train], claims, self.node
        if more is not None:
            prints_, told = np.vstack([prints_, more[0]]), np.concatenate([told, more[1]])
            owner = np.concatenate([owner, more[2]])
        ids = np.random.default_rng(self.seed).integers(0, 256, (len(told), 32), dtype=np.uint8)
        emitters = keys(int(owner.max()) + 1)[owner]
        if not self.levels:
            return Evidence.from_arrays(fingerprints=prints_, values=told, emitters=emitters, packet_ids=ids)
        counts = np.zeros((0, self.levels), np.int64)
        return Evidence.from_arrays(fingerprints=prints_, codes=told, counts=counts, emitters=emitters, packet_ids=ids)

    def name_of(self, node: int) -> bytes:
        """Return the id of a node."""
        return node_id(keys(node + 1)[node].tobytes())

    def hire(self, evidence: Evidence) -> Hiring:
        """Let the asker elect."""
        return Elector(asker=self.name_of(self.me)).read(evidence)

    def rows_of(self, evidence: Evidence, nodes: np.ndarray) -> np.ndarray:
        """Return which packets of ``evidence`` these nodes signed."""
        wanted = {self.name_of(int(node)) for node in nodes}
        taken = np.array([one.tobytes() in wanted for one in evidence.node_ids], bool)
        return taken[evidence.node_index]

    def predict(self, evidence: Evidence, rows: np.ndarray) -> np.ndarray:
        """Return the estimates (q, L) or (q, 1) for the rows held out, from some packets."""
        fitted = fit(evidence.subset(rows), day=DAY, options=KernelOptions(), settings=self.settings)
        return fitted.predict(prints(self.name)[self.test], None)

    def score(self, evidence: Evidence, rows: np.ndarray, *, level: int | None = None) -> float:
        """Return the accuracy on rows held out (of one ``level``), or for numbers the share of variance explained."""
        found, happened = self.predict(evidence, rows), self.happened
        if not self.levels:
            return 1 - float(((found[:, 0] - happened) ** 2).mean() / happened.var())
        right = found.argmax(axis=1) == happened
        return float((right if level is None else right[happened == level]).mean())

    @property
    def happened(self) -> np.ndarray:
        """What happened in the rows held out."""
        outcomes: np.ndarray = data.load(self.name).outcomes[self.test]
        return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One attack on one split of one set by a share of liars; a ``kind`` is an attack, with ``_dir01`` on skewed data.

    Liars that mimic meet an asker that has outcomes of half of the levels only.
    """

    name: str
    kind: str
    percent: int
    seed: int

    @property
    def attack(self) -> str:
        """What liars do."""
        return self.kind.partition("_")[0]

    @property
    def skew(self) -> str:
        """How rows are dealt: evenly, or ``dir01``."""
        return self.kind.partition("_")[2]

    @property
    def place(self) -> str:
        """Which world it happens in: ``iid``, ``dir01`` or ``mimic``."""
        return "mimic" if self.attack == "mimic" else self.skew or "iid"

    @property
    def label(self) -> str:
        """How names of figures end."""
        return f"{self.name}_{self.attack}_{self.percent}{self.skew and '_' + self.skew}"

    @property
    def place_label(self) -> str:
        """How names of figures end that are not about an attack."""
        return f"{self.name}{self.skew and '_' + self.skew}"

    @property
    def key(self) -> str:
        """Its name in a journal."""
        return f"{self.label}_{self.seed}"

    def world(self, known: dict[str, World]) -> World:
        """Return the world that it happens in, one of those ``known`` for this seed or a new one."""
        if self.place not in known:
            known[self.place] = World(self.name, self.seed, dirichlet=0.1 if self.skew else None)
            if self.attack == "mimic":
                known[self.place].keep_half_of_the_levels()
        return known[self.place]
