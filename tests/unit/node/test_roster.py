"""Who takes part: members, the keys that follow theirs, and the keys that were revoked."""

from __future__ import annotations

import hashlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import FingerpostError, KeyFileError, SignatureError, UsageError
from fingerpost.ids import PublicKey
from fingerpost.node.network import Network
from fingerpost.node.roster import COMPROMISED, MEMBER, STRANGER, Roster, Standing
from fingerpost.node.succession import RevocationReason, sign_revocation, sign_succession
from fingerpost.packet import Signer

DAY = 20_000


def seed(name: str) -> bytes:
    return hashlib.blake2s(name.encode()).digest()


def key(name: str) -> PublicKey:
    return PublicKey(Signer(seed(name)).public_key)


def succession(old: str, new: str, *, day: int = DAY) -> bytes:
    return sign_succession(seed(old), seed(new), day=day).encoded


def revocation(name: str, *, day: int = DAY, reason: RevocationReason = RevocationReason.RETIRED) -> bytes:
    return sign_revocation(seed(name), day=day, reason=reason).encoded


def test_members_take_part_and_nobody_else() -> None:
    roster = Roster(members={key("a")})
    assert (roster.standing(key("a")), roster.standing(key("b"))) == (MEMBER, STRANGER)
    assert [roster.admits(key(name), day=DAY) for name in "ab"] == [True, False]
    assert roster.keys == {key("a")}


def test_an_empty_roster_refuses_everybody_and_none_admits_everybody() -> None:
    assert not Roster(members=()).admits(key("a"), day=DAY)
    assert Roster(members=None).admits(key("a"), day=DAY)
    assert Roster(members=None).keys == frozenset()


def test_members_may_come_and_go_while_a_network_runs() -> None:
    members: set[bytes] = set()
    roster = Roster(members=members)
    for name in "ab":
        members.add(key(name))
        assert roster.admits(key(name), day=DAY)
    members.remove(key("a"))
    assert not roster.admits(key("a"), day=DAY)


def test_a_key_that_follows_a_members_takes_part_from_that_day_in_its_organisation() -> None:
    roster = Roster(members={key("a")}, organisations={key("a"): "St. Mary"}, records=[succession("a", "b")])
    assert roster.standing(key("b")) == Standing(first_day=DAY)
    assert roster.standing(key("a")) == Standing(last_day=DAY)
    assert [roster.admits(key("b"), day=day) for day in (DAY - 1, DAY, DAY + 1)] == [False, True, True]
    assert [roster.admits(key("a"), day=day) for day in (DAY - 1, DAY, DAY + 1)] == [True, True, False]
    assert roster.organisation(key("a")) == roster.organisation(key("b")) == "St. Mary"
    assert roster.keys == {key("a"), key("b")}, "the old one is looked for too: it is a peer until its day"


@given(st.permutations([succession("a", "b"), succession("b", "c", day=DAY + 9), succession("x", "y")]))
def test_the_order_of_records_does_not_matter_and_a_line_may_have_any_length(records: list[bytes]) -> None:
    roster = Roster(members={key("a")}, organisations={key("a"): "St. Mary"}, records=records)
    assert roster.standing(key("b")) == Standing(first_day=DAY, last_day=DAY + 9)
    assert roster.standing(key("c")) == Standing(first_day=DAY + 9)
    assert roster.organisation(key("c")) == "St. Mary"
    assert roster.standing(key("y")) == STRANGER, "whom a stranger names is a stranger"


def test_nothing_of_a_compromised_key_counts_nor_whom_it_named() -> None:
    records = [succession("a", "b"), revocation("a", day=DAY + 5, reason=RevocationReason.COMPROMISED)]
    roster = Roster(members={key("a")}, records=records)
    assert roster.standing(key("a")) == COMPROMISED
    assert not roster.admits(key("a"), day=DAY - 100)
    assert roster.standing(key("b")) == STRANGER
    assert roster.keys == frozenset()
    assert Roster(members={key("a"), key("b")}, records=records).standing(key("b")) == MEMBER


