"""A node greets those it was told of until one has answered, and now and then for as long as it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fingerpost.directory import _opendht_meeting
from fingerpost.directory._opendht_meeting import Meeting

pytest.importorskip("opendht")


class Greeted:
    """Stands for OpenDHT: notes who is greeted, and answers in the name of some."""

    def __init__(self, *, answers: set[int]) -> None:
        self.answers = answers
        self.greetings: list[int] = []
        self.told: list[int] = []
        self.changed = asyncio.Event()

    def ping(self, address: Any, on_answer: Callable[[bool], None]) -> None:
        self.greetings.append(address.getPort())
        self.changed.set()
        on_answer(address.getPort() in self.answers)

    def bootstrap(self, _host: str, port: str) -> None:
        self.told.append(int(port))

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not happened():
                self.changed.clear()
                await self.changed.wait()


def test_whoever_does_not_answer_is_greeted_again_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_opendht_meeting, "GREET_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(_opendht_meeting, "MEET_SECONDS_MAX", 0.001)

    async def scenario() -> None:
        dht = Greeted(answers=set())
        meeting = Meeting(dht, [("127.0.0.1", 4_001)], bind="127.0.0.1")
        await meeting.settled()
        await dht.until(lambda: len(dht.greetings) >= 3)
        assert dht.told == [4_001]
        meeting.close()

    asyncio.run(scenario())


def test_once_met_everybody_is_still_greeted_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_opendht_meeting, "GREET_STILL_SECONDS", 0.001)

    async def scenario() -> None:
        dht = Greeted(answers={4_001})
        meeting = Meeting(dht, [("127.0.0.1", 4_001), ("127.0.0.1", 4_002)], bind="127.0.0.1")
        await meeting.settled()
        await dht.until(lambda: min(dht.greetings.count(4_001), dht.greetings.count(4_002)) >= 3)
        meeting.close()
        await asyncio.sleep(0)
        greetings = len(dht.greetings)
        await asyncio.sleep(0.02)
        assert len(dht.greetings) == greetings, "a meeting that was closed greets nobody"

    asyncio.run(scenario())
