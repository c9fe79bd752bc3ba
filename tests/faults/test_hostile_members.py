"""Members that lie, flood and replay, and strangers, against real nodes over ZeroMQ: each attack ends in a counted
and logged refusal with a reason, and the nodes go on answering."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import numpy as np
import pytest

from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey, node_id
from fingerpost.limits import BAD_SIGNATURES_MAX, REPLICAS
from fingerpost.node.placement import group_key, rank
from fingerpost.node.succession import RevocationReason, sign_revocation
from fingerpost.node.wire import Beat, Get, Message, Packets, WantCells
from fingerpost.packet import packet_ids
from fingerpost.synthesis import Answer
from fingerpost.synthesis.answer import Gathering
from fingerpost.template import parse_template
from fingerpost.testing.packet_samples import signed, withdrawal
from tests.faults.hostile_members import SEEDS, TEMPLATE, HostilePeer, minted_for, refused, two_nodes_and


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


def logged(caplog: pytest.LogCaptureFixture, peer: HostilePeer, words: str) -> bool:
    return any(
        words in record.message and node_id(peer.public_key).hex() in record.message for record in caplog.records
    )


def gathered(answer: Answer) -> Gathering:
    assert answer.gathering is not None
    return answer.gathering


@on_a_loop
async def test_a_stranger_is_refused_as_a_peer_and_what_it_signed_whoever_passes_it_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile", "stranger") as (one, _, (member, stranger)):
        await stranger.announce()
        with pytest.raises(NetworkError):
            await stranger.offer(stranger.packets(1, 2), one)
        await refused(one, "carrier", "not-admitted")
        await member.offer(np.concatenate([stranger.packets(3, 4, 5), member.packets(6)]), one)
        status = await refused(one, "packet", "refused-emitter", times=3)
        assert logged(caplog, member, "refused-emitter")
        assert stranger.public_key not in {peer.public_key for peer in (await one.status(look_up=True)).peers}
        assert status.received_packets == 1
        assert len(await one.packets()) == 1
        assert stranger.heard == [], "nobody took it for a holder"


@on_a_loop
async def test_keys_minted_to_outrank_the_members_for_a_group_hold_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for logger in ("fingerpost.node", "fingerpost.carrier"):
        caplog.set_level(logging.WARNING, logger)
    template_id = parse_template(TEMPLATE).template_id
    group = group_key(template_id, 0)  # The template has one group.
    seeds = minted_for(group, REPLICAS)
    async with two_nodes_and(*seeds, members=(), seeds=seeds) as (one, two, sybils):
        keys = {sybil.public_key for sybil in sybils}
        everybody = [one.public_key, two.public_key, *keys]
        assert set(rank(group, everybody)[:REPLICAS]) == keys, "else no list would be needed to refuse them"
        for sybil in sybils:
            await sybil.announce()
        for node in (one, two):
            listed = {peer.public_key for peer in (await node.status(look_up=True)).peers}
            assert not listed & keys
            await refused(node, "directory", "holder-not-admitted", times=REPLICAS)
        assert logged(caplog, sybils[0], "holder-not-admitted") or logged(caplog, sybils[1], "holder-not-admitted")
        told = await one.emit_table({"size": [50.0], "outcome": ["worked"]})
        assert not told.acknowledged, "the other member is one holder, and it takes two"
        answered = await two.ask({"size": 50}, mode="cells", cells=16)
        assert (answered.packets, gathered(answered).holders_answered) == (1, 1)
        for number, sybil in enumerate(sybils, start=1):
            with pytest.raises(NetworkError):
                await sybil.offer(sybil.packets(50, outcome="failed"), two)
            await refused(two, "carrier", "not-admitted", times=number)
        assert any("not-admitted" in record.message for record in caplog.records if "carrier" in record.name)
        assert [sybil.heard for sybil in sybils] == [[]] * REPLICAS, "nobody asked them, and nobody told them anything"
        assert len(await two.packets()) == 1


@on_a_loop
async def test_a_compromised_key_is_no_peer_and_nothing_it_signed_counts_whoever_passes_it_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    stolen = sign_revocation(SEEDS["stranger"], day=20_000, reason=RevocationReason.COMPROMISED).encoded
    both = ("hostile", "stranger")
    async with two_nodes_and(*both, members=both, records=[stolen]) as (one, _, (member, thief)):
        with pytest.raises(NetworkError):
            await thief.offer(thief.packets(1, 2), one)
        await refused(one, "carrier", "not-admitted")
        await member.offer(thief.packets(3, 4, 5), one)
        status = await refused(one, "packet", "refused-revoked", times=3)
        assert logged(caplog, member, "refused-revoked")
        assert status.store.packets == 0


@on_a_loop
async def test_a_replayed_batch_counts_once_and_never_again_after_it_was_withdrawn_or_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile") as (one, _, (member,)):
        batch = member.packets(1, 2, 3)
        for _ in range(50):
            await member.offer(batch, one)
        template_id = member.template.template_id
        (end,) = packet_ids(batch[:1])
        ending = withdrawal(
            member.signer,
            end.tobytes(),
            epoch=int(batch["epoch"][0]),
            template_id=template_id,
            cell=int(batch["cell"][0]),
        )
        await member.offer(signed([ending], member.signer), one)
        await member.offer(batch, one)
        status = await refused(one, "packet", "refused-withdrawn")
        assert status.received_packets == 3
        assert sorted(map(bytes, packet_ids(await one.packets()))) == sorted(map(bytes, packet_ids(batch[1:])))
        await member.offer(member.packets(4, day=int(batch["epoch"][0]) - 40), one)
        await refused(one, "packet", "refused-expired")
        assert logged(caplog, member, "refused-withdrawn")


@on_a_loop
async def test_a_member_whose_packets_are_forged_by_the_thousand_is_muted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile") as (one, two, (member,)):
        forged = member.packets(50).repeat(BAD_SIGNATURES_MAX)
        forged["nonce"][:, :4] = np.arange(len(forged), dtype=">u4")[:, None].view(np.uint8)
        for _ in range(40):
            await member.offer(forged, one)
        status = await refused(one, "frame", "peer-muted", times=30)
        assert status.refused["packet"]["refused-signature"] < 10 * BAD_SIGNATURES_MAX
        assert logged(caplog, member, "peer-muted")
        await two.emit(situation={"size": 10}, outcome="worked")
        assert len(await one.packets()) == 1, "whoever is honest is heard"


@on_a_loop
async def test_a_member_that_floods_frames_is_cut_off_and_garbage_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile", frames_per_second_max=200) as (one, two, (member,)):
        for _ in range(8):
            await member.send_frame(b"\xffgarbage", one)
        await refused(one, "frame", "frame-invalid", times=8)
        assert logged(caplog, member, "frame-invalid")

        async def flood() -> None:
            while True:
                try:
                    await member.send(Packets(answers=1, packets=b""), one)
                except NetworkError:  # It was cut off, and comes back.
                    await asyncio.sleep(0.01)

        flooding = asyncio.create_task(flood())
        try:
            await refused(one, "carrier", "frames-per-second")
            await refused(one, "frame", "answer-unexpected")
            await two.emit(situation={"size": 10}, outcome="worked")
            assert len(await one.packets()) == 1, "others are served meanwhile"
        finally:
            flooding.cancel()


@on_a_loop
async def test_a_holder_that_gives_other_cells_than_asked_for_gets_nothing_into_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile") as (_, two, (member,)):
        await member.announce()
        await two.status(look_up=True)
        asked: list[int] = []
        others = member.packets(*range(0, 100, 4))

        def answer(question: Message, asker: PublicKey) -> Message | None:
            if isinstance(question, WantCells):
                asked[:] = question.cells
                member.show(others[~np.isin(others["cell"], asked)])
            return member.lie(question, asker)

        member.answer = answer
        answered = await two.ask({"size": 50}, mode="cells", cells=2)
        assert answered.packets == 0
        assert not gathered(answered).attested
        await refused(two, "packet", "refused-unasked", times=len(member.shown))
        assert logged(caplog, member, "refused-unasked")
        assert asked
        assert any(isinstance(message, Get) for message in member.heard)


@on_a_loop
async def test_a_holder_that_omits_what_it_signed_to_keep_is_caught_and_the_answer_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile") as (one, two, (member,)):
        await member.announce()
        for node in (one, two):
            await node.status(look_up=True)
        for size in range(40, 60, 2):
            await one.emit(situation={"size": size}, outcome="worked")
        answered = await two.ask({"size": 50}, mode="cells", cells=16)
        assert answered.packets == 10, "the other holder has them"
        assert not gathered(answered).attested
        await refused(two, "frame", "holder-omits")
        assert logged(caplog, member, "leaves out")


@on_a_loop
async def test_digests_and_promises_that_a_holder_did_not_sign_count_for_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fingerpost.node")
    async with two_nodes_and("hostile") as (one, two, (member,)):
        await member.announce()
        for node in (one, two):
            await node.status(look_up=True)

        def answer(question: Message, asker: PublicKey) -> Message | None:
            said = member.lie(question, PublicKey(bytes(32)))  # as if it had been said to somebody else
            return said if not isinstance(said, Beat) else member.lie(question, asker)

        member.answer = answer
        told = await one.emit_table({"size": [50.0], "outcome": ["worked"]})
        assert not told.acknowledged
        await refused(one, "frame", "have-signature")
        answered = await two.ask({"size": 50}, mode="cells", cells=16)
        assert (answered.packets, gathered(answered).holders_answered) == (1, 1)
        await refused(two, "frame", "cells-signature")
        assert logged(caplog, member, "cells-signature")
