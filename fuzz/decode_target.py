"""What must hold for any bytes given to ``decode``. The fuzzer calls ``check_decode`` with what it makes up."""

from __future__ import annotations

from fingerpost.errors import PacketError
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.packet import Reason, check_structure, decode, encode, packets_from_frame


def check_decode(data: bytes) -> str:
    """Check that ``data`` is refused with a known code or comes back when encoded, and return that code.

    Raises ``AssertionError`` if neither holds, or if the check of arrays says something else; lets any error pass that
    ``decode`` must not raise.
    """
    try:
        signed = decode(data)
    except PacketError as error:
        code = error.code
    else:
        code = Reason.FINE.code
        if encode(signed) != data:
            raise AssertionError("encoding the decoded packet gives other bytes")
    if code not in {reason.code for reason in Reason}:
        raise AssertionError(f"{code} is not a code of packets")
    if len(data) == PACKET_SIZE_BYTES:
        in_array = Reason(int(check_structure(packets_from_frame(data))[0])).code
        if in_array != code:
            raise AssertionError(f"decode says {code}, check_structure {in_array}")
    return code