def test_a_key_of_an_open_network_can_be_revoked() -> None:
    roster = Roster(members=None, records=[revocation("a", reason=RevocationReason.COMPROMISED)])
    assert roster.standing(key("a")) == COMPROMISED
    assert roster.standing(key("b")) == MEMBER


@pytest.mark.parametrize("reason", [RevocationReason.RETIRED, RevocationReason.UNSPECIFIED])
def test_what_a_retired_key_signed_up_to_its_day_stands_but_it_is_no_peer(reason: RevocationReason) -> None:
    roster = Roster(members={key("a")}, records=[revocation("a", reason=reason)])
    assert roster.standing(key("a")) == Standing(last_day=DAY, revoked=True)
    assert not any(roster.admits(key("a"), day=day) for day in (DAY - 1, DAY, DAY + 1))


@given(st.permutations([(DAY, RevocationReason.RETIRED), (DAY - 9, RevocationReason.UNSPECIFIED)]))
def test_of_several_revocations_the_strictest_counts(said: list[tuple[int, RevocationReason]]) -> None:
    records = [revocation("a", day=day, reason=reason) for day, reason in said]
    assert Roster(members={key("a")}, records=records).standing(key("a")).last_day == DAY - 9
    records.append(revocation("a", day=DAY + 9, reason=RevocationReason.COMPROMISED))
    assert Roster(members={key("a")}, records=records).standing(key("a")) == COMPROMISED


CONTRADICTIONS = {
    "two-successors": ([succession("a", "b"), succession("a", "c")], "has two successors"),
    "two-predecessors": ([succession("a", "c"), succession("b", "c")], "follows two keys"),
    "ring": ([succession("a", "b"), succession("b", "a")], "follows itself"),
    "backwards": ([succession("a", "b"), succession("b", "c", day=DAY - 1)], "before it followed"),
    "after-revocation": ([succession("a", "b", day=DAY + 1), revocation("a")], "was revoked before it signed"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_records_that_contradict_each_other_are_refused_in_any_order(name: str) -> None:
    records, said = CONTRADICTIONS[name]
    for order in permutations(records):
        with pytest.raises(UsageError, match=said) as caught:
            Roster(members={key("a")}, records=order)
        assert caught.value.code == "records-contradict"
        assert caught.value.hint


def test_a_key_that_follows_into_another_organisation_is_refused() -> None:
    named: dict[bytes, str] = {key("a"): "St. Mary", key("b"): "St. John"}
    with pytest.raises(UsageError, match="another organisation"):
        Roster(members={key("a")}, organisations=named, records=[succession("a", "b")])


def test_a_record_that_says_the_same_twice_is_no_contradiction() -> None:
    records = [succession("a", "b"), succession("a", "b"), revocation("c"), revocation("c")]
    assert Roster(members={key("a")}, records=records).standing(key("b")).first_day == DAY


@pytest.mark.parametrize(
    ("record", "code", "kind"),
    [
        (b"", "record-malformed", KeyFileError),
        (b"no record at all", "record-malformed", KeyFileError),
        (succession("a", "b")[:-1], "record-malformed", KeyFileError),
        (succession("a", "b")[:-1] + b"\xff", "record-signature", SignatureError),
        (revocation("a")[:-1] + b"\xff", "record-signature", SignatureError),
    ],
)
def test_bytes_that_are_no_record_are_refused_by_their_place(
    record: bytes, code: str, kind: type[FingerpostError]
) -> None:
    with pytest.raises(kind, match=r"^record 2: ") as caught:
        Network(network_id="test", members=frozenset({key("a")}), records=(revocation("c"), record))
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize("member", [b"", b"short", bytes(33)])
def test_a_member_that_is_no_key_is_refused(member: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        Network(network_id="test", members=frozenset({member}))
    assert caught.value.code == "member-key"
