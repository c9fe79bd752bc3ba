"""What a running node has seen and done: counted as it happens, and read as one frozen value.

``Watch`` is told by the runtime; it decides nothing. Reasons are this node's own words, never a peer's, so that nobody
else can choose what is counted or logged here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from fingerpost.carrier.base import Address, Carrier
from fingerpost.directory.base import Directory
from fingerpost.ids import NodeId, PublicKey, node_id
from fingerpost.node.events import Acknowledged, Event, FrameRefused, HolderOmits, PacketsArrived
from fingerpost.node.network import Reach
from fingerpost.node.peers import Peers
from fingerpost.store.base import PacketStore, StoreStats
from fingerpost.template import Template

PEERS_REMEMBERED_MAX = 4_096  # beyond those the directory knows; one more forgets the one heard longest ago
HOLDER_NOT_ADMITTED = "holder-not-admitted"  # a good record in the directory, of a node that may not take part
HOLDER_OMITS = "holder-omits"  # an answer that left out what its holder had signed to keep

_LOG = logging.getLogger("fingerpost.node")
logging.getLogger("fingerpost").addHandler(logging.NullHandler())  # Who uses the package decides what is shown.


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What this node knows of one peer.

    ``endpoint`` is empty for a peer that only ever connected to us. ``live`` says whether it did what was last asked
    of it, or sent something since; None when there was nothing yet. ``heard_at`` is in seconds since 1970, 0 for never.
    Bytes are those of whole frames.
    """

    public_key: PublicKey
    endpoint: str
    live: bool | None
    heard_at: float
    received_bytes: int
    sent_bytes: int

    @property
    def node_id(self) -> NodeId:
        """The id of the peer."""
        return node_id(self.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A running node at one moment.

    ``endpoint`` is where its carrier listens, ``directory_endpoint`` what others may give as the directory's bootstrap,
    or the server that it uses now; texts that do not apply are empty. ``store`` is what it holds, own packets included.
    ``received_packets`` were new here; ``emitted_packets`` were made here, and of those ``acknowledged_packets`` are
    kept by two others too (all since the node was opened); ``unsettled_emissions`` are being handed over. ``refused``
    counts by layer (``carrier``, ``directory``, ``frame``, ``packet``) and reason; failed calls to the directory too.
    """

    node_id: NodeId
    public_key: PublicKey
    template_id: bytes
    template_name: str
    network_id: str
    carrier: str
    endpoint: str
    directory: str
    directory_endpoint: str
    directory_restarts: int
    store: StoreStats
    peers: tuple[PeerStatus, ...]
    received_bytes: int
    sent_bytes: int
    received_packets: int
    emitted_packets: int
    acknowledged_packets: int
    unsettled_emissions: int
    refused: Mapping[str, Mapping[str, int]]

    @property
    def pending_packets(self) -> int:
        """Packets made here since the node was opened that are not acknowledged yet."""
        return self.emitted_packets - self.acknowledged_packets

    @property
    def live_peers(self) -> int:
        """Peers that did what was last asked of them."""
        return sum(peer.live is True for peer in self.peers)


@dataclass(slots=True)
class _Contact:
    live: bool | None = None
    heard_at: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class Watch:
    """Counts what happens to one node. Of one event loop; ``store`` is only read."""

    store: PacketStore
    received_bytes: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    emitted_packets: int = 0
    acknowledged_packets: int = 0
    refused_frames: dict[str, int] = field(default_factory=dict)
    refused_packets: dict[str, int] = field(default_factory=dict)
    refused_directory: dict[str, int] = field(default_factory=dict)
    failed_directory: dict[str, int] = field(default_factory=dict)  # calls to the directory, by what they were for
    _contacts: dict[PublicKey, _Contact] = field(default_factory=dict)
    _listed: set[PublicKey] = field(default_factory=set)
    _emissions: dict[int, int] = field(default_factory=dict)  # packets of each that is not acknowledged

    def listed(self, peers: set[PublicKey]) -> None:
        """The directory named these peers; who is not among them any more has left, and is forgotten."""
        for peer in self._listed - peers:
            self._contacts.pop(peer, None)
        self._listed = set(peers)

    def emitted(self, number: int, packets: int) -> None:
        """Packets were made here, in the emission with this number."""
        self.emitted_packets += packets
        self._emissions[number] = packets

    def heard(self, peer: PublicKey, *, size_bytes: int, now: float) -> None:
        """A frame of a peer arrived."""
        contact = self._contacts.pop(peer, None) or _Contact()
        if contact.live is False:
            _LOG.info("peer %s answers again", node_id(peer).hex())
        contact.live, contact.heard_at = True, now
        contact.received_bytes += size_bytes
        self.received_bytes += size_bytes
        if len(self._contacts) >= PEERS_REMEMBERED_MAX:
            self._contacts.pop(next(iter(self._contacts)))
        self._contacts[peer] = contact  # the last one heard stands last

    def sent(self, peer: PublicKey, *, size_bytes: int) -> None:
        """A frame left for a peer."""
        self._contact(peer).sent_bytes += size_bytes
        self.sent_bytes += size_bytes

    def silent(self, peer: PublicKey) -> None:
        """A peer could not be reached, or did not answer in time."""
        contact = self._contact(peer)
        if contact.live is not False:
            _LOG.warning("peer %s does not answer", node_id(peer).hex())
        contact.live = False

    def failed(self, what: str, error: Exception) -> None:
        """A call to the directory failed, and will be made again; log the 1st, 2nd, 4th, 8th … of each kind."""
        reason = f"{what}-failed"
        before = self.failed_directory.get(reason, 0)
        self.failed_directory[reason] = before + 1
        if before.bit_length() != (before + 1).bit_length():
            _LOG.error("cannot %s in the directory: %s (%d times so far)", what, type(error).__name__, before + 1)

    def stranger(self, peer: PublicKey) -> None:
        """The directory names a node that may not take part: its record counts for nothing."""
        self._refuse(self.refused_directory, HOLDER_NOT_ADMITTED, 1, peer)

    def note(self, event: Event) -> None:
        """Count what the engine tells, and log what it refused: the 1st, 2nd, 4th, 8th … of each reason."""
        if isinstance(event, FrameRefused):
            self._refuse(self.refused_frames, event.code, 1, event.peer)
        elif isinstance(event, PacketsArrived):
            self.received_packets += event.stored
            for reason, count in event.refused.items():
                self._refuse(self.refused_packets, reason, count, event.peer)
        elif isinstance(event, Acknowledged):
            self.acknowledged_packets += self._emissions.pop(event.number, 0)
        elif isinstance(event, HolderOmits):
            self.refused_frames[HOLDER_OMITS] = self.refused_frames.get(HOLDER_OMITS, 0) + 1
            _LOG.warning(
                "peer %s leaves out %d packets that it signed to keep", node_id(event.peer).hex(), len(event.packet_ids)
            )

    def peers(self, addresses: Mapping[PublicKey, Address], known: Peers) -> tuple[PeerStatus, ...]:
        """Return every peer that the directory names or that was in contact, ordered by public key."""
        found = []
        for peer in sorted({*self._listed, *self._contacts}):
            contact = self._contacts.get(peer) or _Contact()
            address = addresses.get(peer)
            found.append(
                PeerStatus(
                    public_key=peer,
                    endpoint="" if address is None else address.endpoint,
                    live=None if contact.live is None else contact.live and known.is_live(peer),
                    heard_at=contact.heard_at,
                    received_bytes=contact.received_bytes,
                    sent_bytes=contact.sent_bytes,
                )
            )
        return tuple(found)

    def _contact(self, peer: PublicKey) -> _Contact:
        return self._contacts.setdefault(peer, _Contact())

    @staticmethod
    def _refuse(counts: dict[str, int], reason: str, count: int, peer: PublicKey) -> None:
        before = counts.get(reason, 0)
        counts[reason] = before + count
        if before.bit_length() != counts[reason].bit_length():  # a flood must not fill the disk
            _LOG.warning("refused from %s: %s (%d times so far)", node_id(peer).hex(), reason, counts[reason])


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The parts of a node's connection to a network that its status tells of."""

    network: Reach
    carrier: Carrier | None
    directory: Directory | None
    addresses: Mapping[PublicKey, Address]
    peers: Peers


def read_status(
    watch: Watch, *, public_key: PublicKey, template: Template, unsettled: int, connected: Connected | None
) -> NodeStatus:
    """Return the status of a node from its parts; without a network its network, carrier and endpoint are empty."""
    carrier = None if connected is None else connected.carrier
    directory = None if connected is None else connected.directory
    refused = {
        "carrier": {} if carrier is None else dict(carrier.counts.refused),
        "directory": {**getattr(directory, "refused", {}), **watch.refused_directory, **watch.failed_directory},
        "frame": dict(watch.refused_frames),
        "packet": dict(watch.refused_packets),
    }
    return NodeStatus(
        node_id=node_id(public_key),
        public_key=public_key,
        template_id=template.template_id,
        template_name=template.name,
        network_id="" if connected is None else connected.network.network_id,
        carrier="" if connected is None else connected.network.carrier_name,
        endpoint="" if carrier is None else carrier.address.endpoint,
        directory="" if connected is None else getattr(connected.network, "directory_name", ""),
        directory_endpoint=getattr(directory, "endpoint", ""),
        directory_restarts=getattr(directory, "restarts", 0),
        store=watch.store.stats(),
        peers=() if connected is None else watch.peers(connected.addresses, connected.peers),
        received_bytes=watch.received_bytes,
        sent_bytes=watch.sent_bytes,
        received_packets=watch.received_packets,
        emitted_packets=watch.emitted_packets,
        acknowledged_packets=watch.acknowledged_packets,
        unsettled_emissions=unsettled,
        refused=refused,
    )
