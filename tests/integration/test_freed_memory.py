"""Opening a carrier spares the page faults of every frame that comes after."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMES = 200
PROGRAM = f"""
import resource
from collections import deque
from fingerpost.limits import FRAME_SIZE_BYTES_MAX

OPEN
waiting = deque(maxlen=8)
for frame in range(8 + {FRAMES}):
    if frame == 8:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    if len(waiting) == 8:
        for _ in range(4):
            waiting.popleft()
    waiting.append(bytes([frame % 256]) * FRAME_SIZE_BYTES_MAX)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ZEROMQ = "from fingerpost.carrier._zeromq import open_zeromq as open_carrier"
LINKS = "from fingerpost.carrier._grpc import open_grpc_carrier as open_carrier"
OPENING = """
import asyncio
from fingerpost.carrier.base import CarrierOptions
from fingerpost.testing.channel_identities import NumberedIdentity

async def open_and_close():
    identity = NumberedIdentity(1)
    carrier = await open_carrier(CarrierOptions(identity=identity, network_id="x", listen="", admits=bool))
    await carrier.close()

asyncio.run(open_and_close())
"""


@pytest.mark.parametrize("imported", [ZEROMQ, LINKS], ids=["zeromq", "links"])
def test_frames_take_the_memory_of_frames_that_are_gone_once_a_carrier_was_opened(imported: str) -> None:
    with_carrier = page_faults(imported + OPENING)
    without = page_faults("")
    assert with_carrier < FRAMES, "less than one a frame"
    assert without > 20 * FRAMES, "else the allocator does so by itself, and the carriers need not"


def page_faults(opening: str) -> int:
    program = PROGRAM.replace("OPEN", opening, 1)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return int(run.stdout)
