"""What must hold of a whole network: each rule is a checker of its own, and knows more than any node does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from fingerpost.errors import FingerpostError
from fingerpost.ids import PublicKey
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX, FRAME_SIZE_BYTES_MAX, REPLICAS
from fingerpost.node.engine import Engine
from fingerpost.node.placement import first_of_each_organisation, group_key, rank
from fingerpost.packet import decode, verify
from fingerpost.ports import day_of
from fingerpost.sim.ledger import Ledger, Told, packet_id_of
from fingerpost.sim.options import CLOCK_SECONDS_MAX
from fingerpost.sim.sizes import items_held
from fingerpost.sim.station import Station
from fingerpost.sim.violation import ViolationError
from fingerpost.template import Template

ENGINE_ITEMS_MAX = 400  # in all tables of an engine that knows no packets and no peers
ENGINE_ITEMS_PER_PACKET = 10
ENGINE_ITEMS_PER_PEER = 50


class DurabilityChecker:
    """No acknowledged packet is lost under any two permanent losses, emitter included, at any moment.

    Instead of trying all pairs of losses it counts: a packet on three honest disks outlives any two; after one loss two
    copies must be left, after two one. A holder that lies counts as lost from the start.
    """

    invariant = "acknowledged packets outlive any two losses"

    def __init__(self, ledger: Ledger, stations: Sequence[Station]) -> None:
        self._ledger = ledger
        self._stations = stations

    def check(self, told: Iterable[Told]) -> None:
        """Count the copies of these acknowledged packets. Raises ``ViolationError``."""
        disks = [(each.name, each.disk.packets) for each in self._stations if each.is_honest and not each.is_lost]
        liars = sum(not each.is_honest for each in self._stations)
        for each in told:
            copies = [name for name, packets in disks if each.packet_id in packets]
            if len(copies) >= REPLICAS:
                continue
            losses = self._ledger.losses_that_count(each)
            if len(copies) < max(1, REPLICAS - liars - losses):
                raise ViolationError(
                    self.invariant,
                    f"packet {each.packet_id.hex()[:12]} in cell {each.cell} is on the honest disks {copies} only, "
                    f"with {losses} losses that count and {liars} liars",
                )

    def is_whole(self, told: Iterable[Told]) -> bool:
        """Say whether each of these packets is on as many honest disks as without any loss."""
        disks = [each.disk.packets for each in self._stations if each.is_honest and not each.is_lost]
        return all(sum(each.packet_id in packets for packets in disks) >= REPLICAS for each in told)


class SoundnessChecker:
    """No packet is stored or answered from unless a member signed it, it is of this time, and it is there once."""

    invariant = "every packet on an honest disk is sound"

    def __init__(self, stations: Sequence[Station], template: Template, *, members: set[PublicKey]) -> None:
        self._stations = stations
        self._template = template
        self._members = members
        self._sound: set[tuple[bytes, bytes]] = set()

    def check(self, *, now: float) -> None:
        """Look at every packet and withdrawal that is new on an honest disk. Raises ``ViolationError``."""
        for station in self._stations:
            if station.is_honest and not station.is_lost:
                withdrawals = [(packet_id_of(each), each) for each in station.disk.withdrawals.values()]
                for item in (*station.disk.packets.items(), *withdrawals):
                    if item not in self._sound:
                        self._check_new(*item, where=station.name, now=now)
                        self._sound.add(item)

    def check_answer(self, packets: Iterable[bytes], *, where: str, now: float) -> None:
        """Look at the packets that an answer was made from. Raises ``ViolationError``."""
        seen = set()
        for packet in packets:
            packet_id = packet_id_of(packet)
            if packet_id in seen:
                raise ViolationError(self.invariant, f"{where} answers from {packet_id.hex()[:12]} twice")
            seen.add(packet_id)
            if (packet_id, packet) not in self._sound:
                self._check_new(packet_id, packet, where=where, now=now)

    def _check_new(self, key: bytes, packet: bytes, *, where: str, now: float) -> None:
        problem = self._problem(key, packet, now)
        if problem:
            raise ViolationError(self.invariant, f"{where} keeps {key.hex()[:12]}: {problem}")

    def _problem(self, key: bytes, packet: bytes, now: float) -> str:
        if key != packet_id_of(packet):
            return "it is kept under an id that is not the hash of its body"
        try:
            signed = decode(packet)
            verify(signed)
        except FingerpostError as error:
            return f"{error.code}, {error.message}"
        if signed.packet.emitter not in self._members:
            return "its emitter is no member"
        if signed.packet.template_id != self._template.template_id:
            return "nobody serves its template"
        if signed.packet.epoch > day_of(now + CLOCK_SECONDS_MAX) + CLOCK_SKEW_DAYS_MAX:
            return "it comes from the future"
        return ""


class LimitsChecker:
    """Nothing grows beyond its bound, whatever peers send: no frame, and no table of an engine."""

    invariant = "everything stays within its bounds"

    def check_frame(self, frame: bytes, *, sender: str) -> None:
        """Look at a frame that an honest engine wants to send. Raises ``ViolationError``."""
        if not 0 < len(frame) <= FRAME_SIZE_BYTES_MAX:
            raise ViolationError(self.invariant, f"{sender} sends a frame of {len(frame)} bytes")

    def check_engine(self, engine: Engine, *, who: str, packets: int, peers: int) -> None:
        """Count what an engine remembers. Raises ``ViolationError``."""
        most = ENGINE_ITEMS_MAX + ENGINE_ITEMS_PER_PACKET * packets + ENGINE_ITEMS_PER_PEER * peers
        items = items_held(engine)
        if items > most:
            raise ViolationError(
                self.invariant, f"the tables of {who} hold {items} items with {packets} packets and {peers} peers"
            )


class LivenessChecker:
    """Once faults have stopped, every holder of a group comes to have every packet that is owed."""

    invariant = "replicas converge once faults have stopped"

    def __init__(
        self,
        ledger: Ledger,
        stations: Sequence[Station],
        template: Template,
        *,
        candidates: Callable[[int], Collection[PublicKey] | None],
    ) -> None:
        self._ledger = ledger
        self._stations = stations
        self._template = template
        self._candidates = candidates

    def missing(self, *, now: float, slack_seconds: float) -> list[str]:
        """Say, for each packet that is owed, which of its current holders lack it; empty when none does."""
        live = {each.public_key: each for each in self._stations if each.is_running and not each.is_lost}
        organisations = {key: each.organisation for key, each in live.items()}
        holders: dict[int, list[Station]] = {}
        problems = []
        for told in self._ledger.owed(now=now, slack_seconds=slack_seconds):
            group = told.cell >> (self._template.cell_bits - self._template.group_bits)
            if group not in holders:
                among = self._candidates(group)
                here = [key for key in live if among is None or key in among]
                ranked = rank(group_key(self._template.template_id, group), here)
                chosen = first_of_each_organisation(ranked, count=REPLICAS, organisations=organisations)
                holders[group] = [live[key] for key in chosen]
            lacking = [each.name for each in holders[group] if told.packet_id not in each.disk.packets]
            if lacking:
                problems.append(f"{told.packet_id.hex()[:12]} of group {group} is missing at {', '.join(lacking)}")
        return problems

    def undead(self) -> list[str]:
        """Say which honest disks still have a packet that its emitter took back."""
        return [
            f"{packet_id.hex()[:12]} was withdrawn and is still at {each.name}"
            for packet_id in self._ledger.withdrawn
            for each in self._stations
            if each.is_honest and each.is_running and packet_id in each.disk.packets
        ]
