"""Sums over real carriers: exact, paid for once, and nothing of them where a party is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.carrier._memory import MemorySwitch
from fingerpost.carrier._zeromq import open_zeromq
from fingerpost.carrier.base import Carrier, CarrierOptions, Peer
from fingerpost.errors import PrivacyError
from fingerpost.ids import PublicKey
from fingerpost.node.home import Home
from fingerpost.node.ledger_file import look_at_ledger, open_ledger
from fingerpost.node.network import SignerIdentity
from fingerpost.node.noise import OpenDpNoise
from fingerpost.node.summing import sum_tables
from fingerpost.packet import PACKET_DTYPE, Signer
from fingerpost.privacy.secure_sum import Sum, SumParty
from fingerpost.system import SystemEntropy

SHAPE = (32, 1, 2)
SIGNERS = [Signer(bytes([number]) * 32) for number in range(1, 5)]
DAY, TEMPLATE = 20_000, bytes(16)
SUBJECTS = np.arange(160, dtype=np.uint8).reshape(10, 16)
ACCOUNT: dict[str, Any] = {"day": DAY, "template_id": TEMPLATE, "cost_milli": 1_000, "cap_milli": 4_000}


class Silent:
    """Noise of nothing: for sums that have to be exact."""

    def discrete_laplace(self, counts: Any, *, scale: float) -> Any:
        """Return ``counts`` as they are."""
        return counts


async def carriers_of(factory: Any) -> list[Carrier]:
    return [
        await factory(
            CarrierOptions(
                identity=SignerIdentity(signer), network_id="sums", listen="127.0.0.1:0", admits=lambda key: bool(key)
            )
        )
        for signer in SIGNERS
    ]


async def summed(
    factory: Any, tables: list[Any], *, pay: Any, noise: Any, missing: int | None = None, seconds: float = 20.0
) -> list[Any]:
    """Let all parties but ``missing`` run the sum at once; return what each got."""
    carriers = await carriers_of(factory)
    peers = {
        bytes(signer.public_key): Peer(public_key=PublicKey(signer.public_key), address=carrier.address)
        for signer, carrier in zip(SIGNERS, carriers, strict=True)
    }
    agreed = Sum(parties=tuple(peers), occasion=b"20000", shape=SHAPE)
    try:
        return await asyncio.gather(
            *(
                sum_tables(
                    carrier,
                    {key: peer for key, peer in peers.items() if key != signer.public_key},
                    SumParty(agreed, signer=signer, secret=SystemEntropy().read(32)),
                    table,
                    noise,
                    epsilon=1.0,
                    pay=pay,
                    seconds=seconds,
                )
                for place, (signer, carrier, table) in enumerate(zip(SIGNERS, carriers, tables, strict=True))
                if place != missing
            ),
            return_exceptions=True,
        )
    finally:
        for carrier in carriers:
            await carrier.close()


@pytest.mark.parametrize("make", [MemorySwitch, lambda: open_zeromq])
def test_four_nodes_get_the_exact_sum_and_each_pays_once(make: Any) -> None:
    tables = [np.full(SHAPE, number, np.int64) for number in (1, 10, 100, 1_000)]
    paid: list[int] = []
    found = asyncio.run(summed(make(), tables, pay=lambda: paid.append(1), noise=Silent()))
    assert len(paid) == len(SIGNERS)
    for total in found:
        np.testing.assert_array_equal(total, np.full(SHAPE, 1_111))


def test_the_sum_has_the_noise_of_two_parties() -> None:
    tables = [np.zeros(SHAPE, np.int64)] * 4
    found = asyncio.run(summed(MemorySwitch(), tables, pay=lambda: None, noise=OpenDpNoise()))
    assert all((total == found[0]).all() for total in found)
    assert 1.5 < found[0].var() < 8.5  # 2 x 1.84 expected


def test_where_a_party_is_missing_nothing_is_paid_and_nothing_comes_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    tables = [np.ones(SHAPE, np.int64)] * 4
    with open_ledger(home, entropy=SystemEntropy()) as file:

        def pay() -> None:
            file.spend(np.zeros(0, PACKET_DTYPE), SUBJECTS, profile="dp-aggregate", **ACCOUNT)

        found = asyncio.run(summed(MemorySwitch(), tables, pay=pay, noise=OpenDpNoise(), missing=2, seconds=1.2))
        assert [each.code for each in found] == ["sum-dropout"] * 3
        assert file.ledger.entries == []
        asyncio.run(summed(MemorySwitch(), tables, pay=once(pay), noise=OpenDpNoise()))
        assert len(file.ledger.entries) == 1
        with pytest.raises(PrivacyError) as raised:
            pay()
        assert raised.value.code == "ledger-overspent"
    kept = look_at_ledger(home)
    assert kept is not None
    assert set(kept.spent().values()) == {1_000}


def once(pay: Any) -> Any:
    """Let the first of the parties, which is the node with this ledger, pay; the others have their own."""
    left = [pay]
    return lambda: left.pop()() if left else None
