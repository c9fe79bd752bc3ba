"""A backend whose library is not installed is an error that names what brings it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from fingerpost.errors import UsageError
from fingerpost.node.network import Network
from fingerpost.testing.channel_identities import NumberedIdentity


@pytest.mark.parametrize(
    ("carrier", "library", "hint"),
    [
        ("grpc", "grpc", "pip install 'fingerpost[grpc]'"),
        ("nats", "nats", "pip install 'fingerpost[nats]'"),
        ("zeromq", "zmq", "pip install --upgrade fingerpost"),
    ],
)
def test_a_carrier_without_its_library_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, carrier: str, library: str, hint: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("fingerpost.carrier._", "fingerpost.nats_"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    network = Network(network_id="x", members=frozenset(), carrier_name=carrier)
    with pytest.raises(UsageError, match=library) as caught:
        asyncio.run(network.open_carrier(NumberedIdentity(1)))
    assert (caught.value.code, caught.value.hint) == ("backend-not-installed", hint)
