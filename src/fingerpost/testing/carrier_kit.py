"""Does a carrier keep the promises of ``fingerpost.carrier.base.Carrier``? ``check_carrier`` asks carriers it opens.

from fingerpost.testing.carrier_kit import check_carrier

def test_our_carrier_keeps_its_promises():
    asyncio.run(check_carrier(open_ours))
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fingerpost.carrier.base import CHANNEL_KEY_SIZE_BYTES, Address, Carrier, Delivery, Peer
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from fingerpost.testing._carrier_bench import (
    CLOSE_SECONDS_MAX,
    QUIET_SECONDS,
    CarrierBench,
    MakeCarrier,
    identity_key,
    peer_of,
    require,
)

__all__ = ["MakeCarrier", "check_carrier"]

SIZES_BYTES = (1, 2, 512, 65_537, 1_000_000, FRAME_SIZE_BYTES_MAX - 1, FRAME_SIZE_BYTES_MAX)
STREAM_FRAMES = 200
RESTARTS = 2
WAITING_BYTES_MAX = 128 * FRAME_SIZE_BYTES_MAX  # between a sender and one receiver that takes nothing
STALLED_SECONDS = 1.0  # a send that takes longer counts as waiting


async def check_carrier(make: MakeCarrier, *, timeout_seconds: float = 20.0) -> None:
    """Check every promise of ``Carrier``, each on fresh carriers that ``make`` opens on this event loop.

    ``make`` gets ``listen`` as ``127.0.0.1:0``, as an empty string, or as the endpoint of a carrier that was closed:
    it must then listen where that one did, so that peers find it again. A backend that names endpoints otherwise
    passes a ``make`` that translates. ``timeout_seconds`` is how long one step may take on a slow machine.

    Raises ``AssertionError`` that begins with the name of the promise which is broken, as in ``Carrier``.
    """
    for check in CHECKS:
        async with CarrierBench.open_for(make, timeout_seconds) as bench:
            await check(bench)


async def _frames_arrive_whole(bench: CarrierBench) -> None:
    opener, listener = await bench.open(1, listen=""), await bench.open(2)
    to_listener, to_opener = peer_of(listener, 2), Peer(public_key=identity_key(1))
    for size in SIZES_BYTES:
        promise = f"Whole: a frame of {size} bytes arrives as it was sent"
        for sender, receiver, to in ((opener, listener, to_listener), (listener, opener, to_opener)):
            frame = _bytes_of(size)
            await bench.send(sender, frame, to, promise)
            arrived = await bench.receive(receiver, promise)
            require(type(arrived.frame) is bytes and arrived.frame == frame, promise)
    for sender, to in ((opener, to_listener), (listener, to_opener)):
        await bench.refused(sender.send(b"", to=to), "Errors: an empty frame raises frame-empty", "frame-empty")
        too_large = bytes(FRAME_SIZE_BYTES_MAX + 1)
        await bench.refused(
            sender.send(too_large, to=to), "Errors: a frame out of bounds raises frame-too-large", "frame-too-large"
        )
    await bench.silence(listener, "Whole: a refused frame does not arrive, and no other frame twice")
    await bench.silence(opener, "Whole: a refused frame does not arrive, and no other frame twice")


async def _frames_arrive_in_order_and_once(bench: CarrierBench) -> None:
    listener = await bench.open(9)
    openers = {number: await bench.open(number, listen="") for number in (1, 2)}
    promise = "In order: the frames of one sender arrive in the order they were sent"

    async def stream(number: int) -> None:
        for place in range(STREAM_FRAMES):
            await bench.send(
                openers[number], _numbered(place, 8 + place * 7_919 % 50_000), peer_of(listener, 9), promise
            )

    streams = [bench.start(stream(number)) for number in openers]
    arrived: list[Delivery] = []
    not_dropped = "Back-pressure: frames are not dropped while a connection lasts"
    try:
        while len(arrived) < 2 * STREAM_FRAMES:
            arrived.append(await bench.receive(listener, not_dropped))
    finally:  # What is missing is reported only if nothing worse has happened.
        _check_streams(arrived, set(map(identity_key, openers)))
    for sending in streams:
        await bench.within(sending, promise)
    together = (listener.send(_numbered(place), to=Peer(public_key=identity_key(1))) for place in range(50))
    await bench.within(asyncio.gather(*together), "Both ways: frames travel back to who sent something")
    back = [_number_of((await bench.receive(openers[1], "Both ways: frames travel back")).frame) for _ in range(50)]
    require(sorted(back) == list(range(50)), "Whole: frames that several tasks send arrive once each")

    async def answer() -> None:
        for place in range(50):
            await bench.send(listener, _numbered(place), Peer(public_key=identity_key(1)), promise)

    answering = bench.start(answer())
    await asyncio.sleep(QUIET_SECONDS)  # Only frames that wait together can change places.
    back = [_number_of((await bench.receive(openers[1], not_dropped)).frame) for _ in range(50)]
    require(back == list(range(50)), promise)
    await bench.within(answering, promise)
    await bench.silence(listener, "Whole: a frame arrives at most once")
    await bench.silence(openers[2], "Both ways: a frame for one peer does not reach another")


def _check_streams(arrived: list[Delivery], senders: set[PublicKey]) -> None:
    known = all(delivery.sender in senders for delivery in arrived)
    require(known, "From whom: a frame comes from an identity that proved itself")
    for sender in senders:
        frames = [delivery.frame for delivery in arrived if delivery.sender == sender]
        places = [_number_of(frame) for frame in frames]
        whole = all(frame == _numbered(place, len(frame)) for frame, place in zip(frames, places, strict=True))
        require(whole, "Whole: a frame arrives as it was sent")
        require(len(places) == len(set(places)), "Whole: a frame arrives at most once")
        require(places == sorted(places), "In order: the frames of one sender arrive in the order they were sent")


async def _send_waits_for_the_receiver(bench: CarrierBench) -> None:
    sender, slow, other = await bench.open(1, listen=""), await bench.open(2), await bench.open(3)
    taken, waiting = await _fill(bench, sender, slow, 2)
    promise = "Back-pressure: a receiver that takes nothing does not hold up another"
    await bench.send(sender, b"meanwhile", peer_of(other, 3), promise)
    require((await bench.receive(other, promise)).frame == b"meanwhile", promise)
    cancelled = bench.start(sender.send(_numbered(taken + 1, FRAME_SIZE_BYTES_MAX), to=peer_of(slow, 2)))
    await asyncio.sleep(0.1)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    promise = "Back-pressure: what send took arrives in order once the receiver takes frames again"
    for place in range(1, taken + 1):
        arrived = await bench.receive(slow, promise)
        require(_number_of(arrived.frame) == place and len(arrived.frame) == FRAME_SIZE_BYTES_MAX, promise)
    await bench.within(waiting, "Back-pressure: send goes on once the receiver takes frames again")
    await bench.send(sender, b"end", peer_of(slow, 2), promise)
    arrived = await bench.receive(slow, promise)
    if len(arrived.frame) > 3:
        promise = "Whole: a frame whose send was cancelled arrives whole or not at all"
        require(arrived.frame == _numbered(taken + 1, FRAME_SIZE_BYTES_MAX), promise)
        arrived = await bench.receive(slow, promise)
    require(arrived.frame == b"end", promise)


async def _fill(bench: CarrierBench, sender: Carrier, slow: Carrier, number: int) -> tuple[int, asyncio.Future[None]]:
    """Send large frames until one waits; return its number (the first is 1) and the waiting send."""
    promise = "Back-pressure: send waits while the receiver takes nothing"
    await bench.send(sender, b"hello", peer_of(slow, number), promise)  # What opening takes is not what is looked at.
    require((await bench.receive(slow, promise)).frame == b"hello", "Whole: a frame arrives as it was sent")
    for place in range(1, WAITING_BYTES_MAX // FRAME_SIZE_BYTES_MAX + 1):
        frame = _numbered(place, FRAME_SIZE_BYTES_MAX)
        sending = bench.start(sender.send(frame, to=peer_of(slow, number)))
        done, _ = await asyncio.wait({sending}, timeout=STALLED_SECONDS)
        if not done:
            return place, sending
        await bench.within(sending, promise)
    raise AssertionError(f"{promise} (it took {WAITING_BYTES_MAX} bytes)")


async def _senders_prove_who_they_are(bench: CarrierBench) -> None:
    listener = await bench.open(9, strangers=[3])
    first, second, stranger = [await bench.open(number, listen="") for number in (1, 2, 3)]
    for turn in range(5):
        await bench.attempt(stranger, b"from 3", peer_of(listener, 9))
        for number, carrier in ((1, first), (2, second)):
            promise = "From whom: the sender of a frame is the identity that proved itself"
            await bench.send(carrier, b"from %d" % number, peer_of(listener, 9), promise)
            arrived = await bench.receive(listener, promise)
            require(
                arrived.sender != identity_key(3), "From whom: an identity that is not admitted gets nothing through"
            )
            require(
                arrived.sender == identity_key(number) and arrived.frame == b"from %d" % number, f"{promise} ({turn})"
            )
    await bench.refused(
        listener.send(b"for nobody", to=Peer(public_key=identity_key(3))),
        "From whom: an identity that is not admitted gets nothing",
        "carrier-unreachable",
    )
    refused = listener.counts.refused.get("not-admitted", 0)
    require(refused >= 1, "From whom: an identity that is not admitted is counted as not-admitted")
    await bench.silence(listener, "From whom: an identity that is not admitted gets nothing through")
    await bench.silence(stranger, "From whom: an identity that is not admitted gets nothing")


async def _another_network_gets_nothing(bench: CarrierBench) -> None:
    listener = await bench.open(9)
    elsewhere, here = await bench.open(1, listen="", network_id="another"), await bench.open(2, listen="")
    await bench.attempt(elsewhere, b"from another network", peer_of(listener, 9))
    promise = "From whom: a proof for another network proves nothing"
    await bench.send(here, b"from this network", peer_of(listener, 9), promise)
    require((await bench.receive(listener, promise)).sender == identity_key(2), promise)
    await bench.silence(listener, promise)


async def _an_impostor_gets_nothing(bench: CarrierBench) -> None:
    """Somebody else listens at the endpoint of a peer, with another channel key and another identity."""
    listener, opener = await bench.open(2), await bench.open(1, listen="")
    address = listener.address
    await listener.close()
    impostor = await bench.open(3, listen=address.endpoint)
    promise = "From whom: what answers at an address has proved its key, or gets nothing"
    claims = [
        Peer(public_key=identity_key(2), address=address),
        Peer(public_key=identity_key(2), address=impostor.address),
    ]
    for claim in claims:
        taking = bench.start(_takes_for_a_peer(impostor, 1))
        await bench.attempt(opener, b"for 2 alone", claim)
        taking.cancel()
        await asyncio.wait({taking})
        # With a channel key the opener has at least talked to its holder, and nobody in between.
        passed_on = not taking.cancelled() and not impostor.address.channel_key
        require(not passed_on, "From whom: a proof meant for one peer, which another may pass on, proves nothing there")
    await bench.silence(impostor, promise)
    require(
        sum(opener.counts.refused.values()) >= 1,
        "From whom: what answers at an address and cannot prove its key is counted",
    )
    await bench.send(
        opener, b"for 3", peer_of(impostor, 3), "It comes back: a refused peer can be reached under its name"
    )
    arrived = await bench.receive(impostor, promise)
    require(arrived.frame == b"for 3", promise)
    await bench.send(impostor, b"from 3", Peer(public_key=identity_key(1)), "Both ways: frames travel back")
    require((await bench.receive(opener, promise)).sender == identity_key(3), promise)


async def _takes_for_a_peer(carrier: Carrier, number: int) -> None:
    """Return once ``carrier`` takes frames for an identity, which it does only when it holds it for proved."""
    while True:
        with suppress(NetworkError):
            await carrier.send(b"?", to=Peer(public_key=identity_key(number)))
            return
        await asyncio.sleep(0)


async def _a_wrong_channel_key_gets_nothing(bench: CarrierBench) -> None:
    listener, other, opener = await bench.open(2), await bench.open(3), await bench.open(1, listen="")
    for carrier in (listener, other, opener):
        size = len(carrier.address.channel_key)
        require(size in {0, CHANNEL_KEY_SIZE_BYTES}, "From whom: a channel key has 32 bytes, or none")
    require(opener.address.endpoint == "", "Both ways: a carrier that does not listen has an empty endpoint")
    require(listener.address.endpoint != "", "Both ways: a carrier that listens says where")
    if not listener.address.channel_key:
        return
    promise = "From whom: a peer whose channel key is another gets nothing"
    require(listener.address.channel_key != other.address.channel_key, "From whom: channel keys differ by identity")
    wrong = Address(endpoint=listener.address.endpoint, channel_key=other.address.channel_key)
    await bench.attempt(opener, b"for the holder of that key", Peer(public_key=identity_key(2), address=wrong))
    await bench.silence(listener, promise)
    await bench.send(opener, b"with the right key", peer_of(listener, 2), promise)
    require((await bench.receive(listener, promise)).frame == b"with the right key", promise)


async def _frames_travel_both_ways(bench: CarrierBench) -> None:
    listener = await bench.open(9)
    openers = {number: await bench.open(number, listen="") for number in (1, 2, 3)}
    promise = "Both ways: frames travel back to who sent something, without an address"
    nobody = "Errors: a peer without address and connection raises carrier-unreachable"
    await bench.refused(listener.send(b"?", to=Peer(public_key=identity_key(1))), nobody, "carrier-unreachable")
    for number, carrier in openers.items():
        await bench.send(carrier, b"ask %d" % number, peer_of(listener, 9), promise)
    for _ in openers:
        asked = await bench.receive(listener, promise)
        for part in (b"answer 0 to ", b"answer 1 to "):
            await bench.send(listener, part + asked.frame, Peer(public_key=asked.sender), promise)
    for number, carrier in openers.items():
        for part in (b"answer 0 to ", b"answer 1 to "):
            answered = await bench.receive(carrier, promise)
            require(answered.frame == part + b"ask %d" % number, promise)
            require(answered.sender == identity_key(9), "From whom: an answer comes from the identity that was asked")
    both = await bench.open(8)
    await bench.send(both, b"8 to 9", peer_of(listener, 9), promise)
    await bench.send(listener, b"9 to 8", peer_of(both, 8), promise)
    require(
        (await bench.receive(listener, promise)).sender == identity_key(8), "Both ways: two listeners reach each other"
    )
    require((await bench.receive(both, promise)).sender == identity_key(9), "Both ways: two listeners reach each other")
    await openers[1].close()
    await _until_unreachable(bench, listener, Peer(public_key=identity_key(1)))


async def _until_unreachable(bench: CarrierBench, carrier: Carrier, to: Peer) -> None:
    """A connection that ended may take a moment to be noticed, and frames sent meanwhile are lost."""

    async def keep_sending() -> None:
        while await bench.attempt(carrier, b"into the void", to):
            await asyncio.sleep(0.05)

    await bench.within(keep_sending(), "Errors: a peer that has left and has no address raises carrier-unreachable")


async def _it_comes_back_after_a_restart(bench: CarrierBench) -> None:
    opener, listener = await bench.open(1, listen=""), await bench.open(2)
    to, place = peer_of(listener, 2), 0
    places: list[int] = []
    for turn in range(RESTARTS + 1):
        promise = f"It comes back: frames arrive again after the listener restarted {turn} times"
        place = await _send_until_one_arrives(bench, opener, listener, to, place, promise, places)
        for _ in range(10):
            await bench.send(opener, _numbered(place), to, promise)
            place += 1
        while places[-1] < place - 1:
            places.append(_number_of((await bench.receive(listener, promise)).frame))
        require(len(set(places)) == len(places), "It comes back: a frame never arrives twice")
        require(places == sorted(places), "In order: a new connection does not bring frames before older ones")
        await bench.send(listener, b"back %d" % turn, Peer(public_key=identity_key(1)), promise)
        require((await bench.receive(opener, promise)).frame == b"back %d" % turn, "Both ways: also after a restart")
        if turn == RESTARTS:
            break
        address = listener.address
        await bench.within(listener.close(), "It ends: close returns within seconds")
        await bench.attempt(opener, _numbered(place), to)
        place += 1
        listener = await bench.open(2, listen=address.endpoint)
        require(listener.address == address, "It comes back: the same identity at the same place has the same address")
    await opener.close()
    opener = await bench.open(1, listen="")
    promise = "It comes back: frames arrive again after the opener restarted"
    await _send_until_one_arrives(bench, opener, listener, to, place, promise, places)
    await bench.send(listener, b"to the new one", Peer(public_key=identity_key(1)), promise)
    require((await bench.receive(opener, promise)).frame == b"to the new one", promise)


async def _send_until_one_arrives(
    bench: CarrierBench, opener: Carrier, listener: Carrier, to: Peer, place: int, promise: str, places: list[int]
) -> int:
    """Send numbered frames until one is received; note its number and return the next one to send."""
    receiving = bench.start(listener.receive())

    async def keep_sending() -> int:
        following = place
        while not receiving.done():
            await bench.attempt(opener, _numbered(following), to)
            following += 1
            await asyncio.wait({receiving}, timeout=0.2)
        return following

    try:
        following = await bench.within(keep_sending(), promise)
    finally:
        if not receiving.done():
            receiving.cancel()
            await asyncio.wait({receiving})
    places.append(_number_of((await bench.within(receiving, promise)).frame))
    return following


async def _nobody_there_is_an_error(bench: CarrierBench) -> None:
    opener, gone, good = await bench.open(1, listen=""), await bench.open(2), await bench.open(3)
    to_gone = peer_of(gone, 2)
    await gone.close()
    promise = "Errors: a peer that does not listen raises carrier-unreachable within seconds"
    await bench.refused(opener.send(b"anyone?", to=to_gone), promise, "carrier-unreachable")
    await bench.send(opener, b"still here", peer_of(good, 3), "Errors: one unreachable peer does not hinder the others")
    arrived = await bench.receive(good, "Errors: one unreachable peer does not hinder the others")
    require(arrived.frame == b"still here", "Whole: a frame arrives as it was sent")


async def _close_ends_everything(bench: CarrierBench) -> None:
    sender, slow = await bench.open(1, listen=""), await bench.open(2)
    receiving = bench.start(sender.receive())
    _, waiting = await _fill(bench, sender, slow, 2)
    quickly = "It ends: close returns within seconds, whatever peers do"
    for carrier in (sender, slow):  # The sender has a send that waits, the other frames that nobody took.
        closing = bench.start(carrier.close())
        done, _ = await asyncio.wait({closing}, timeout=min(CLOSE_SECONDS_MAX, bench.timeout_seconds))
        if not done:
            closing.cancel()
        require(done, quickly)
        await bench.within(closing, quickly)
        await bench.within(carrier.close(), "It ends: closing twice is harmless")
    await bench.refused(receiving, "It ends: close wakes receive, which raises carrier-closed", "carrier-closed")
    await bench.refused(
        waiting, "It ends: close wakes a send that waits, which raises", "carrier-closed", "carrier-unreachable"
    )
    for carrier in (sender, slow):
        await bench.refused(carrier.receive(), "It ends: receive after close raises carrier-closed", "carrier-closed")
        step = carrier.send(b"late", to=peer_of(slow, 2))
        await bench.refused(step, "It ends: send after close raises carrier-closed", "carrier-closed")


def _bytes_of(size: int) -> bytes:
    return hashlib.shake_128(size.to_bytes(4, "big")).digest(size)


def _numbered(place: int, size: int = 8) -> bytes:
    """Return a frame that says its number and repeats it to the end, so that no part of it can stand for another."""
    return (place.to_bytes(8, "big") * (size // 8 + 1))[:size]


def _number_of(frame: bytes) -> int:
    return int.from_bytes(frame[:8], "big")


CHECKS: tuple[Callable[[CarrierBench], Awaitable[None]], ...] = (
    _frames_arrive_whole,
    _frames_arrive_in_order_and_once,
    _send_waits_for_the_receiver,
    _senders_prove_who_they_are,
    _another_network_gets_nothing,
    _an_impostor_gets_nothing,
    _a_wrong_channel_key_gets_nothing,
    _frames_travel_both_ways,
    _it_comes_back_after_a_restart,
    _nobody_there_is_an_error,
    _close_ends_everything,
)
