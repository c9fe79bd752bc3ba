"""Receipts: an answer with the signed packets it rests on, to be derived again by anyone, offline.

A receipt file is one line that names the format, a BLAKE2s-256 digest of the rest, and a MessagePack map of: the
canonical template, the packets (512 bytes each, in order of their ids), the options, and the answer as canonical JSON
without its sentences. Up to ``whole_packets_max`` packets all of them are there and everything is derived again,
settings included. Beyond, the packets nearest to the question are there: the pooled estimate follows from them and from
the settings that the receipt states; intervals, totals and what other calculators said do not, and
``Verification.whole`` is False. How much each calculator counts, and each packet where they did not count alike, is
stated in either case: it is the asker's experience.

Verifying shows that the answer follows from packets that their emitters signed. It cannot show that no packet was left
out: that takes holders who attest what they hold.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from fingerpost.errors import FingerpostError, ReceiptError, TemplateError, UsageError
from fingerpost.limits import EPOCH_DAY_MAX, PACKET_SIZE_BYTES, TEMPLATE_SIZE_BYTES_MAX
from fingerpost.packet import (
    SECRET_SIZE_BYTES,
    check_structure,
    open_sealed,
    packet_ids,
    packets_from_frame,
    sealed_rows,
    verify_packets,
)
from fingerpost.synthesis._stated_mixture import mixed_as_stated, stated_weighing
from fingerpost.synthesis._synthesizer import Synthesizer
from fingerpost.synthesis.answer import Answer, Query
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import KernelOptions, KernelSettings
from fingerpost.template import Template, parse_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

HEADER = b"fingerpost receipt 1\n"
DIGEST_SIZE_BYTES = 32
RECEIPT_PACKETS_MAX = 2_048
CLAIMS_SIZE_BYTES_MAX = 1 << 21
RECEIPT_SIZE_BYTES_MAX = (
    RECEIPT_PACKETS_MAX * (PACKET_SIZE_BYTES + SECRET_SIZE_BYTES) + TEMPLATE_SIZE_BYTES_MAX + CLAIMS_SIZE_BYTES_MAX
)
GRID_MAX = 32
TOLERANCE = 1e-9
NONSENSE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, np.linalg.LinAlgError)
TEXTS = ("explanation", "text")  # sentences follow from the rest and are not part of the claim
FROM_NEAREST = ("template_id", "template_name", "outcome_name", "kind", "query", "conditions", "day", "nearest")

HINT_DAMAGED = "Ask for the receipt again: this one was damaged or changed on its way."
HINT_FALSE = "Do not rely on this answer: it does not follow from the packets in its receipt."


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a receipt file holds. Values are checked by ``verify_receipt``, not before."""

    template: bytes  # canonical
    packets: bytes
    options: dict[str, int | str | list[float]]
    claims: bytes  # the answer as canonical JSON
    trust: bytes = b""  # of every packet, as little-endian doubles; empty where all count alike
    secrets: bytes = b""  # of sealed packets: what opens each packet in turn, zeros where it is plain

    def to_bytes(self) -> bytes:
        """Return the content of a ``*.receipt`` file."""
        content = msgspec.msgpack.encode(self, order="deterministic")
        return HEADER + hashlib.blake2s(content).digest() + content

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        """Read a receipt file of any origin. Raises ``ReceiptError``; what it returns is not verified yet."""
        if len(data) > RECEIPT_SIZE_BYTES_MAX:
            raise ReceiptError("receipt-size", f"a receipt has at most {RECEIPT_SIZE_BYTES_MAX} bytes")
        if not data.startswith(HEADER):
            raise ReceiptError(
                "receipt-format",
                "this is not a receipt that this program can read",
                hint="A receipt begins with 'fingerpost receipt 1'; a newer one needs a newer fingerpost.",
            )
        digest = data[len(HEADER) : len(HEADER) + DIGEST_SIZE_BYTES]
        content = data[len(HEADER) + DIGEST_SIZE_BYTES :]
        if hashlib.blake2s(content).digest() != digest:
            raise ReceiptError("receipt-digest", "the receipt differs from what was written", hint=HINT_DAMAGED)
        try:
            receipt = msgspec.msgpack.decode(content, type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError) as error:
            raise ReceiptError("receipt-format", f"the receipt cannot be read: {error}", hint=HINT_DAMAGED) from None
        if msgspec.msgpack.encode(receipt, order="deterministic") != content:
            raise ReceiptError("receipt-format", "the receipt is not in its one canonical form", hint=HINT_DAMAGED)
        return receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was verified. ``answer`` is the answer as derived here; ``whole`` says that all of it was.

    ``opened`` of the packets are sealed and were opened with the secrets in the receipt.

    Otherwise (large pools) the estimate, the nearest packets and their weights were derived, from stated settings.
    """

    answer: Answer
    packets: int
    nodes: int
    whole: bool
    opened: int = 0

    @property
    def statements(self) -> tuple[str, ...]:
        """Return what may be said now, and what may not."""
        signed = f"signatures verified: {self.packets} packets of {self.nodes} nodes"
        opened = (f"opened with the secrets in the receipt: {self.opened} packets",) if self.opened else ()
        scope = "" if self.whole else " (estimate and nearest packets; settings, intervals and totals as stated)"
        return (signed, *opened, f"derivation verified{scope}", "completeness: not attested")


def make_receipt(
    answer: Answer,
    packets: NDArray[Any],
    template: Template,
    *,
    options: KernelOptions | None = None,
    secrets: NDArray[np.uint8] | None = None,
    trusted: Callable[[Evidence], Evidence] | None = None,
) -> Receipt:
    """Return the receipt of ``answer``, given the packets (``PACKET_DTYPE``) and options that it was made with.

    More packets than those are harmless as long as they could not have been used. ``secrets`` (n, 32) open the sealed
    ones among them: whoever gets the receipt can read those packets, and no others. ``trusted`` says how much each
    packet counted, where they did not count alike.

    :raises ReceiptError: when the answer does not follow from these packets, or rests on none.
    """
    evidence, _ = _evidence_of(packets, template, secrets)
    if trusted is not None:
        evidence = trusted(evidence)
    used = _synthesizer(evidence, template, answer, options or KernelOptions(), settings=None)
    if used.evidence_digest != answer.evidence_digest:
        raise ReceiptError(
            "receipt-stale",
            "these are not the packets that the answer was made from",
            hint="Ask again and make the receipt before packets arrive, expire or are withdrawn.",
        )
    rows = np.arange(len(used.evidence))
    if len(rows) > used.options.whole_packets_max:
        rows = _rows_used(used, answer.query)
    if len(rows) > RECEIPT_PACKETS_MAX:
        raise ReceiptError("receipt-size", f"a receipt holds at most {RECEIPT_PACKETS_MAX} packets")
    wanted = {one.tobytes() for one in used.evidence.packet_ids[rows]}
    ids = packet_ids(packets)
    found = {one.tobytes(): row for row, one in enumerate(ids) if one.tobytes() in wanted}
    order = [found[one] for one in sorted(found)]
    chosen = packets[order]
    receipt = Receipt(
        template=template.canonical,
        packets=chosen.tobytes(),
        options=_plain_options(used.options),
        claims=_canonical(_claims(answer)),
        trust=b"" if used.evidence.trust is None else used.evidence.trust[np.sort(rows)].astype("<f8").tobytes(),
        secrets=secrets[order].tobytes() if secrets is not None and sealed_rows(chosen).any() else b"",
    )
    verify_receipt(receipt)
    return receipt


def verify_receipt(receipt: Receipt | bytes) -> Verification:
    """Derive the answer of a receipt again from its packets: ids and sums exactly, floats within 1e-9.

    :raises ReceiptError: for anything that is malformed, not signed, or does not follow.
    """
    known = Receipt.from_bytes(receipt) if isinstance(receipt, bytes) else receipt
    template = _template(known.template)
    packets = _packets(known.packets, template)
    claims = _read_claims(known.claims)
    options = _options(known.options)
    secrets = _secrets(known.secrets, packets)
    try:
        return _verify(claims, packets, template, options, secrets=secrets, trust=known.trust)
    except ReceiptError:
        raise
    except (FingerpostError, *NONSENSE) as error:
        raise ReceiptError("receipt-claims", f"the answer in the receipt makes no sense: {error}") from None


def _verify(
    claims: dict[str, Any],
    packets: NDArray[Any],
    template: Template,
    options: KernelOptions,
    *,
    secrets: NDArray[np.uint8] | None,
    trust: bytes,
) -> Verification:
    evidence, opened = _evidence_of(packets, template, secrets)
    if trust:
        evidence = evidence.trusted(np.frombuffer(trust, "<f8").astype(np.float64))
    query = _query(claims["query"])
    day, conditions = claims["day"], claims["conditions"]
    if not isinstance(day, int) or not 0 <= day <= 2 * EPOCH_DAY_MAX:
        raise ReceiptError("receipt-claims", "the day of the answer is not a day")
    whole = int(claims["packets"]) <= options.whole_packets_max
    settings = None if whole else _settings(claims["settings"])
    synthesizer = Synthesizer(evidence, template, day=day, options=options, conditions=conditions, settings=settings)
    if len(synthesizer.evidence) != len(packets):
        raise ReceiptError("receipt-packets", "a packet in the receipt cannot have been used", hint=HINT_FALSE)
    claims = {"calculation": None, **claims}  # a receipt of an earlier version has none
    weighing = stated_weighing(claims)
    answer = synthesizer.ask(query, weighing=weighing if whole else None)
    if not whole:
        answer = mixed_as_stated(answer, claims)
    derived = _claims(answer)
    if not whole:
        claims, derived = _from_nearest(claims), _from_nearest(derived)
    differing = next(_differences(claims, derived, ""), None)
    if differing is not None:
        raise ReceiptError("receipt-derivation", f"the answer does not follow: {differing} differs", hint=HINT_FALSE)
    return Verification(
        answer=answer, packets=len(packets), nodes=len(synthesizer.evidence.node_ids), whole=whole, opened=opened
    )


def _evidence_of(packets: NDArray[Any], template: Template, secrets: NDArray[np.uint8] | None) -> tuple[Evidence, int]:
    """Return packets as evidence, and how many of them were opened for it with their secrets (n, 32)."""
    sealed = sealed_rows(packets)
    if secrets is None or not sealed.any():
        return Evidence.from_packets(packets, template), 0
    plain = packets.copy()
    plain[sealed], opened = open_sealed(packets[sealed], [secret.tobytes() for secret in secrets[sealed]])
    return Evidence.from_packets(plain, template, packet_ids=packet_ids(packets)), int(opened.sum())


def _synthesizer(
    evidence: Evidence, template: Template, answer: Answer, options: KernelOptions, *, settings: KernelSettings | None
) -> Synthesizer:
    if not answer.packets:
        raise ReceiptError("receipt-empty", "an answer without evidence has nothing to verify")
    return Synthesizer(
        evidence,
        template,
        day=answer.day,
        options=options,
        conditions=dict(answer.conditions),
        settings=settings or answer.settings,
    )


def _rows_used(synthesizer: Synthesizer, query: Query) -> NDArray[np.int64]:
    """Return the rows that a question is solved on."""
    return next(iter(synthesizer.smoothings([query]))).rows


def _claims(answer: Answer) -> dict[str, Any]:
    claims: dict[str, Any] = _without_texts(answer.as_dict())
    del claims["gathering"], claims["election"]  # They do not follow from the packets that were used.
    return claims


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_texts(part) for name, part in value.items() if name not in TEXTS}
    return [_without_texts(part) for part in value] if isinstance(value, list) else value


def _from_nearest(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an answer that follows from the nearest packets and stated settings."""
    part = {name: claims[name] for name in FROM_NEAREST}
    part["levels"] = [[level["level"], level["probability"]] for level in claims["levels"]]
    part["number"] = None if claims["number"] is None else claims["number"]["mean"]
    part["carriers"] = claims["carriers"]
    part["calculation"] = claims["calculation"]
    return part


