"""A consortium's keys on disk and on their way to members."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import FingerpostError, KeyFileError, SignatureError, UsageError
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.node.consortium import (
    Consortium,
    RingFile,
    create_consortium,
    join_consortium,
    load_consortium,
    offer_keys,
    public_key_of,
    read_offer,
    require_keeper,
    save_consortium,
)
from fingerpost.node.home import Home
from fingerpost.node.identity import Identity
from fingerpost.privacy.seal import GRACE_DAYS, KeyRing
from fingerpost.system import SystemEntropy

DAY, TTL_DAYS = 20_000, 30
TEMPLATE = TemplateId(bytes(range(16)))
KEEPER, MEMBER, STRANGER = (Identity(seed=bytes([n]) * 32, created_day=DAY) for n in (1, 2, 3))


def key_of(identity: Identity) -> PublicKey:
    return PublicKey(identity.public_key)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "keeper")


def created(home: Home) -> Consortium:
    made = create_consortium(
        home, KEEPER, template_id=TEMPLATE, ttl_days=TTL_DAYS, entropy=SystemEntropy(), day=DAY
    ).with_members([key_of(MEMBER)])
    save_consortium(home, made)
    return made


def in_memory(secret: bytes = bytes(32)) -> Consortium:
    ring = KeyRing(template_id=TEMPLATE, keys=(), ttl_days=TTL_DAYS).next(secret, day=DAY)
    return Consortium(ring=ring, keeper=key_of(KEEPER), members=(key_of(KEEPER), key_of(MEMBER)))


def code_of(caught: pytest.ExceptionInfo[FingerpostError]) -> str:
    return caught.value.code


def test_a_member_gets_exactly_the_keys_that_the_keeper_has(home: Home, tmp_path: Path) -> None:
    made = created(home)
    theirs = Home(tmp_path / "member")
    offered = read_offer(offer_keys(made, KEEPER, members=[key_of(MEMBER)]), MEMBER)
    join_consortium(theirs, offered, trusted=key_of(KEEPER), day=DAY)
    assert load_consortium(theirs, TEMPLATE, day=DAY) == load_consortium(home, TEMPLATE, day=DAY) == made
    assert theirs.ring_file(TEMPLATE).stat().st_mode & 0o777 == 0o600


def test_the_file_says_nothing_to_others(home: Home) -> None:
    made = created(home)
    data = offer_keys(made, KEEPER, members=[key_of(MEMBER)])
    with pytest.raises(KeyFileError) as caught:
        read_offer(data, STRANGER)
    assert code_of(caught) == "consortium-not-for-us"
    secret = made.ring.keys[0].secret
    assert secret not in data
    assert secret.hex().encode() not in data


def test_what_is_wrapped_for_one_member_does_not_open_for_another_who_claims_it() -> None:
    data = offer_keys(in_memory(), KEEPER, members=[key_of(MEMBER)])
    swapped = data.replace(MEMBER.public_key.hex().encode(), STRANGER.public_key.hex().encode())
    with pytest.raises(SignatureError):
        read_offer(swapped, STRANGER)


@given(data=st.data())
def test_a_file_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    offer = offer_keys(in_memory(), KEEPER, members=[key_of(MEMBER)])
    bit = data.draw(st.integers(0, 8 * len(offer) - 1))
    changed = bytearray(offer)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FingerpostError):
        read_offer(bytes(changed), MEMBER)


def test_the_first_keys_need_somebody_who_vouches_for_the_keeper(tmp_path: Path) -> None:
    theirs = Home(tmp_path / "member")
    with pytest.raises(UsageError) as caught:
        join_consortium(theirs, in_memory(), trusted=None, day=DAY)
    assert code_of(caught) == "consortium-keeper-unknown"
    with pytest.raises(UsageError):
        join_consortium(theirs, in_memory(), trusted=key_of(STRANGER), day=DAY)
    assert load_consortium(theirs, TEMPLATE, day=DAY) is None


def test_later_keys_come_from_the_same_keeper_only(tmp_path: Path) -> None:
    theirs, first = Home(tmp_path / "member"), in_memory()
    join_consortium(theirs, first, trusted=key_of(KEEPER), day=DAY)
    second = first.rotated(bytes([5]) * 32, day=DAY + 1)
    assert [key.number for key in join_consortium(theirs, second, trusted=None, day=DAY + 1).ring.keys] == [1, 2]
    usurped = Consortium(ring=second.ring, keeper=key_of(STRANGER), members=second.members)
    with pytest.raises(UsageError):
        join_consortium(theirs, usurped, trusted=None, day=DAY + 1)


def test_an_older_file_does_not_bring_an_old_key_back_into_use(tmp_path: Path) -> None:
    theirs, first = Home(tmp_path / "member"), in_memory()
    join_consortium(theirs, first.rotated(bytes([5]) * 32, day=DAY), trusted=key_of(KEEPER), day=DAY)
    with pytest.raises(KeyFileError) as caught:
        join_consortium(theirs, first, trusted=None, day=DAY)
    assert code_of(caught) == "consortium-older"


def test_two_keepers_at_once_are_noticed(tmp_path: Path) -> None:
    theirs = Home(tmp_path / "member")
    join_consortium(theirs, in_memory(), trusted=key_of(KEEPER), day=DAY)
    with pytest.raises(KeyFileError) as caught:
        join_consortium(theirs, in_memory(bytes([8]) * 32), trusted=None, day=DAY)
    assert code_of(caught) == "consortium-conflict"


def test_who_is_removed_gets_no_new_key(home: Home) -> None:
    made = created(home)
    left = made.without_members([key_of(MEMBER)]).rotated(bytes([5]) * 32, day=DAY)
    assert left.members == (key_of(KEEPER),)
    with pytest.raises(KeyFileError):
        read_offer(offer_keys(left, KEEPER, members=left.members), MEMBER)
    for wrong in (key_of(STRANGER), key_of(KEEPER)):
        with pytest.raises(UsageError) as caught:
            made.without_members([wrong])
        assert code_of(caught) == "consortium-members"


def test_only_the_keeper_gives_out_keys() -> None:
    require_keeper(in_memory(), KEEPER)
    with pytest.raises(UsageError) as caught:
        require_keeper(in_memory(), MEMBER)
    assert code_of(caught) == "consortium-keeper"


def test_a_dead_key_is_erased_from_the_disk(home: Home) -> None:
    made = created(home)
    save_consortium(home, made.rotated(bytes([5]) * 32, day=DAY + 1))
    path = home.ring_file(TEMPLATE)
    secret = made.ring.keys[0].secret.hex().encode()
    old = path.open("rb")  # the file that is replaced, whatever its name by then
    assert secret in path.read_bytes()
    dead = DAY + 1 + GRACE_DAYS + TTL_DAYS + 1
    loaded = load_consortium(home, TEMPLATE, day=dead)
    assert loaded is not None
    assert [key.number for key in loaded.ring.keys] == [2]
    assert secret not in path.read_bytes()
    assert not old.read().strip(b"\0")
    old.close()


def test_a_consortium_is_made_once(home: Home) -> None:
    created(home)
    with pytest.raises(KeyFileError) as caught:
        created(home)
    assert code_of(caught) == "consortium-exists"


@pytest.mark.parametrize("text", [b"", b"fingerpost consortium 1\n{}", b"fingerpost consortium 1\nnonsense"])
def test_a_damaged_ring_is_refused(home: Home, text: bytes) -> None:
    created(home)
    path = home.ring_file(TEMPLATE)
    path.write_bytes(text)
    with pytest.raises(KeyFileError) as caught:
        load_consortium(home, TEMPLATE, day=DAY)
    assert code_of(caught) == "consortium-malformed"


def test_a_ring_that_others_could_read_is_refused(home: Home) -> None:
    created(home)
    home.ring_file(TEMPLATE).chmod(0o640)
    with pytest.raises(KeyFileError) as caught:
        load_consortium(home, TEMPLATE, day=DAY)
    assert code_of(caught) == "key-permissions"


def test_a_running_node_sees_new_keys_without_a_restart(home: Home) -> None:
    file = RingFile(home, TEMPLATE)
    assert file.ring(day=DAY) is None
    made = created(home)
    assert file.ring(day=DAY) == made.ring
    rotated = made.rotated(bytes([5]) * 32, day=DAY)
    save_consortium(home, rotated)
    assert file.ring(day=DAY) == rotated.ring


def test_a_public_key_that_nothing_can_be_encrypted_to_is_refused() -> None:
    assert public_key_of(MEMBER.public_key.hex()) == MEMBER.public_key
    for wrong in ("12", (b"\x02" + bytes(31)).hex()):
        with pytest.raises(UsageError):
            public_key_of(wrong)
