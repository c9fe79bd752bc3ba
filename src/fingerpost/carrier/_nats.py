"""A carrier over NATS servers: sealed channels between nodes that all connect to the same server or cluster.

The servers are infrastructure that is trusted for liveness and for who talks to whom when and how much, nothing else:
frames are sealed between the nodes (``_nats_channel``), and both ends prove their identity inside. ::

    <network>.node.<node id>                            where a node that listens gets openings
    <network>.node.<node id>.<instance>.<session>       where one end of one session gets its messages

    opener -> listener   opening: a fresh key, and proof that the opener knows the listener's channel key
    listener -> opener   the listener's fresh key, then the first sealed message; only the channel key makes it
    opener -> listener   sealed: ChannelProof of the opener, bound to all three keys
    listener -> opener   sealed: ChannelProof of the listener, once the opener is admitted

An endpoint is ``nats:<node id in hex>``. ``listen`` has no host and port here: anything but the empty string means yes.
Settings are those of ``fingerpost.nats_connection``.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

from nats.aio.msg import Msg

from fingerpost.carrier._nats_answers import Answers
from fingerpost.carrier._nats_channel import Kind, ListenerKeys, OpenerKeys, SealedChannel
from fingerpost.carrier._nats_session import Session
from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.carrier.frame import unreachable
from fingerpost.carrier.hello import HELLO_SECONDS_MAX, PENDING_HELLOS_MAX, end_oldest
from fingerpost.carrier.links import CLOSE_SECONDS_MAX, Link, LinkCarrier
from fingerpost.carrier.proof import ChannelBinding, check_proof, make_proof
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey, node_id
from fingerpost.nats_connection import NatsConnection, read_settings

NAME = "nats"
ENDPOINT_SCHEME = "nats:"
ANSWER_SECONDS_MAX = 1.5  # of one step of the handshake
OPENING_MESSAGES_MAX = 1_024  # that wait to be looked at; the library drops what comes on top

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_FRESH_KEY_BYTES = 32

Handler = Callable[[bytes | None, str], None]  # of a message and where its sender is; None when nobody was there


async def open_nats_carrier(options: CarrierOptions) -> NatsCarrier:
    """Open a NATS carrier; see ``fingerpost.carrier.base.CarrierFactory``."""
    carrier = NatsCarrier(options)
    await carrier.connect()
    return carrier


class NatsCarrier(LinkCarrier):
    """Sealed channels over NATS; see ``fingerpost.carrier.base.Carrier``."""

    def __init__(self, options: CarrierOptions) -> None:
        super().__init__(options)
        network = options.network_id
        # Two networks whose names meet in one subject still cannot open each other's openings.
        self._network = network if _PLAIN_NAME.fullmatch(network) else f"x-{network.encode().hex()}"
        self._keys = ListenerKeys(network, options.identity.channel_secret(b"nats box"))
        self._instance = f"{self._inbox_of(options.identity.public_key)}.{secrets.token_hex(8)}"
        self._connection = NatsConnection(self._counts.refuse)
        self._handlers: dict[str, Handler] = {}
        self._hellos: dict[str, asyncio.Timeout] = {}

    @property
    def server(self) -> str:
        """Return the URL of the server that is used now, or nothing between two."""
        return self._connection.server

    async def connect(self) -> None:
        """Connect to a server and listen. Raises ``NetworkError``: ``carrier-settings``, ``listen-failed``."""
        try:
            settings = read_settings(self._options.settings)
        except ValueError as error:
            raise NetworkError(
                "carrier-settings",
                f"the nats carrier: {error}",
                hint="settings are servers, tls, tls_hostname and user_credentials",
            ) from None
        connection = self._connection
        try:
            await connection.connect(settings)
            await connection.subscribe(f"{self._instance}.*", self._route)
            if self._options.listen:
                inbox = self._inbox_of(self._options.identity.public_key)
                await connection.subscribe(inbox, self._greet, messages_max=OPENING_MESSAGES_MAX)
            await connection.settle()
        except OSError as error:
            await connection.close()
            raise NetworkError(
                "listen-failed",
                f"no NATS server answers: {error or 'not in time'}",
                hint="check servers and credentials",
            ) from None
        if self._options.listen:
            endpoint = f"{ENDPOINT_SCHEME}{node_id(self._options.identity.public_key).hex()}"
            self._address = Address(endpoint=endpoint, channel_key=self._keys.public)

    async def _dial(self, peer: Peer, address: Address) -> Link:
        if address.endpoint != f"{ENDPOINT_SCHEME}{node_id(peer.public_key).hex()}":
            self._counts.refuse("endpoint")
            raise unreachable(peer, "the endpoint is that of another node")
        keys = OpenerKeys(self._options.network_id, address.channel_key)
        opening = keys.opening()
        if opening is None:
            self._counts.refuse("channel-key")
            raise unreachable(peer, "its channel key is none")
        here = f"{self._instance}.{secrets.token_hex(16)}"
        answers = Answers()
        self._handlers[here] = answers.put
        try:
            await self._publish(self._inbox_of(peer.public_key), opening, here)
            message, there = await self._answer(answers)
            fresh = message[:_FRESH_KEY_BYTES]
            channel = keys.channel(fresh)
            if channel is None or channel.open(message[_FRESH_KEY_BYTES:]) != (Kind.CHALLENGE, b""):
                self._counts.refuse("channel-key")
                raise unreachable(peer, "what answers there has another key")
            await self._prove(peer, there, here, channel, answers, (keys.public, address.channel_key, fresh))
        except BaseException:
            del self._handlers[here]
            raise
        return self._link_up(Link(peer.public_key, address=address), channel, answers, here=here, there=there)

    async def _prove(
        self,
        peer: Peer,
        there: str,
        here: str,
        channel: SealedChannel,
        answers: Answers,
        keys: tuple[bytes, bytes, bytes],
    ) -> None:
        proof = make_proof(self._options.identity, self._binding("opener", *keys))
        await self._publish(there, channel.seal(Kind.HELLO, proof), here)
        opened = channel.open((await self._answer(answers))[0])
        if not isinstance(opened, tuple) or opened[0] not in (Kind.WELCOME, Kind.END):
            raise ConnectionError("its answer cannot be read")
        if opened[0] == Kind.END:
            raise unreachable(peer, "it does not let this node in")
        if check_proof(opened[1], self._binding("listener", *keys)) != peer.public_key:
            self._counts.refuse("welcome-signature")
            raise unreachable(peer, "another node answers there")

    async def _answer(self, answers: Answers) -> tuple[bytes, str]:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            message, there = await answers.get()
        if message is None or not there:
            raise ConnectionError("it is not connected to these servers")
        return message, there

    async def _greet(self, message: Msg) -> None:
        """Look at an opening; whatever it is, nothing waits for its sender."""
        if not self._closed and self._is_node_subject(message.reply):
            self._watch(self._serve(message.data, message.reply))
        else:
            self._counts.refuse("hello-reply")

    async def _serve(self, opening: bytes, there: str) -> None:
        answered = self._keys.answer(opening)
        if answered is None:
            self._counts.refuse("hello-channel-key")
            return
        channel, opener, fresh = answered
        here = f"{self._instance}.{secrets.token_hex(16)}"
        answers = Answers()
        self._handlers[here] = answers.put
        peer: PublicKey | None = None
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX) as patience:
                self._wait_in_line(here, patience)
                await self._publish(there, fresh + channel.seal(Kind.CHALLENGE), here)
                opened = channel.open((await answers.get())[0] or b"")
                keys = opener, self._keys.public, fresh
                if isinstance(opened, tuple) and opened[0] == Kind.HELLO:
                    peer = check_proof(opened[1], self._binding("opener", *keys))
                if peer is None:
                    self._counts.refuse("hello-signature")
                elif not self._admits(peer):
                    peer = None
                    await self._publish(there, channel.seal(Kind.END), here)
                else:
                    proof = make_proof(self._options.identity, self._binding("listener", *keys))
                    await self._publish(there, channel.seal(Kind.WELCOME, proof), here)
        except TimeoutError:
            self._counts.refuse("hello-timeout")
        except OSError:
            self._counts.refuse("hello-missing")
        finally:
            self._hellos.pop(here, None)
            if peer is None:
                del self._handlers[here]
        if peer is not None:
            link = Link(peer, admitted_at=asyncio.get_running_loop().time())
            self._link_up(link, channel, answers, here=here, there=there)

    def _wait_in_line(self, here: str, patience: asyncio.Timeout) -> None:
        if len(self._hellos) >= PENDING_HELLOS_MAX:
            # The oldest goes: whoever floods cannot keep an honest peer out, who needs one round trip.
            end_oldest(self._hellos)
        self._hellos[here] = patience

    def _link_up(self, link: Link, channel: SealedChannel, answers: Answers, *, here: str, there: str) -> Link:
        """Start to move frames, those first that came while the handshake ended; no message may come between."""

        async def publish(message: bytes) -> None:
            await self._publish(there, message, here)

        session = Session(channel, publish, self._counts, link.end)

        def handle(message: bytes | None, _there: str) -> None:
            if message is None:
                link.end()
            else:
                session.handle(message)

        self._handlers[here] = handle
        for waiting in answers.rest():
            handle(*waiting)
        self._start(self._run_session(link, session, here))
        return link

    async def _run_session(self, link: Link, session: Session, here: str) -> None:
        alive = asyncio.get_running_loop().create_task(session.stay_alive())
        try:
            await self._run_link(link, session.read, session.write)
        finally:
            alive.cancel()
            del self._handlers[here]
            await asyncio.wait([asyncio.ensure_future(_say_end(session))], timeout=0.5)

    async def _route(self, message: Msg) -> None:
        handler = self._handlers.get(message.subject)
        if handler is None:
            return  # It comes late, to a session that has ended, or means nothing.
        nobody = bool(message.headers) and (message.headers or {}).get("Status") == "503"
        there = message.reply if self._is_node_subject(message.reply) else ""
        handler(None if nobody else message.data, there)

    async def _publish(self, subject: str, message: bytes, here: str) -> None:
        """Hand a message to a server, waiting while there is none. Raises ``OSError``."""
        await self._connection.publish(subject, message, reply=here)

    async def _stop(self) -> None:
        if self._tasks:  # They take leave of their peers.
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS_MAX / 2)
        await self._connection.close()

    def _inbox_of(self, public_key: PublicKey) -> str:
        return f"{self._network}.node.{node_id(public_key).hex()}"

    def _is_node_subject(self, subject: str) -> bool:
        return subject.startswith(f"{self._network}.node.")

    def _binding(self, side: str, opener: bytes, listener: bytes, fresh: bytes) -> ChannelBinding:
        return ChannelBinding(
            carrier=f"{NAME} {side}",
            network_id=self._options.network_id,
            opener=opener,
            listener=listener,
            challenge=fresh,
        )


async def _say_end(session: Session) -> None:
    try:
        await session.say_end()
    except OSError:
        return  # It was a courtesy.
