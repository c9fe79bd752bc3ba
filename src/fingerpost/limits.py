"""Every bound of the protocol in one place, with the relations between them.

The sizes of the parts of a packet are in ``fingerpost.packet``; here are the numbers that several floors share.
"""

from __future__ import annotations

PACKET_SIZE_BYTES = 512
FRAME_SIZE_BYTES_MAX = 1_048_576  # NATS refuses more by default; ZeroMQ gains nothing beyond.
FRAME_ENVELOPE_BYTES_MAX = 8_192
FRAME_PACKETS_MAX = (FRAME_SIZE_BYTES_MAX - FRAME_ENVELOPE_BYTES_MAX) // PACKET_SIZE_BYTES

FRAME_IDS_MAX = (FRAME_SIZE_BYTES_MAX - FRAME_ENVELOPE_BYTES_MAX) // 32  # packet ids in one frame
CELLS_ASKED_MAX = 4_096  # in one question; 16-byte digests of as many fit a frame

REPLICAS = 3  # holders of a group
ACKNOWLEDGEMENTS = 2  # holders other than the emitter that have a packet before it counts as acknowledged

NETWORK_ID_LENGTH_MAX = 64
REGION_DEPTH_MAX = 20
RECORDS_READ_MAX = 512  # of one region, whoever wrote them
REGION_RECORDS_SPLIT = 200  # members that stand in one region before they divide
REGION_LOOKUPS_MAX = 64  # in one search for holders
RECORD_SIZE_BYTES_MAX = 600  # what OpenDHT carries in one datagram
RECORD_LIFETIME_SECONDS_DEFAULT = 300
RECORD_LIFETIME_SECONDS_MAX = 3_600
ANNOUNCE_SECONDS = 60  # between two announcements of one record
CLOCK_SKEW_SECONDS_MAX = 600
DIRECTORY_SECONDS_MAX = 10.0

BAD_SIGNATURES_MAX = 512  # that one peer may hand over at once, before its packets are no longer checked
BAD_SIGNATURES_PER_SECOND = 8.0  # that it may hand over in the long run: about a thousandth of one core
BUDGETS_KEPT_MAX = 4_096  # peers whose bad signatures are counted

OPEN_QUOTA_PACKETS_DEFAULT = 10_000  # of one emitter that nobody named
OPEN_QUARANTINE_DAYS_DEFAULT = 1
EMITTERS_REMEMBERED_MAX = 100_000  # that nobody named; packets of others are refused

BATCH_DEPTH_MAX = 8
BATCH_PACKETS_MAX = 1 << BATCH_DEPTH_MAX

FINGERPRINT_BITS_MAX = 1_024
FINGERPRINT_BITS_STEP = 64
FINGERPRINT_BITS_DEFAULT = 256
CELL_BITS_MAX = 32
CODEBOOK_BITS_MAX = 12  # 4,096 prototypes of 256 bits are a quarter of the largest template
GROUP_BITS_SERVED_MAX = 12  # 4,096 groups: a node works out the holders of each whenever one comes or goes
PROBES_DEFAULT = 16  # cells that a question looks into

COUNTS_ITEMS_MAX = 57  # levels in one counts packet: 4 bytes each, behind a payload header of ten
COUNTS_KNOTS = 9  # values at which a number is counted
COUNTS_CELL_BITS_MAX = 10  # 1,024 cells; beyond, noise drowns whatever one node counts
COUNTS_ENTRIES_MAX = 1 << 18  # of one release
DP_RELEASE_EPSILON = 1  # of dp-aggregate: one record in one epoch
DP_LIFETIME_EPSILON = 4  # of one subject of one node, over all epochs and templates

LOCAL_RELEASE_EPSILON = 2  # of local-dp: one report of one subject
LOCAL_LIFETIME_EPSILON = 8  # of one subject of one node, over all epochs and templates
REPORT_ENTRIES_MAX = 1_840  # bits that a packet has room for, one for each cell, action and level

GROUP_SUBJECTS_MIN = 10  # of k-anonymous: records in one summary, each of another subject
GROUP_CELL_MIN = 5  # records that share a level before a summary says so

CONDITIONS_MAX = 16
LEVELS_MAX = 4_096
ENCODED_WIDTH_MAX = 8_192

TEMPLATE_SIZE_BYTES_MAX = 1_048_576
NAME_LENGTH_MAX = 64
TABLE_LINE_BYTES_MAX = 16_777_216
TABLE_COLUMNS_MAX = 4_096

EPOCH_DAY_MAX = 65_535
TTL_DAYS_MAX = 3_650
CLOCK_SKEW_DAYS_MAX = 1
STORE_QUOTA_PACKETS_DEFAULT = 1_000_000  # of one emitter
STORE_BLOCK_PACKETS_MAX = 256  # a whole batch, 128 KiB: one write that keeps pages full, one read that stays in cache
STORE_SIZE_BYTES_DEFAULT = 1 << 40  # where a store stops growing; address space only, until it is written
WITHDRAWAL_DAYS = TTL_DAYS_MAX + CLOCK_SKEW_DAYS_MAX  # what a withdrawal must outlive: all that it could name
ERASURE_DAYS_MAX = 7  # from the day a packet is withdrawn or expires until its bytes are gone from the file
RECORD_TABLE_LENGTH_MAX = 64
RECORD_KEY_SIZE_BYTES_MAX = 256
RECORD_VALUE_SIZE_BYTES_MAX = 16_777_216

if not 2 * ANNOUNCE_SECONDS < RECORD_LIFETIME_SECONDS_DEFAULT <= RECORD_LIFETIME_SECONDS_MAX:
    raise AssertionError("a record is renewed at least twice before it expires")
if not 2 * ACKNOWLEDGEMENTS > REPLICAS > ACKNOWLEDGEMENTS:
    raise AssertionError("any two acknowledging quorums share a holder, and one holder may be slow")
if 2 * REGION_RECORDS_SPLIT > RECORDS_READ_MAX:
    raise AssertionError("a region that is due to divide is still read whole")
if FRAME_PACKETS_MAX != 2_032:
    raise AssertionError("a frame holds 2,032 packets and its envelope")
if BATCH_PACKETS_MAX > FRAME_PACKETS_MAX:
    raise AssertionError("a whole batch must fit into one frame")
if BAD_SIGNATURES_MAX < BATCH_PACKETS_MAX:
    raise AssertionError("one damaged batch mutes nobody")
if STORE_BLOCK_PACKETS_MAX < BATCH_PACKETS_MAX:
    raise AssertionError("a whole batch must fit into one block")
if RECORD_TABLE_LENGTH_MAX + 1 + RECORD_KEY_SIZE_BYTES_MAX > 511:
    raise AssertionError("LMDB refuses longer keys")
if RECORD_VALUE_SIZE_BYTES_MAX < TEMPLATE_SIZE_BYTES_MAX:
    raise AssertionError("a record holds any template")
if FINGERPRINT_BITS_MAX % FINGERPRINT_BITS_STEP or FINGERPRINT_BITS_DEFAULT % FINGERPRINT_BITS_STEP:
    raise AssertionError("fingerprints are whole 64-bit words")
