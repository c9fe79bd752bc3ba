"""Questions that wait for their answers: who was asked what, and what to do when the answer comes, or does not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fingerpost.ids import PublicKey
from fingerpost.node.wire import Answer, Beat, Have, Message, Offer, Request, encode_message
from fingerpost.ports import Entropy

REQUEST_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A frame for the peer ``to``."""

    to: PublicKey
    frame: bytes


class Answered(Protocol):
    """What is called with the answer, at most once."""

    def __call__(self, answer: Answer, *, now: float) -> None:
        """Take the answer."""
        ...


class Failed(Protocol):
    """What is called when no answer comes, at most once."""

    def __call__(self, *, now: float) -> None:
        """Go on without the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    peer: PublicKey
    until: float
    expects: type[Answer]
    answered: Answered
    failed: Failed


class Requests:
    """Numbers questions, keeps the frames that are due, and brings answers home.

    Numbers start at a random place, so that an answer to a question from before a restart answers nothing now.
    """

    def __init__(self, *, entropy: Entropy) -> None:
        self._number = int.from_bytes(entropy.read(6), "big")
        self._waiting: dict[int, _Waiting] = {}
        self._due: deque[Outgoing] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(
        self,
        peer: PublicKey,
        make: Callable[[int], Request],
        *,
        expects: type[Answer],
        answered: Answered,
        failed: Failed,
        now: float,
        seconds: float = REQUEST_SECONDS_MAX,
    ) -> None:
        """Queue the question that ``make`` makes of its number; one of ``answered`` and ``failed`` follows later."""
        self._number += 1
        self._waiting[self._number] = _Waiting(
            peer=peer, until=now + seconds, expects=expects, answered=answered, failed=failed
        )
        self.send(peer, make(self._number))

    def send(self, peer: PublicKey, message: Message) -> None:
        """Queue a message that waits for nothing."""
        self._due.append(Outgoing(to=peer, frame=encode_message(message)))

    def ask_for_life(self, peer: PublicKey, *, now: float) -> None:
        """Queue the question whether a peer is there; that any frame comes back is the answer."""

        self.ask(peer, lambda number: Beat(number=number), expects=Beat, answered=_ignore, failed=_give_up, now=now)

    def hand_over(self, peer: PublicKey, packets: bytes, *, now: float) -> None:
        """Queue packets for a peer, whatever becomes of them."""
        self.ask(
            peer,
            lambda number: Offer(number=number, packets=packets),
            expects=Have,
            answered=_ignore,
            failed=_give_up,
            now=now,
        )

    def take(self, answer: Answer, *, peer: PublicKey, now: float) -> bool:
        """Bring an answer home; say whether anybody waits for it. Answers of others than the one asked do not count."""
        waiting = self._waiting.get(answer.answers)
        if waiting is None or waiting.peer != peer or not isinstance(answer, waiting.expects):
            return False
        del self._waiting[answer.answers]
        waiting.answered(answer, now=now)
        return True

    def fail(self, peers: Iterable[PublicKey], *, now: float) -> None:
        """Give up whatever these peers were asked."""
        gone = set(peers)
        self._give_up([number for number, each in self._waiting.items() if each.peer in gone], now=now)

    def time_out(self, *, now: float) -> None:
        """Give up what was asked too long ago."""
        self._give_up([number for number, each in self._waiting.items() if each.until <= now], now=now)

    def due(self) -> list[Outgoing]:
        """Return the frames to send, oldest first, and forget them."""
        due = list(self._due)
        self._due.clear()
        return due

    def _give_up(self, numbers: list[int], *, now: float) -> None:
        for number in numbers:
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.failed(now=now)


def _ignore(answer: Answer, *, now: float) -> None:
    del answer, now


def _give_up(*, now: float) -> None:
    del now
