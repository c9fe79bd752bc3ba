"""How many packets with bad signatures a peer may hand over: checking one costs time, making one costs nothing.

Each peer has a token bucket of its own. A bad signature takes a token, and tokens come back with time; a peer whose
bucket is empty is muted until it holds one again. A frame is checked before anybody knows what it costs, so a bucket
may fall below empty by one frame, which only lengthens the silence. Good packets cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from fingerpost.ids import PublicKey
from fingerpost.limits import BAD_SIGNATURES_MAX, BAD_SIGNATURES_PER_SECOND, BUDGETS_KEPT_MAX


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class SignatureBudget:
    """The buckets of all peers.

    Only those are kept that are not full, at most ``peers_max`` of them: one more forgets the peer that was charged
    longest ago. Whoever speaks with more identities than that gets a full bucket for each anyway.
    """

    def __init__(
        self,
        *,
        tokens_max: int = BAD_SIGNATURES_MAX,
        tokens_per_second: float = BAD_SIGNATURES_PER_SECOND,
        peers_max: int = BUDGETS_KEPT_MAX,
    ) -> None:
        self._tokens_max = tokens_max
        self._tokens_per_second = tokens_per_second
        self._peers_max = peers_max
        self._buckets: dict[PublicKey, _Bucket] = {}  # the one charged last stands last

    def __len__(self) -> int:
        return len(self._buckets)

    def is_muted(self, peer: PublicKey, *, now: float) -> bool:
        """Say whether packets from this peer are not to be checked at ``now`` (seconds)."""
        bucket = self._buckets.get(peer)
        if bucket is None:
            return False
        self._fill(bucket, now)
        if bucket.tokens >= self._tokens_max:
            del self._buckets[peer]
        return bucket.tokens < 1

    def charge(self, peer: PublicKey, bad_signatures: int, *, now: float) -> None:
        """Take a token for each bad signature that a peer handed over."""
        if bad_signatures <= 0:
            return
        bucket = self._buckets.pop(peer, None) or _Bucket(tokens=self._tokens_max, filled_at=now)
        self._fill(bucket, now)
        bucket.tokens -= bad_signatures
        if len(self._buckets) >= self._peers_max:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[peer] = bucket

    def _fill(self, bucket: _Bucket, now: float) -> None:
        """Give back what the time since the last filling brings; a clock that was set back brings nothing."""
        seconds = max(now - bucket.filled_at, 0.0)
        bucket.tokens = min(bucket.tokens + seconds * self._tokens_per_second, self._tokens_max)
        bucket.filled_at = now
