"""Memory is given back once for each set of many packets."""

from __future__ import annotations

import ctypes

import pytest

from fingerpost.node.freed_memory import MANY_PACKETS, FreedMemory


class Library:
    def __init__(self) -> None:
        self.trims = 0

    def malloc_trim(self, pad: int) -> int:
        self.trims += 1
        return 1


@pytest.fixture
def library(monkeypatch):
    found = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: found)
    return found


def test_memory_is_given_back_when_the_packets_are_others_and_many(library) -> None:
    freed = FreedMemory()
    for digest, packets in (("a", MANY_PACKETS), ("a", MANY_PACKETS), ("b", MANY_PACKETS), ("c", MANY_PACKETS - 1)):
        freed.after(digest, packets=packets)
    assert library.trims == 2


def test_a_library_without_such_a_function_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    freed = FreedMemory()
    freed.after("a", packets=MANY_PACKETS)
    assert freed == FreedMemory("a")


def test_the_real_library_takes_the_call() -> None:
    freed = FreedMemory()
    freed.after("a", packets=MANY_PACKETS)
    assert freed == FreedMemory("a")
