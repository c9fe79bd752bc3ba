"""A bare Arrow Flight client that proves an identity, as a program without this package would."""

from __future__ import annotations

import ssl

import pyarrow.flight as flight

from fingerpost.carrier._tls import split_endpoint
from fingerpost.carrier.base import Address, ChannelIdentity
from fingerpost.carrier.hello import Greeting
from fingerpost.ids import PublicKey


def connect(address: Address) -> flight.FlightClient:
    """Connect to a node's Flight carrier, taking the certificate that it shows."""
    certificate = ssl.get_server_certificate(split_endpoint(address.endpoint))
    return flight.connect(
        address.endpoint.replace("tls://", "grpc+tls://"),
        tls_root_certs=certificate.encode(),
        override_hostname="fingerpost",
        generic_options=[("grpc.enable_http_proxy", 0)],
    )


def options_for(
    client: flight.FlightClient, identity: ChannelIdentity, address: Address, *, network_id: str, node: PublicKey
) -> flight.FlightCallOptions:
    """Prove an identity and return the options that calls need; check that the other end is ``node``."""
    (challenge,) = client.do_action(flight.Action("challenge", b""))
    greeting = Greeting(
        carrier="flight",
        network_id=network_id,
        listener_key=address.channel_key,
        challenge=challenge.body.to_pybytes(),
    )
    (granted,) = client.do_action(flight.Action("token", greeting.challenge + greeting.hello(identity)))
    answer = bytes(granted.body.to_pybytes())
    assert greeting.check_welcome(answer[:96]) == node
    return flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + answer[96:].hex().encode())])
