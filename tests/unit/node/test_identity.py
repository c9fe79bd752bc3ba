"""Identities on disk: made once, never overwritten, replaced and revoked with signed records."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.errors import FingerpostError, KeyFileError, SignatureError
from fingerpost.node import identity as module
from fingerpost.node.home import Home
from fingerpost.node.identity import (
    RevocationReason,
    create_identity,
    identity_records,
    load_identity,
    read_key_file,
    revoke_identity,
    rotate_identity,
    verify_revocation,
    verify_succession,
)
from fingerpost.node.succession import sign_revocation, sign_succession

if TYPE_CHECKING:
    from pathlib import Path

DAY = 20_000
SUCCESSION = sign_succession(b"\1" * 32, b"\2" * 32, day=DAY).encoded
REVOCATION = sign_revocation(b"\1" * 32, day=DAY, reason=RevocationReason.COMPROMISED).encoded


class CountingEntropy:
    """Gives 32 times the same byte, another one each time."""

    def __init__(self, first: int = 1) -> None:
        self.next = first

    def read(self, size: int) -> bytes:
        self.next += 1
        return bytes([self.next]) * size


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def code_of(error: pytest.ExceptionInfo[FingerpostError]) -> str:
    assert error.value.hint
    return error.value.code


def test_a_new_identity_can_be_loaded_again(place: Home) -> None:
    made = create_identity(place, entropy=CountingEntropy(), day=DAY)
    assert load_identity(place) == made
    assert made.created_day == DAY


def test_a_key_file_and_its_directory_are_for_their_owner_alone(place: Home) -> None:
    before = os.umask(0)
    try:
        create_identity(place, entropy=CountingEntropy(), day=DAY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.keys.stat().st_mode) == 0o700


def test_an_existing_key_is_never_overwritten(place: Home) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    before = place.key_file.read_bytes()
    with pytest.raises(KeyFileError) as error:
        create_identity(place, entropy=CountingEntropy(50), day=DAY)
    assert code_of(error) == "key-exists"
    assert place.key_file.read_bytes() == before
    assert [path.name for path in place.keys.iterdir()] == ["node.key"], "no draft is left behind"


def test_a_dangling_link_in_place_of_the_key_is_not_followed(place: Home, tmp_path: Path) -> None:
    place.keys.mkdir(parents=True)
    place.key_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError) as error:
        create_identity(place, entropy=CountingEntropy(), day=DAY)
    assert code_of(error) == "key-exists"
    assert not (tmp_path / "elsewhere").exists()


def test_the_seed_never_appears_in_a_repr(place: Home) -> None:
    made = create_identity(place, entropy=CountingEntropy(), day=DAY)
    assert made.seed.hex() not in repr(made)
    assert str(made.seed) not in repr(made)


def test_no_identity_says_how_to_make_one(place: Home) -> None:
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-missing"
    assert "fingerpost keys new" in error.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o610])
def test_a_key_that_others_can_reach_is_refused(place: Home, mode: int) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    place.key_file.chmod(mode)
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-permissions"
    assert "chmod 600" in error.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"format = 1", b"format = 2"),
        (b"format = 1\n", b""),
        (b"format", b"fromat"),
        (b'secret = "', b'secret = "0'),
        (b'secret = "02', b'secret = "03'),
        (b'secret = "02', b'secret = "zz'),
        (b'public = "', b'public = "00'),
        (b"created = ", b'created = "x" #'),
        (b"created = ", b"# "),
        (b'"\n', b"\n"),
        (b"# An", b"\xff"),
        (b"# An", b"extra = 1\n# An"),
    ],
)
def test_a_damaged_key_file_is_refused_without_showing_the_secret(place: Home, old: bytes, new: bytes) -> None:
    made = create_identity(place, entropy=CountingEntropy(), day=DAY)
    text = place.key_file.read_bytes()
    assert old in text
    place.key_file.write_bytes(text.replace(old, new, 1))
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-malformed"
    assert made.seed.hex() not in str(error.value)


def test_every_prefix_of_a_key_file_is_refused(place: Home) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    text = place.key_file.read_bytes()
    for length in range(len(text) - 1):  # Without its last newline it still says everything.
        place.key_file.write_bytes(text[:length])
        with pytest.raises(KeyFileError):
            load_identity(place)


def test_a_key_file_that_never_ends_is_not_read_to_the_end(place: Home) -> None:
    place.keys.mkdir(parents=True)
    with place.key_file.open("wb") as file:
        file.truncate(10_000_000_000)
    place.key_file.chmod(0o600)
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-malformed"


def test_a_pipe_or_a_directory_in_place_of_the_key_is_refused_at_once(place: Home) -> None:
    place.keys.mkdir(parents=True)
    os.mkfifo(place.key_file, 0o600)
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-malformed"
    place.key_file.unlink()
    place.key_file.mkdir(0o700)
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) in {"key-malformed", "key-unreadable"}


def test_a_home_that_is_a_file_gives_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a directory")
    with pytest.raises(KeyFileError) as error:
        create_identity(Home(tmp_path / "home"), entropy=CountingEntropy(), day=DAY)
    assert code_of(error) == "key-unwritable"
    with pytest.raises(KeyFileError) as error:
        load_identity(Home(tmp_path / "home"))
    assert code_of(error) == "key-unreadable"


def test_rotation_gives_a_new_key_that_the_old_one_vouches_for(place: Home) -> None:
    old = create_identity(place, entropy=CountingEntropy(), day=DAY)
    rotation = rotate_identity(place, entropy=CountingEntropy(50), day=DAY + 1)
    assert load_identity(place) == rotation.identity != old
    succession = verify_succession(rotation.record_file.read_bytes())
    assert (succession.old_key, succession.new_key) == (old.public_key, rotation.identity.public_key)
    assert succession.day == DAY + 1
    assert read_key_file(place.keys / "retired" / f"{old.node_id.hex()}.key") == old


def test_records_are_listed_in_the_order_in_which_they_were_made(place: Home) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    made = [rotate_identity(place, entropy=CountingEntropy(10 * turn), day=DAY).succession for turn in range(1, 9)]
    revocation, _ = revoke_identity(place, day=DAY, reason=RevocationReason.RETIRED)
    assert identity_records(place) == [*made, revocation]


@pytest.mark.parametrize("step", range(4))
def test_a_rotation_cut_short_at_any_step_is_completed_by_the_next(
    place: Home, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = create_identity(place, entropy=CountingEntropy(), day=DAY)
    with monkeypatch.context() as patch:
        crash_before(patch, step)
        with pytest.raises(CrashError):
            rotate_identity(place, entropy=CountingEntropy(50), day=DAY + 1)
    assert load_identity(place) == old, "until the last step the old identity is in use"
    rotation = rotate_identity(place, entropy=CountingEntropy(90), day=DAY + 2)
    assert load_identity(place) == rotation.identity
    assert identity_records(place) == [rotation.succession], "one succession, not two"
    assert rotation.succession.new_key == rotation.identity.public_key
    assert not (place.keys / "next.key").exists()


def test_a_rotation_whose_new_key_is_lost_is_not_quietly_replaced(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    with monkeypatch.context() as patch:
        crash_before(patch, 3)
        with pytest.raises(CrashError):
            rotate_identity(place, entropy=CountingEntropy(50), day=DAY)
    (place.keys / "next.key").unlink()
    with pytest.raises(KeyFileError) as error:
        rotate_identity(place, entropy=CountingEntropy(90), day=DAY)
    assert code_of(error) == "key-succession-conflict"


def test_a_revoked_identity_cannot_be_used_and_makes_room_for_a_new_one(place: Home) -> None:
    old = create_identity(place, entropy=CountingEntropy(), day=DAY)
    revocation, record_file = revoke_identity(place, day=DAY + 1, reason=RevocationReason.COMPROMISED)
    assert verify_revocation(record_file.read_bytes()) == revocation
    assert (revocation.public_key, revocation.reason) == (old.public_key, RevocationReason.COMPROMISED)
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-revoked"
    new = create_identity(place, entropy=CountingEntropy(50), day=DAY + 2)
    assert load_identity(place) == new
    assert read_key_file(place.keys / "retired" / f"{old.node_id.hex()}.key") == old


def test_a_revocation_cut_short_still_counts(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_finish_revocation", fail)
        with pytest.raises(CrashError):
            revoke_identity(place, day=DAY, reason=RevocationReason.RETIRED)
    for use in (lambda: load_identity(place), lambda: rotate_identity(place, entropy=CountingEntropy(), day=DAY)):
        with pytest.raises(KeyFileError) as error:
            use()
        assert code_of(error) == "key-revoked"
    new = create_identity(place, entropy=CountingEntropy(9), day=DAY)
    assert load_identity(place) == new


def test_a_revoked_key_put_back_from_a_backup_is_refused(place: Home) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    backup = place.key_file.read_bytes()
    revoke_identity(place, day=DAY, reason=RevocationReason.COMPROMISED)
    place.key_file.write_bytes(backup)
    place.key_file.chmod(0o600)
    with pytest.raises(KeyFileError) as error:
        load_identity(place)
    assert code_of(error) == "key-revoked"


@pytest.mark.parametrize("record", [SUCCESSION, REVOCATION], ids=["succession", "revocation"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_record_survives_a_changed_bit_a_lost_end_or_an_addition(record: bytes, data: st.DataObject) -> None:
    verify = verify_succession if record == SUCCESSION else verify_revocation
    damage = data.draw(st.sampled_from(["flip", "cut", "add"]))
    if damage == "flip":
        bit = data.draw(st.integers(0, 8 * len(record) - 1))
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << (bit % 8)
    elif damage == "cut":
        changed = bytearray(record[: data.draw(st.integers(0, len(record) - 1))])
    else:
        changed = bytearray(record + data.draw(st.binary(min_size=1, max_size=8)))
    with pytest.raises((KeyFileError, SignatureError)):
        verify(bytes(changed))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_a_record(noise: bytes) -> None:
    for verify in (verify_succession, verify_revocation):
        with pytest.raises((KeyFileError, SignatureError)):
            verify(noise)


def test_a_succession_needs_both_signatures() -> None:
    for start in (90, 154):
        forged = bytearray(SUCCESSION)
        forged[start : start + 64] = bytes(64)
        with pytest.raises(SignatureError) as error:
            verify_succession(bytes(forged))
        assert code_of(error) == "record-signature"


def test_a_key_cannot_succeed_itself() -> None:
    with pytest.raises(KeyFileError) as error:
        sign_succession(b"\1" * 32, b"\1" * 32, day=DAY)
    assert code_of(error) == "record-malformed"


def test_a_damaged_record_in_the_home_is_named(place: Home) -> None:
    create_identity(place, entropy=CountingEntropy(), day=DAY)
    rotation = rotate_identity(place, entropy=CountingEntropy(50), day=DAY)
    rotation.record_file.write_bytes(rotation.record_file.read_bytes()[:-1] + b"\0")
    with pytest.raises(SignatureError) as error:
        identity_records(place)
    assert str(rotation.record_file) in str(error.value)


class CrashError(Exception):
    """The process died here."""


def fail(*_arguments: object, **_options: object) -> None:
    raise CrashError


def crash_before(patch: pytest.MonkeyPatch, step: int) -> None:
    """Make a rotation die before its step: 0 the new key, 1 the record, 2 the retired key, 3 the switch."""
    if step == 3:
        patch.setattr(module, "_move", fail)
        return
    write, done = module.write_private, 0

    def write_or_die(*arguments: object, **options: object) -> None:
        nonlocal done
        if done == step:
            raise CrashError
        done += 1
        write(*arguments, **options)  # type: ignore[arg-type]

    patch.setattr(module, "write_private", write_or_die)
