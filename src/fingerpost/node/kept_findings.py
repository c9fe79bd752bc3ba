"""What the fit and the comparison of calculators found, kept in the store for the next process with the same packets.

Derived data like the kept evidence (``kept_evidence``) and beside it: for each pool that was asked, by the digest of
its packets. Another asker, another day where age counts, or other rules of finding have it sought anew.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from fingerpost.store.retention import DERIVED_TABLES_PREFIX
from fingerpost.synthesis._shares import Agreement
from fingerpost.synthesis._site_kernel import SiteFindings, SiteSettings
from fingerpost.synthesis.answer import PairSums
from fingerpost.synthesis.findings import Findings, PanelFindings
from fingerpost.synthesis.kernel import KernelSettings, Residuals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.store.base import PacketStore
    from fingerpost.synthesis import Synthesizer
    from fingerpost.synthesis.distances import Family

FINDINGS_TABLE = DERIVED_TABLES_PREFIX + "findings"
FINDINGS_VERSION = (
    1  # grows whenever the same packets may have other settings found, or compared otherwise, than before
)
RESIDUALS = ("rows", "observed", "predicted", "by_node", "variance", "weights", "nearest")


class _Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    family: str
    length: float
    ridge: float
    temperature: float
    spread: float


class _Sites(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    settings: dict[str, float]
    rows: _Array
    judged: _Array
    temperature: float
    unit_variance: float


class _Panel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    trial: dict[str, float] | None
    alone_speaks: bool | None
    kernels: dict[str, _Settings]
    sites: dict[str, _Sites]


class _PairSums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums as decimal digits: they may need more than 64 bits."""

    pairs: str
    similarity: str
    same_outcome: str | None


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    asker: bytes
    day: int  # 0 where age does not count
    settings: _Settings
    residuals: dict[str, _Array | None]
    agreement: Agreement | None
    pair_sums: _PairSums | None
    panel: _Panel | None
    version: int = FINDINGS_VERSION


def keep_findings(store: PacketStore, template_id: bytes, synthesizers: list[Synthesizer], *, asker: bytes) -> None:
    """Keep what these found, and nothing that was kept before. Raises what the store raises."""
    fresh: dict[bytes, bytes] = {}
    for each in synthesizers:
        found = each.findings(asker)
        if found is not None:
            kept = _kept(found, asker=asker, day=_day_of(each))
            fresh[_key(template_id, each)] = msgspec.msgpack.encode(kept)
    before = {key: data for key, data in store.records(FINDINGS_TABLE) if key.startswith(template_id)}
    changes: dict[bytes, bytes | None] = dict.fromkeys(before.keys() - fresh.keys())
    changes |= {key: data for key, data in fresh.items() if before.get(key) != data}
    if changes:
        store.put_records(FINDINGS_TABLE, changes)


def recall_findings(store: PacketStore, template_id: bytes, synthesizer: Synthesizer, *, asker: bytes) -> None:
    """Give a synthesizer what an earlier process of this asker found on the very same packets, if it did."""
    data = store.get_record(FINDINGS_TABLE, _key(template_id, synthesizer))
    if data is None:
        return
    try:
        kept = msgspec.msgpack.decode(data, type=_Kept)
    except (msgspec.DecodeError, msgspec.ValidationError):  # of another version: it is sought anew
        return
    if kept.version == FINDINGS_VERSION and kept.asker == asker and kept.day == _day_of(synthesizer):
        synthesizer.recall(_found(kept), asker=asker)


def _key(template_id: bytes, synthesizer: Synthesizer) -> bytes:
    return template_id + bytes.fromhex(synthesizer.evidence_digest)


def _day_of(synthesizer: Synthesizer) -> int:
    return synthesizer.day if synthesizer.template.half_life_days else 0


def _kept(found: Findings, *, asker: bytes, day: int) -> _Kept:
    arrays = {name: _optional(getattr(found.residuals, name)) for name in RESIDUALS}
    panel = None if found.panel is None else _kept_panel(found.panel)
    return _Kept(
        asker=asker,
        day=day,
        settings=_settings(found.settings),
        residuals=arrays,
        agreement=found.agreement,
        pair_sums=None if found.pair_sums is None else _kept_sums(found.pair_sums),
        panel=panel,
    )


def _kept_sums(sums: PairSums) -> _PairSums:
    same = None if sums.same_outcome is None else str(sums.same_outcome)
    return _PairSums(str(sums.pairs), str(sums.similarity), same)


def _found_sums(kept: _PairSums) -> PairSums:
    same = None if kept.same_outcome is None else int(kept.same_outcome)
    return PairSums(pairs=int(kept.pairs), similarity=int(kept.similarity), same_outcome=same)


def _kept_panel(found: PanelFindings) -> _Panel:
    kernels, sites = {}, {}
    for name, known in found.known.items():
        if isinstance(known, SiteFindings):
            arrays = _array(known.rows), _array(known.judged)
            sites[name] = _Sites(asdict(known.settings), *arrays, known.temperature, known.unit_variance)
        else:
            kernels[name] = _settings(known)
    trial = None if found.trial is None else dict(found.trial)
    return _Panel(trial=trial, alone_speaks=found.alone_speaks, kernels=kernels, sites=sites)


def _found(kept: _Kept) -> Findings:
    arrays: Any = {name: None if each is None else _values(each) for name, each in kept.residuals.items()}
    panel = None
    if kept.panel is not None:
        known: Mapping[str, KernelSettings | SiteFindings] = {
            name: _kernel_settings(each) for name, each in kept.panel.kernels.items()
        } | {name: _site_findings(each) for name, each in kept.panel.sites.items()}
        panel = PanelFindings(trial=kept.panel.trial, alone_speaks=kept.panel.alone_speaks, known=known)
    return Findings(
        settings=_kernel_settings(kept.settings),
        residuals=Residuals(**arrays),
        agreement=kept.agreement,
        pair_sums=None if kept.pair_sums is None else _found_sums(kept.pair_sums),
        panel=panel,
    )


def _settings(found: KernelSettings) -> _Settings:
    return _Settings(**asdict(found))


def _kernel_settings(kept: _Settings) -> KernelSettings:
    numbers = {"length": kept.length, "ridge": kept.ridge, "temperature": kept.temperature, "spread": kept.spread}
    return KernelSettings(family=cast("Family", kept.family), **numbers)


def _site_findings(kept: _Sites) -> SiteFindings:
    return SiteFindings(
        settings=SiteSettings(**kept.settings),
        rows=_values(kept.rows),
        judged=_values(kept.judged),
        temperature=kept.temperature,
        unit_variance=kept.unit_variance,
    )


def _optional(values: NDArray[Any] | None) -> _Array | None:
    return None if values is None else _array(values)


def _array(values: NDArray[Any]) -> _Array:
    return _Array(values.dtype.str, values.shape, values.tobytes())


def _values(kept: _Array) -> NDArray[Any]:
    return np.frombuffer(kept.data, np.dtype(kept.dtype)).reshape(kept.shape)