def _differences(claimed: Any, derived: Any, place: str) -> Iterator[str]:
    """Yield where two trees of plain values differ: numbers that are not whole by more than 1e-9."""
    if isinstance(derived, dict) and isinstance(claimed, dict) and claimed.keys() == derived.keys():
        for name, value in derived.items():
            yield from _differences(claimed[name], value, f"{place}.{name}" if place else name)
    elif isinstance(derived, list) and isinstance(claimed, list) and len(claimed) == len(derived):
        for k, (one, other) in enumerate(zip(claimed, derived, strict=True)):
            yield from _differences(one, other, f"{place}[{k}]")
    elif isinstance(derived, float) and isinstance(claimed, (int, float)) and not isinstance(claimed, bool):
        if not math.isclose(claimed, derived, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield place
    elif type(claimed) is not type(derived) or claimed != derived or isinstance(derived, (dict, list)):
        yield place


def _template(canonical: bytes) -> Template:
    try:
        template = parse_template(canonical, source="the receipt")
    except TemplateError as error:
        raise ReceiptError("receipt-template", f"the template in the receipt: {error.message}") from None
    if template.canonical != canonical:
        raise ReceiptError("receipt-template", "the template in the receipt is not in canonical form")
    return template


def _packets(data: bytes, template: Template) -> NDArray[Any]:
    count, rest = divmod(len(data), PACKET_SIZE_BYTES)
    if rest or not 0 < count <= RECEIPT_PACKETS_MAX:
        raise ReceiptError("receipt-packets", f"a receipt holds 1 to {RECEIPT_PACKETS_MAX} whole packets")
    packets = packets_from_frame(data)
    if check_structure(packets).any():
        raise ReceiptError("receipt-packets", "a packet in the receipt is malformed", hint=HINT_FALSE)
    if (packets["template_id"] != np.frombuffer(template.template_id, np.uint8)).any():
        raise ReceiptError("receipt-packets", "a packet in the receipt belongs to another template", hint=HINT_FALSE)
    ids = [one.tobytes() for one in packet_ids(packets)]
    if ids != sorted(set(ids)):
        raise ReceiptError("receipt-packets", "the packets are not in the order of their ids, each once")
    if not verify_packets(packets).all():
        raise ReceiptError("receipt-signature", "a packet in the receipt is not signed by its emitter", hint=HINT_FALSE)
    return packets


def _secrets(data: bytes, packets: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return the secrets of packets, which are there exactly when one of them is sealed."""
    sealed = sealed_rows(packets)
    if not sealed.any() and not data:
        return None
    if not sealed.any() or len(data) != len(packets) * SECRET_SIZE_BYTES:
        raise ReceiptError("receipt-secrets", "the secrets in the receipt are not those of its sealed packets")
    secrets = np.frombuffer(data, np.uint8).reshape(-1, SECRET_SIZE_BYTES)
    _, opened = open_sealed(packets[sealed], [secret.tobytes() for secret in secrets[sealed]])
    if not opened.all() or secrets[~sealed].any():
        raise ReceiptError("receipt-secrets", "a sealed packet in the receipt does not open", hint=HINT_FALSE)
    return secrets


def _read_claims(data: bytes) -> dict[str, Any]:
    if len(data) > CLAIMS_SIZE_BYTES_MAX:
        raise ReceiptError("receipt-size", "the answer in the receipt is too large")
    try:
        claims = json.loads(data)
        canonical = _canonical(claims)
    except (ValueError, RecursionError) as error:
        raise ReceiptError("receipt-claims", f"the answer in the receipt cannot be read: {error}") from None
    if not isinstance(claims, dict) or canonical != data:
        raise ReceiptError("receipt-claims", "the answer in the receipt is not in canonical form")
    return claims


def _canonical(claims: Any) -> bytes:
    text = json.dumps(claims, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "strict")


def _query(claimed: Mapping[str, Any]) -> Query:
    sketch = claimed["sketch"]
    return Query(
        fingerprint=bytes.fromhex(claimed["fingerprint"]), sketch=None if sketch is None else bytes.fromhex(sketch)
    )


def _settings(claimed: Mapping[str, Any]) -> KernelSettings:
    settings = KernelSettings(**claimed)
    numbers = (settings.length, settings.ridge, settings.temperature, settings.spread)
    if settings.family not in ("bits", "sketch") or not all(math.isfinite(n) and 0 < n < 1e9 for n in numbers):
        raise ReceiptError("receipt-claims", "the settings of the answer are not settings")
    return settings


def _plain_options(options: KernelOptions) -> dict[str, int | str | list[float]]:
    plain = asdict(options)
    plain.pop("half_life_days")  # the template says that
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _options(plain: Mapping[str, int | str | list[float]]) -> KernelOptions:
    """Read options of any origin: bounded, so that a receipt cannot keep its verifier busy for ever."""
    usual = KernelOptions()
    bounds = asdict(usual)
    values: dict[str, Any] = {}
    for name, value in plain.items():
        bound = bounds.get(name)
        if isinstance(bound, tuple):
            fits = isinstance(value, list) and 0 < len(value) <= GRID_MAX and all(0 < float(v) < 1e6 for v in value)
            values[name] = tuple(value) if isinstance(value, list) else value
        else:
            fits = type(value) is type(bound) and (not isinstance(value, int) or value <= RECEIPT_PACKETS_MAX)
            values[name] = value
        if not fits:
            raise ReceiptError("receipt-options", f"the option {name[:40]!r} of the receipt is out of bounds")
    try:
        options = KernelOptions(**values)
    except (UsageError, TypeError) as error:
        raise ReceiptError("receipt-options", f"the options of the receipt: {error}") from None
    if _plain_options(options) != dict(plain):
        raise ReceiptError("receipt-options", "the receipt does not state all options")
    return options
