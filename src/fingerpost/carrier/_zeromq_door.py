"""Where peers come in: a ROUTER, a table of its connections, and what each of them has proved.

A message is looked at by the connection it came on, never by what it says of itself: the routing id that the ROUTER
chose, and the CURVE key that the handshake authenticated.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass, field

import zmq
from zmq.auth import CURVE_ALLOW_ANY
from zmq.auth.asyncio import AsyncioAuthenticator
from zmq.utils import z85

from fingerpost.carrier._zeromq_gate import Gate, Proven
from fingerpost.carrier._zeromq_hello import NONCE_SIZE_BYTES, Channel, read_opening
from fingerpost.carrier._zeromq_sockets import (
    HELLO_SECONDS_MAX,
    AsyncSocket,
    TcpConnection,
    is_endpoint,
    new_socket,
    pending_events,
)
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey

HELLO_BYTES_MAX = 65_536  # that a connection may send before it has proved itself
PEER_CONNECTIONS_MAX = 4  # of one identity; a fifth ends the oldest
GONE_SESSIONS_MAX = 256  # that have ended, and of which frames may still wait to be read
INSPECTION_SECONDS = 0.25
SEND_PAUSE_SECONDS_MIN, SEND_PAUSE_SECONDS_MAX = 0.0005, 0.02
_LOG = logging.getLogger("fingerpost.carrier")
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED


@dataclass(slots=True, eq=False)
class Session:
    """What is known of one connection that has said something."""

    routing_id: bytes
    connection: Connection | None
    channel: Channel | None = None
    challenge: bytes = b""
    peer: Proven | None = None
    is_refused: bool = False
    is_gone: bool = False


@dataclass(slots=True, eq=False)
class Connection:
    """A TCP connection, from its first moment on."""

    tcp: TcpConnection
    accepted_at: float
    session: Session | None = None


@dataclass(slots=True)
class Door:
    """The listening half of a carrier."""

    gate: Gate
    endpoint: str = ""
    _router: AsyncSocket = field(init=False)
    _sockets: list[AsyncSocket] = field(default_factory=list)
    _authenticator: AsyncioAuthenticator | None = None
    _monitor: AsyncSocket = field(init=False)
    _connections: dict[int, Connection] = field(default_factory=dict)  # by descriptor
    _unproven: dict[int, Connection] = field(default_factory=dict)  # those that are neither proven nor refused
    _sessions: dict[bytes, Session] = field(default_factory=dict)
    _gone: deque[Session] = field(default_factory=deque)
    _proven: dict[PublicKey, list[Session]] = field(default_factory=dict)  # the newest last
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def open(self, listen: str) -> None:
        """Listen at a host and port. Raises ``NetworkError``: ``listen-failed``."""
        if not is_endpoint(listen):
            raise NetworkError("listen-failed", f"{listen!r} is no host and port", hint="such as 127.0.0.1:0")
        if self.gate.security.secret:
            # Any CURVE key may connect, and says nothing before its proof; the key itself comes with each message.
            self._authenticator = AsyncioAuthenticator(self.gate.context)
            self._authenticator.start()
            self._authenticator.configure_curve(domain="*", location=CURVE_ALLOW_ANY)
        self._router = new_socket(self.gate.context, zmq.ROUTER, listen)
        self._sockets.append(self._router)
        self._router.router_mandatory = True
        # No ROUTER_HANDOVER: a peer that chose the routing id of another would take its place.
        self.gate.security.protect_listener(self._router)
        self._monitor = self._router.get_monitor_socket(_EVENTS)
        self._sockets.append(self._monitor)
        try:
            self._router.bind(f"tcp://{listen}")
        except zmq.ZMQError as error:
            raise NetworkError(
                "listen-failed", f"cannot listen at {listen}: {error}", hint="choose another host or port"
            ) from error
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://")
        steps = (self._watch(), self._read(), self._inspect())
        self._tasks = [asyncio.create_task(step) for step in steps]

    def close(self) -> None:
        """Stop listening and drop every connection."""
        for task in self._tasks:
            task.cancel()
        for session in self._sessions.values():
            session.is_gone = True  # A send that waits for one of them ends.
        for opened in self._sockets:
            opened.close(linger=0)
        if self._authenticator is not None:
            self._authenticator.stop()

    async def send(self, frame: bytes, public_key: PublicKey) -> bool:
        """Hand a frame to the newest connection of a peer, waiting while it takes nothing; False when it is gone."""
        sessions = self._proven.get(public_key)
        session = sessions[-1] if sessions else None
        pause = SEND_PAUSE_SECONDS_MIN
        while session is not None and not session.is_gone:
            if self._send_now(session, frame):
                return True
            # A ROUTER is writable when any peer is: waiting for one of them means asking again.
            await asyncio.sleep(pause)
            pause = min(2 * pause, SEND_PAUSE_SECONDS_MAX)
        return False

    def cut(self, session: Session, reason: str) -> None:
        """Count why a session ends, and end its connection."""
        if session.is_refused:
            return
        session.is_refused = True
        self._forget(session)
        connection = session.connection
        self.gate.refuse(reason, connection.tcp.peer if connection is not None else "a connection")
        if connection is not None:
            self._settle(connection)
            connection.tcp.shut_down()

    def _send_now(self, session: Session, message: bytes) -> bool:
        """Whether a message found room; a session whose connection has ended is gone."""
        sending = asyncio.ensure_future(
            self._router.send_multipart([session.routing_id, message], flags=zmq.NOBLOCK, copy=False)
        )
        error = sending.exception()
        if isinstance(error, zmq.ZMQError) and error.errno == zmq.EHOSTUNREACH:
            self._forget(session)
        return error is None

    async def _watch(self) -> None:
        while True:
            await self._monitor.poll()
            self._handle_events()

    def _handle_events(self) -> None:
        for event, descriptor in pending_events(self._monitor):
            if event == zmq.Event.ACCEPTED:
                self._handle_accepted(descriptor)
            elif event == zmq.Event.DISCONNECTED:
                self._handle_disconnected(descriptor)

    def _handle_accepted(self, descriptor: int) -> None:
        connection = Connection(TcpConnection.of(descriptor), asyncio.get_running_loop().time())
        self._connections[descriptor] = self._unproven[descriptor] = connection
        if len(self._unproven) > self.gate.settings.unproven_max:
            self._turn_away(next(iter(self._unproven.values())), "connections-max")

    def _handle_disconnected(self, descriptor: int) -> None:
        ended = self._connections.pop(descriptor, None)
        if ended is None:
            return
        if self._settle(ended):
            self.gate.refuse("hello-missing", ended.tcp.peer)
        if ended.session is not None:
            self._forget(ended.session)
            self._gone.append(ended.session)
        while len(self._gone) > GONE_SESSIONS_MAX:
            self._sessions.pop(self._gone.popleft().routing_id, None)

    def _settle(self, connection: Connection) -> bool:
        """Note that a connection is proven or refused; return whether that is news."""
        if self._unproven.get(connection.tcp.descriptor) is not connection:
            return False
        del self._unproven[connection.tcp.descriptor]
        return True

    def _turn_away(self, connection: Connection, reason: str) -> None:
        if connection.session is not None:
            self.cut(connection.session, reason)
            return
        self._settle(connection)
        self.gate.refuse(reason, connection.tcp.peer)
        connection.tcp.shut_down()

    async def _inspect(self) -> None:
        """End connections that take too long to prove themselves, or send too much before they have."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INSPECTION_SECONDS)
            for connection in list(self._unproven.values()):
                if loop.time() - connection.accepted_at > HELLO_SECONDS_MAX:
                    self._turn_away(connection, "hello-timeout")
                elif connection.tcp.bytes_received() > HELLO_BYTES_MAX:
                    self._turn_away(connection, "hello-flood")

    async def _read(self) -> None:
        while True:
            parts = await self._router.recv_multipart(copy=False)
            session = self._sessions.get(parts[0].bytes) or self._new_session(parts)
            try:
                await self._handle(session, parts)
            except (NetworkError, zmq.ZMQError):
                raise  # This carrier is being closed.
            except Exception:  # Whatever one peer provokes, the others are served.
                _LOG.exception("a message was not understood")
                self.cut(session, "message-malformed")

    def _new_session(self, parts: list[zmq.Frame]) -> Session:
        """Find out which connection a routing id belongs to."""
        self._handle_events()
        connection = self._connections.get(int(parts[-1].get("__fd")))
        session = self._sessions[parts[0].bytes] = Session(parts[0].bytes, connection)
        if connection is None or connection.session is not None:
            # The connection of this message has ended, and its descriptor may be another's by now.
            session.connection, session.is_refused = None, True
            self._gone.append(session)
        else:
            connection.session = session
        return session

    async def _handle(self, session: Session, parts: list[zmq.Frame]) -> None:
        if session.is_refused:
            return
        if len(parts) != 2:
            self.cut(session, "message-malformed")
        elif session.peer is None:
            self._say_hello(session, parts[1])
        elif refusal := await self.gate.take(session.peer, parts[1].bytes):
            self.cut(session, refusal)

    def _say_hello(self, session: Session, message: zmq.Frame) -> None:
        gate = self.gate
        if session.channel is None:
            nonce = read_opening(message.bytes) if len(message) < HELLO_BYTES_MAX else None
            if nonce is None:
                self.cut(session, "hello-malformed")
                return
            session.channel = Channel(
                carrier=gate.name,
                network_id=gate.options.network_id,
                opener_key=z85.decode(str(message.get("User-Id")).encode()) if gate.security.secret else b"",
                listener_key=gate.security.public,
                listener=gate.options.identity.public_key,
                nonce=nonce,
            )
            session.challenge = secrets.token_bytes(NONCE_SIZE_BYTES)
            if not self._send_now(session, session.challenge):
                self.cut(session, "hello-timeout")
            return
        public_key = session.channel.check_opener(message.bytes, session.challenge)
        if public_key is None:
            self.cut(session, "hello-signature")
            return
        session.peer = Proven(public_key)
        if not gate.admits(session.peer):
            self.cut(session, "not-admitted")
        elif self._send_now(session, session.channel.prove_listener(gate.options.identity)):
            self._welcome(session, session.peer)

    def _welcome(self, session: Session, peer: Proven) -> None:
        if session.connection is not None:
            self._settle(session.connection)
        sessions = self._proven.setdefault(peer.public_key, [])
        sessions.append(session)
        if len(sessions) > PEER_CONNECTIONS_MAX:
            self.cut(sessions[0], "connections-max")

    def _forget(self, session: Session) -> None:
        """Send nothing more on a session. What it has sent before its end may still be read."""
        session.is_gone = True
        sessions = self._proven.get(session.peer.public_key, []) if session.peer is not None else []
        if session.peer is not None and session in sessions:
            sessions.remove(session)
            if not sessions:
                del self._proven[session.peer.public_key]
