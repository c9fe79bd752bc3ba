"""The carriers on TLS and on a NATS server keep every promise of the port."""

from __future__ import annotations

import asyncio

from fingerpost.carrier._grpc import open_grpc_carrier
from fingerpost.testing.carrier_kit import check_carrier


def test_the_grpc_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_grpc_carrier))
