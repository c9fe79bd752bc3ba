"""A process that opens an OpenDHT directory, says which process it started for it, and waits to be killed.

``python -m tests.faults.directory_owner``
"""

from __future__ import annotations

import asyncio

from fingerpost.directory._opendht import open_directory
from fingerpost.directory.base import DirectoryOptions
from fingerpost.system import SystemClock


async def main() -> None:
    directory = await open_directory(DirectoryOptions(network_id="owner", clock=SystemClock()))
    print(directory.process_id, flush=True)  # noqa: T201
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main())
