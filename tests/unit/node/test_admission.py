"""Every rule that a packet from elsewhere must pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.fingerprint import Fingerprinter
from fingerpost.node.admission import Refusal, judge, judge_emitters
from fingerpost.node.emission import build_packets, observation
from fingerpost.node.roster import COMPROMISED, MEMBER, STRANGER, Roster, Standing
from fingerpost.packet import BODY_DTYPE, RootCache, Signer, packet_ids, payloads, sign_bodies
from fingerpost.privacy.groups import Records, group_records, summary_bodies
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import Template, encode_record, parse_template
from fingerpost.testing.packet_samples import signed, signer, withdrawal

DAY = 20_000
TEMPLATE = """
format = 1
name = "sizes"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[conditions.region]
levels = ["north", "south"]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
kind = "prefix"
bits = 4
[retention]
ttl_days = 30
"""


class _Counter:
    """Entropy that a test can repeat."""

    def __init__(self) -> None:
        self.read_so_far = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes of 0, 1, 2, …"""
        start, self.read_so_far = self.read_so_far, self.read_so_far + size
        return bytes((start + offset) % 256 for offset in range(size))


SIGNER = Signer(bytes(range(32)))


def _template() -> Template:
    return parse_template(TEMPLATE)


def _packet(template: Template, *, signer: Signer = SIGNER, **changes: Any) -> Any:
    """Return one valid packet of the template, its body changed and then signed by its emitter."""
    one = observation(template, {"size": 7}, outcome="worked", conditions={"region": "north"})
    fingerprinter = Fingerprinter(template)
    packets, _ = build_packets(template, fingerprinter, one, signer=signer, day=DAY, entropy=_Counter())
    bodies = np.zeros(1, BODY_DTYPE)
    for name in BODY_DTYPE.names or ():
        bodies[name] = packets[name]
    content = payloads(bodies, template.observation_layout())
    for name, value in changes.items():
        (bodies if name in (BODY_DTYPE.names or ()) else content)[name] = value
    return sign_bodies(bodies, signer)


def _judge(packets: Any, template: Template, *, day: int = DAY) -> Refusal:
    served: dict[bytes, Template] = {template.template_id: template}
    return Refusal(int(judge(packets, packet_ids(packets), templates=served, day=day, roots=RootCache())[0]))


def test_a_packet_of_a_served_template_is_welcome() -> None:
    template = _template()
    assert _judge(_packet(template), template) is Refusal.WELCOME


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"template_id": 9}, Refusal.TEMPLATE),
        ({"epoch": DAY + 2}, Refusal.FUTURE),
        ({"epoch": DAY - 30}, Refusal.EXPIRED),
        ({"ttl_days": 31}, Refusal.LIFETIME),
        ({"cell": 1 << 20}, Refusal.CELL),
        ({"outcome": 3}, Refusal.CONTENT),
        ({"action": 1}, Refusal.CONTENT),
        ({"conditions": 3}, Refusal.CONTENT),
    ],
)
def test_a_packet_that_breaks_one_rule_is_refused_for_it(changes: dict[str, Any], reason: Refusal) -> None:
    template = _template()
    assert _judge(_packet(template, **changes), template) is reason


def test_a_packet_changed_after_signing_is_refused() -> None:
    template = _template()
    packets = _packet(template)
    packets["nonce"][0, 0] ^= 1
    assert _judge(packets, template) is Refusal.SIGNATURE


def test_bytes_that_are_no_packet_are_refused() -> None:
    template = _template()
    packets = _packet(template)
    packets["magic"] = 0
    assert _judge(packets, template) is Refusal.STRUCTURE


def test_a_packet_of_another_layout_is_refused() -> None:
    template = _template()
    other = parse_template(TEMPLATE.replace('[conditions.region]\nlevels = ["north", "south"]\n', ""))
    one = observation(other, {"size": 7}, outcome="worked")
    packets, _ = build_packets(other, Fingerprinter(other), one, signer=SIGNER, day=DAY, entropy=_Counter())
    bodies = np.zeros(1, BODY_DTYPE)
    for name in BODY_DTYPE.names or ():
        bodies[name] = packets[name]
    bodies["template_id"] = np.frombuffer(template.template_id, np.uint8)
    assert _judge(sign_bodies(bodies, SIGNER), template) is Refusal.LAYOUT


def test_every_refusal_has_a_stable_name() -> None:
    assert Refusal.FUTURE.code == "refused-future"


def test_packets_of_an_emitter_that_is_no_member_are_refused_whoever_passes_them_on() -> None:
    template = parse_template(TEMPLATE)
    stranger = Signer(bytes(reversed(range(32))))
    packets = np.concatenate([_packet(template), _packet(template, signer=stranger), _packet(template)])
    refusals = judge(
        packets,
        packet_ids(packets),
        templates={template.template_id: template},
        day=DAY,
        roots=RootCache(),
        standing=Roster(members={SIGNER.public_key}).standing,
    )
    assert refusals.tolist() == [Refusal.WELCOME, Refusal.EMITTER, Refusal.WELCOME]


