"""The rules of the game: fixed before anything is scored, and printed in every report."""

from __future__ import annotations

from dataclasses import dataclass

RULES = (
    "Every arm sees the same training rows of the same splits with the same seeds, and is asked about the same rows.",
    "The template of the packets is drafted from training rows only; opponents get the table itself (numbers, levels "
    "one by one, flags for gaps), scaled by training rows.",
    "Outcome routing goes through real packets: encoded, fingerprinted, signed, sent as bytes, verified, read back. "
    "Only the sockets are left out.",
    "The headline configuration is fixed: fingerprints of 1,024 bits, profile open, no sketch, every node fetches all "
    "packets. All its figures come from this one.",
    "Federated arms share one grid (learning rates 0.03, 0.1, 0.3; no or 32 hidden units), chosen by FedAvg's log-loss "
    "on a fifth of the training rows, never on asked rows. Five local epochs a round, batches of 32.",
    "Central and local models have one fixed setting each: logistic regression C=0.3; forest of 100 trees, leaves of "
    "3; boosting of 100 trees with 15 leaves.",
    "At natural nodes each row is asked where it belongs; under other partitions it turns up at a random node.",
    "Bytes go both ways: Flower's encoded messages, bare float32 numbers for SCAFFOLD (it is not in Flower) and the "
    "one-shot arms, packets once for every node that fetches them.",
    "Intervals are 95 % bootstrap intervals over rows of the table, of the difference to outcome routing on the same "
    "rows. They say nothing about other training rows.",
    "The best federated and the best central arm are picked on asked rows, by log-loss: hindsight in their favour.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is run."""

    rows_max: int
    test_share: float
    test_max: int
    seeds: int
    rounds: int
    tuning_rounds: int


QUICK = Sizes(rows_max=10_000, test_share=0.3, test_max=600, seeds=3, rounds=20, tuning_rounds=5)
FULL = Sizes(rows_max=20_000, test_share=0.3, test_max=2_000, seeds=5, rounds=40, tuning_rounds=10)
RATES = (0.03, 0.1, 0.3)
HIDDEN = (0, 32)
NODES_DEFAULT = 10
ALPHA_DEFAULT = 0.1
