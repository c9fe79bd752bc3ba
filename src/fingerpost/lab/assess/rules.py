"""The rules of the game: fixed before anything is scored, and printed in every report."""

from __future__ import annotations

from dataclasses import dataclass

RULES = (
    "Every arm sees the same training rows of the same splits with the same seeds, and is asked about the same rows.",
    "The template of the packets is drafted from training rows only, or given; opponents get the table itself "
    "(numbers, levels one by one, flags for gaps), scaled by training rows.",
    "Outcome routing goes through real packets: encoded, fingerprinted, sealed or noised, signed, judged as a holder "
    "does, opened, read back. Only the sockets are left out.",
    "One configuration per profile, and all its figures come from it. consortium (headline): 256 bits and a sketch in "
    "a sealed body, elections and calculators as shipped. dp-aggregate (headline): counts in 32 cells by the first "
    "bits of the fingerprint, one release of epsilon 1 for each node and record, noise drawn from the seed. open: "
    "1,024 bits in clear, no elections, kernel ridge on all packets alike; only where no column looks personal.",
    "Which profile and which federated arm the verdict compares is chosen by log-loss on a fifth of the training rows "
    "of the first split, held back client by client for arms, never on asked rows.",
    "Every federated arm is tuned by itself on a fifth of the training rows, which clients hold back: learning rates "
    "0.03 to 1 (trees: 0.3 to 3), no or 32 hidden units, its own settings, half to twice the rounds (trees: a quarter "
    "of those). Robust rules take FedAvg's plan. Five local epochs a round, batches of 32.",
    "Central and local models have one fixed setting each: logistic regression C=0.3; RBF-SVM C=1; forest of 100 "
    "trees, leaves of 3; boosting of 100 trees with 15 leaves.",
    "At natural nodes each row is asked where it belongs; under other partitions it turns up at a random node. At most "
    "12 nodes ask in each split.",
    "Rows with a time are split by it: each split trains on what was before, and asks about what came next.",
    "Bytes go both ways: encoded messages of Flower for every federated arm, Flower's or not; bare float32 numbers for "
    "the one-shot and the central arms; packets once for every node that fetches them. What secure "
    "aggregation adds is a cost model.",
    "Intervals are 95 % bootstrap intervals over rows of the table, of the difference to the consortium on the same "
    "rows. They say nothing about other training rows.",
    "Liars: the server's trusted rows in FLTrust are the asker's own training rows, the same ones that elect nodes.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is run."""

    name: str
    rows_max: int
    test_share: float
    test_max: int
    seeds: int
    rounds: int
    partitions: tuple[str, ...]
    every_arm: bool
    liar_shares: tuple[float, ...]
    attacks: tuple[str, ...]
    liar_seeds: int
    newcomers: int
    scaling_asked: int
    inverted_rows: int
    inverted_records: int
    inverted_cases: int  # of those that ``work`` lists
    coordinator_rounds: int  # of the run whose coordinator is killed; 0 leaves that out
    coordinator_watch_seconds: float = 20.0  # for which a restarted coordinator may go on by itself


QUICK = Sizes(
    name="quick",
    rows_max=2_600,
    test_share=0.3,
    test_max=600,
    seeds=3,
    rounds=20,
    partitions=("natural", "iid", "skewed"),
    every_arm=False,
    liar_shares=(0.0, 0.4, 0.8),
    attacks=("flip",),
    liar_seeds=1,
    newcomers=2,
    scaling_asked=100,
    inverted_rows=450,
    inverted_records=8,
    inverted_cases=7,
    coordinator_rounds=0,
)
FULL = Sizes(
    name="full",
    rows_max=12_000,
    test_share=0.3,
    test_max=2_000,
    seeds=3,
    rounds=40,
    partitions=("natural", "iid", "dirichlet-1", "skewed", "dirichlet-0.05", "one-class", "offline"),
    every_arm=True,
    liar_shares=(0.0, 0.2, 0.4, 0.6, 0.8, 0.95),
    attacks=("flip", "random", "onoff", "mimic", "backdoor", "freeride"),
    liar_seeds=1,
    newcomers=4,
    scaling_asked=200,
    inverted_rows=1_500,
    inverted_records=16,
    inverted_cases=12,
    coordinator_rounds=4,
)
HIDDEN = (0, 32)
NODES_DEFAULT = 10
ALPHA_DEFAULT = 0.1
ASKERS_MAX = 12
ONLINE_SHARE = 0.2
OWN_ROWS = (0, 8, 32, 128)
