"""What a node keeps is a table to any Arrow client of a member, and to nobody else."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from fingerpost import AsyncNode, Network
from fingerpost.carrier.base import Address
from fingerpost.ids import PublicKey
from fingerpost.template import Template, parse_template
from fingerpost.testing.channel_identities import NumberedIdentity
from tests.conformance.arrow_client import connect, options_for

TEMPLATE = """
format = 1
name = "sizes"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
bits = 3
"""
SIZES = [1.0, 20.0, 40.0, 60.0, 80.0, 99.0]


def test_a_member_reads_every_cell_that_a_node_keeps_and_a_stranger_none() -> None:
    template = parse_template(TEMPLATE)
    reader, stranger = NumberedIdentity(2), NumberedIdentity(3)

    async def main() -> None:
        network = Network(
            network_id="cells",
            members=frozenset([reader.public_key]),
            carrier_name="flight",
            directory_name="static",
            directory_settings={"peers": []},
        )
        async with await AsyncNode.open(template, network=network) as node:
            emission = await node.emit_table({"size": SIZES, "outcome": ["failed", "worked"] * 3})
            tables = await asyncio.to_thread(read_all, node.address, node.public_key)
            found = pa.concat_tables(tables)
            assert sorted(found["packet_id"].to_pylist()) == sorted(emission.packet_ids)
            assert sorted(found["outcome"].to_pylist()) == ["failed"] * 3 + ["worked"] * 3
            packets = await node.packets()
            assert {bytes(packet) for packet in found["packet"].to_pylist()} == {each.tobytes() for each in packets}
            assert found.schema.field("packet").type == pa.binary(512)
            assert len(tables) == len({int(cell) for cell in packets["cell"]})

    def read_all(address: Address, node: PublicKey) -> list[pa.Table]:
        with connect(address) as client:
            with pytest.raises(flight.FlightUnauthenticatedError):
                options_for(client, stranger, address, network_id="cells", node=node)
            options = options_for(client, reader, address, network_id="cells", node=node)
            infos = list(client.list_flights(options=options))
            tables = [client.do_get(info.endpoints[0].ticket, options).read_all() for info in infos]
            for ticket in (b"", b"7", nameless(template, "8"), nameless(template, "-1"), nameless(template, "1" * 99)):
                with pytest.raises(flight.FlightServerError, match="no such cell"):
                    client.do_get(flight.Ticket(ticket), options).read_all()
            return tables

    asyncio.run(main())


def nameless(template: Template, cell: str) -> bytes:
    """Return a ticket for a cell that the template does not have."""
    return f"{template.template_id.hex()}/{cell}".encode()
