"""Who may call a Flight server: everybody may ask for a challenge, all else needs the token that a proof earns.

A token is a bearer secret inside TLS that ends at the pinned key. It lives ``TOKEN_SECONDS``, so a peer that is no
longer admitted loses its calls within that time, and its frames as any carrier's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow.flight as flight

from fingerpost.carrier.base import CarrierCounts, CarrierOptions
from fingerpost.carrier.hello import HELLO_SECONDS_MAX, HELLO_SIZE_BYTES, NONCE_SIZE_BYTES, Greeting
from fingerpost.ids import PublicKey

NAME = "flight"
TOKEN_SIZE_BYTES = 32
TOKEN_SECONDS = 60.0
CHALLENGES_MAX = 4_096  # asked for and not yet answered; who is pushed out asks again
TOKENS_MAX = 4_096
CALLS_PER_PEER_MAX = 8  # open at once: each holds a thread

_SCHEME = "Bearer "
_Result = TypeVar("_Result")


def bearer(token: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a call that shows a token."""
    return [(b"authorization", f"{_SCHEME}{token.hex()}".encode())]


@dataclass(frozen=True, slots=True)
class _Token:
    peer: PublicKey
    expires: float


class Gate:
    """Challenges, tokens and open calls of one server. Calls come on any thread, decisions fall on the event loop."""

    def __init__(
        self,
        options: CarrierOptions,
        *,
        channel_key: bytes,
        counts: CarrierCounts,
        admits: Callable[[PublicKey], bool],
    ) -> None:
        self._options = options
        self._channel_key = channel_key
        self._counts = counts
        self._admits = admits
        self._loop = asyncio.get_running_loop()
        self._challenges: dict[bytes, float] = {}
        self._tokens: dict[bytes, _Token] = {}
        self._lock = threading.Lock()
        self._calls: dict[PublicKey, int] = {}

    def on_loop(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Run something on the event loop and return its result to this other thread."""
        answer: concurrent.futures.Future[_Result] = concurrent.futures.Future()

        def run() -> None:
            try:
                answer.set_result(function(*arguments))
            except Exception as error:
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(run)
            return answer.result(timeout=HELLO_SECONDS_MAX)
        except (RuntimeError, TimeoutError):
            raise flight.FlightUnavailableError("this node is closing") from None

    def challenge(self) -> bytes:
        """Return a fresh challenge. On the event loop."""
        challenge = secrets.token_bytes(NONCE_SIZE_BYTES)
        self._challenges[challenge] = self._loop.time() + HELLO_SECONDS_MAX
        _keep_newest(self._challenges, CHALLENGES_MAX)
        return challenge

    def grant(self, request: bytes) -> bytes | None:
        """Return welcome and token for a challenge and its hello, or None; a refusal is counted. On the event loop."""
        challenge, hello = request[:NONCE_SIZE_BYTES], request[NONCE_SIZE_BYTES:]
        greeting = Greeting(
            carrier=NAME,
            network_id=self._options.network_id,
            listener_key=self._channel_key,
            challenge=challenge,
        )
        peer: PublicKey | None = None
        if len(hello) != HELLO_SIZE_BYTES:
            self._counts.refuse("hello-missing")
        elif self._challenges.pop(challenge, 0.0) < self._loop.time():
            self._counts.refuse("hello-timeout")
        elif (peer := greeting.check_hello(hello)) is None:
            self._counts.refuse("hello-signature")
        if peer is None or not self._admits(peer):
            return None
        token = secrets.token_bytes(TOKEN_SIZE_BYTES)
        self._tokens[token] = _Token(peer, self._loop.time() + TOKEN_SECONDS)
        _keep_newest(self._tokens, TOKENS_MAX)
        return greeting.welcome(self._options.identity, hello) + token

    def enter(self, headers: dict[str, list[Any]]) -> PublicKey:
        """Let a call in by its token and return whose it is. Raises ``FlightError``. On any thread."""
        shown = str(next(iter(headers.get("authorization", [])), ""))
        try:
            token = self._tokens.get(bytes.fromhex(shown.removeprefix(_SCHEME)))
        except ValueError:
            token = None
        if token is None or token.expires < self._loop.time():
            self.on_loop(self._counts.refuse, "token")
            raise flight.FlightUnauthenticatedError("a token is needed; the actions challenge and token give one")
        with self._lock:
            calls = self._calls.get(token.peer, 0)
            if calls < CALLS_PER_PEER_MAX:
                self._calls[token.peer] = calls + 1
                return token.peer
        self.on_loop(self._counts.refuse, "calls-crowded")
        raise flight.FlightUnavailableError(f"a peer has at most {CALLS_PER_PEER_MAX} calls open")

    def leave(self, peer: PublicKey) -> None:
        """Note that a call has ended. On any thread."""
        with self._lock:
            self._calls[peer] -= 1
            if not self._calls[peer]:
                del self._calls[peer]


class TokenRequired(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Stops every call but an action that shows no token, before anything of it is read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def start_call(self, info: Any, headers: dict[str, list[Any]]) -> OpenCall | None:
        """Let the call in or raise ``FlightError``."""
        if info.method == flight.FlightMethod.DO_ACTION:
            return None
        return OpenCall(self._gate, self._gate.enter(headers))


class OpenCall(flight.ServerMiddleware):  # type: ignore[misc]
    """One call that was let in; ``peer`` is whose it is."""

    def __init__(self, gate: Gate, peer: PublicKey) -> None:
        self._gate = gate
        self.peer = peer

    def call_completed(self, exception: Exception | None) -> None:  # noqa: ARG002
        """Give the place back."""
        self._gate.leave(self.peer)


def _keep_newest(entries: dict[bytes, Any], count_max: int) -> None:
    while len(entries) > count_max:
        del entries[next(iter(entries))]
