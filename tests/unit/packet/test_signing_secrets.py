"""Secrets that follow from a node's seed."""

from __future__ import annotations

from fingerpost.packet import Signer


def test_a_derived_secret_stays_the_same_and_differs_between_labels_and_seeds() -> None:
    one, other = Signer(bytes(32)), Signer(bytes([1]) * 32)
    secret = one.derived_secret(b"channel")
    assert secret == Signer(bytes(32)).derived_secret(b"channel")
    assert len({secret, one.derived_secret(b"another channel"), other.derived_secret(b"channel"), bytes(32)}) == 4
    assert len(secret) == 32
