"""A stranger with access to the NATS servers of a directory, who says there what it likes."""

from __future__ import annotations

import asyncio

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg


class Stranger:
    """Answers questions about regions with whatever it was told to write, and says the same as news."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._written: dict[bytes, list[bytes]] = {}

    @classmethod
    async def join(cls, servers: list[str]) -> Stranger:
        return cls(await nats.connect(servers=servers))

    async def write(self, region_key: bytes, *values: bytes) -> None:
        """Have values in a region from now on."""
        written = self._written.get(region_key)
        if written is None:
            written = self._written[region_key] = []

            async def answer(question: Msg) -> None:
                for value in written:
                    await self.client.publish(question.reply, b"+" + value)

            await self.client.subscribe(f"fingerpost.region.{region_key.hex()}.find", cb=answer)
        written += values
        for value in values:
            await self.say(region_key, b"+" + value)
        await self.client.flush()

    async def say(self, region_key: bytes, news: bytes) -> None:
        """Say something as news of a region."""
        await self.client.publish(f"fingerpost.region.{region_key.hex()}.news", news)

    async def leave(self) -> None:
        async with asyncio.timeout(5):
            await self.client.close()