def test_a_packet_in_the_name_of_a_stranger_is_refused_before_its_signature_is_checked() -> None:
    template = _template()
    packets = _packet(template)
    packets["signature"][0, 0] ^= 1
    served: dict[bytes, Template] = {template.template_id: template}
    for standing, reason in [(STRANGER, Refusal.EMITTER), (MEMBER, Refusal.SIGNATURE)]:
        known = {SIGNER.public_key: standing}
        refusals = judge(
            packets, packet_ids(packets), templates=served, day=DAY, roots=RootCache(), standing=known.__getitem__
        )
        assert refusals.tolist() == [reason]


@pytest.mark.parametrize(
    ("standing", "reasons"),
    [
        (Standing(), [Refusal.WELCOME] * 3),
        (Standing(first_day=DAY), [Refusal.EMITTER, Refusal.WELCOME, Refusal.WELCOME]),
        (Standing(last_day=DAY), [Refusal.WELCOME, Refusal.WELCOME, Refusal.EMITTER]),
        (Standing(last_day=DAY, revoked=True), [Refusal.WELCOME, Refusal.WELCOME, Refusal.REVOKED]),
        (COMPROMISED, [Refusal.REVOKED] * 3),
        (STRANGER, [Refusal.EMITTER] * 3),
    ],
)
def test_a_packet_counts_if_its_emitter_did_on_its_day(standing: Standing, reasons: list[Refusal]) -> None:
    template = _template()
    packets = np.concatenate([_packet(template, epoch=DAY + offset) for offset in (-1, 0, 1)])
    served: dict[bytes, Template] = {template.template_id: template}
    refusals = judge(
        packets, packet_ids(packets), templates=served, day=DAY, roots=RootCache(), standing=lambda emitter: standing
    )
    assert refusals.tolist() == reasons


def test_a_key_can_withdraw_its_packets_after_another_has_followed_it_unless_it_is_compromised() -> None:
    late = signed([withdrawal(signer(1), bytes(32), epoch=DAY + 9)], signer(1))
    reasons = {
        Standing(last_day=DAY): Refusal.WELCOME,
        Standing(last_day=DAY, revoked=True): Refusal.WELCOME,
        COMPROMISED: Refusal.REVOKED,
        STRANGER: Refusal.EMITTER,
    }
    for standing, reason in reasons.items():
        assert judge_emitters(late, standing={signer(1).public_key: standing}.__getitem__).tolist() == [reason]


GROUPS = TEMPLATE.replace('"non_personal"', '"personal"') + '[privacy]\nprofile = "k-anonymous"\n'


def _group_packet(template: Template, **changes: Any) -> Any:
    rows = Records(
        encoded=np.stack([encode_record(template, {"size": size}) for size in range(12)]),
        outcomes=np.array([1, 2] * 6, np.uint16),
        actions=np.zeros(12, np.uint16),
        conditions=np.ones((12, 1), np.uint16),
    )
    made = summary_bodies(
        template,
        Fingerprinter(template),
        rows,
        group_records(rows),
        emitter=SIGNER.public_key,
        day=DAY,
        entropy=_Counter(),
    )
    content = payloads(made.bodies, template.summary_layout())
    for name, value in changes.items():
        (made.bodies if name in (BODY_DTYPE.names or ()) else content)[name] = value
    return sign_bodies(made.bodies, SIGNER)


def test_under_k_anonymous_groups_are_welcome_and_single_records_are_not() -> None:
    template = parse_template(GROUPS)
    assert _judge(_group_packet(template), template) is Refusal.WELCOME
    alone = _packet(_template(), template_id=np.frombuffer(template.template_id, np.uint8))
    assert _judge(alone, template) is Refusal.PROFILE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"profile": 0}, Refusal.PROFILE),
        ({"outcome": [4, 8]}, Refusal.CONTENT),  # a small cell
        ({"outcome": [0, 9]}, Refusal.CONTENT),  # fewer than ten subjects
        ({"confidence": 254}, Refusal.CONTENT),
        ({"first_level": 1}, Refusal.CONTENT),
        ({"conditions": [3]}, Refusal.CONTENT),
        ({"cell": 77}, Refusal.CELL),
    ],
)
def test_under_k_anonymous_a_packet_that_tells_of_fewer_is_refused(changes: Any, reason: Refusal) -> None:
    template = parse_template(GROUPS)
    assert _judge(_group_packet(template, **changes), template) is reason


def test_under_k_anonymous_answers_come_from_groups_only_whoever_stored_what() -> None:
    template = parse_template(GROUPS)
    weaker = _group_packet(template, profile=0)
    both = np.concatenate([_group_packet(template), weaker])
    assert len(Evidence.from_packets(both, template)) == 1
