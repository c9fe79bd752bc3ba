"""TLS without authorities: a self-signed certificate whose key follows from the identity, and is pinned by its hash.

Names, dates and issuers of these certificates mean nothing. What counts is the key, whose hash stands in the node's
signed holder record.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fingerpost.carrier.base import ChannelIdentity
from fingerpost.errors import NetworkError

SERVER_NAME = "fingerpost"
ENDPOINT_SCHEME = "tls://"

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9a-fA-F:.]{2,45}")
_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SEC 2 section 2.4.2
_VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_VALID_UNTIL = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """What a listener shows: certificate and key in PEM, and the channel key that peers pin."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    channel_key: bytes


def make_tls_identity(identity: ChannelIdentity, label: bytes) -> TlsIdentity:
    """Return the TLS identity of a node for one carrier; its key, and so its channel key, never changes."""
    # 64 bytes reduced modulo a 32-byte order: no key is measurably more likely than another.
    wide = int.from_bytes(hashlib.blake2b(identity.channel_secret(label), person=b"fingerpost p-256").digest(), "big")
    key = ec.derive_private_key(wide % (_CURVE_ORDER - 1) + 1, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return TlsIdentity(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        channel_key=_channel_key(certificate),
    )


async def fetch_certificate(endpoint: str, *, channel_key: bytes) -> bytes | None:
    """Return the certificate (PEM) that an endpoint shows when its key is the pinned one, else None.

    Nothing is sent but a TLS handshake. A caller that then trusts exactly this certificate talks to the holder of the
    key, whoever answers next. Raises ``OSError`` when no TLS server answers.
    """
    host, port = split_endpoint(endpoint)
    # The check that matters is the hash below; it takes the certificate of any server to make it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=SERVER_NAME)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    try:
        certificate = x509.load_der_x509_certificate(shown)
        if _channel_key(certificate) != channel_key:
            return None
    except (ValueError, UnsupportedAlgorithm):
        return None
    return certificate.public_bytes(serialization.Encoding.PEM)


def make_endpoint(host: str, port: int) -> str:
    """Return ``tls://host:port``."""
    return f"{ENDPOINT_SCHEME}[{host}]:{port}" if ":" in host else f"{ENDPOINT_SCHEME}{host}:{port}"


def advertised_host(settings: Mapping[str, Any], host: str) -> str:
    """Return the setting ``advertised_host``, else ``host``. Raises ``NetworkError``: ``carrier-settings``."""
    if "advertised_host" not in settings:
        return host
    named = settings["advertised_host"]
    if not isinstance(named, str) or not _HOST.fullmatch(named):
        raise NetworkError("carrier-settings", f"advertised_host is the name or address of a host, not {named!r}")
    return named


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Read ``tls://host:port``. Raises ``NetworkError`` (``carrier-unreachable``) for anything else."""
    rest = endpoint.removeprefix(ENDPOINT_SCHEME)
    try:
        host, port = split_listen(rest)
    except ValueError:
        host, port = "", 0
    if rest == endpoint or not host or not port:
        raise NetworkError("carrier-unreachable", f"not an endpoint of this carrier: {endpoint[:80]!r}")
    return host, port


def split_listen(listen: str) -> tuple[str, int]:
    """Read ``host:port``, with or without ``tls://``; an IPv6 address stands in brackets. Raises ``ValueError``."""
    host, separator, port = listen.removeprefix(ENDPOINT_SCHEME).rpartition(":")
    number = int(port) if port.isdecimal() else -1
    if not separator or not 0 <= number <= 65_535:
        raise ValueError(f"not host:port: {listen[:80]!r}")
    return host.removeprefix("[").removesuffix("]"), number


def _channel_key(certificate: x509.Certificate) -> bytes:
    encoded = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(encoded).digest()
