"""All carriers keep every promise of the port, and the kit sees carriers that break one."""

from __future__ import annotations

import asyncio

from fingerpost.carrier._memory import MemorySwitch
from fingerpost.carrier._zeromq import open_zeromq, open_zeromq_unencrypted
from fingerpost.testing.carrier_kit import check_carrier


def test_the_memory_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(MemorySwitch()))


def test_the_zeromq_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_zeromq))


def test_the_unencrypted_zeromq_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_zeromq_unencrypted))
