"""Subjects are known by a salted hash, and their contributions are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fingerpost.errors import KeyFileError, RecordError, StoreError
from fingerpost.node.home import Home
from fingerpost.node.salt import open_salt
from fingerpost.node.subjects import SubjectIndex
from fingerpost.packet import Kind, Profile
from fingerpost.privacy.subjects import (
    Contribution,
    read_contributions,
    subject_key,
    subject_keys,
    write_contributions,
)
from fingerpost.store._lmdb import LmdbStore
from fingerpost.system import SystemEntropy

SALT, OTHER_SALT = bytes(range(32)), bytes(range(1, 33))
TEMPLATE = bytes(16)


def contribution(number: int, *, epoch: int = 20_000, kind: Kind = Kind.OBSERVATION) -> Contribution:
    return Contribution(
        packet_id=bytes([number]) * 32,
        template_id=TEMPLATE,
        epoch=epoch,
        ttl_days=30,
        profile=Profile.CONSORTIUM,
        kind=kind,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    opened = LmdbStore(tmp_path / "store")
    yield opened
    opened.close()


def test_one_person_has_one_key_however_the_number_was_written() -> None:
    keys = subject_keys(SALT, [12, 12.0, " 12 ", "12"])
    assert len(np.unique(keys, axis=0)) == 1
    assert keys.shape == (4, 16)


def test_composed_and_decomposed_letters_name_the_same_person() -> None:
    assert subject_key(SALT, "Müller") == subject_key(SALT, "Mu\u0308ller")


def test_two_nodes_cannot_tell_that_they_know_the_same_person() -> None:
    assert subject_key(SALT, "12") != subject_key(OTHER_SALT, "12")


def test_a_row_about_nobody_is_refused_and_named() -> None:
    with pytest.raises(RecordError) as caught:
        subject_keys(SALT, ["a", None])
    assert (caught.value.code, caught.value.row) == ("subject-missing", 2)


def test_contributions_are_read_back_as_they_were_written() -> None:
    every = (contribution(1), contribution(2, kind=Kind.COUNTS))
    assert read_contributions(write_contributions(reversed(every))) == every
    with pytest.raises(StoreError, match="damaged"):
        read_contributions(b"\0" * 59)


def test_what_was_noted_is_there_after_reopening(tmp_path: Path) -> None:
    first = LmdbStore(tmp_path / "store")
    keys = subject_keys(SALT, ["a", "b", "a"])
    SubjectIndex(first, salt=SALT).note(keys, [contribution(1), contribution(1), contribution(2, epoch=20_001)])
    first.close()
    again = LmdbStore(tmp_path / "store")
    index = SubjectIndex(again, salt=SALT)
    assert [each.packet_id[0] for each in index.contributions(subject_key(SALT, "a"))] == [1, 2]
    assert index.epochs(keys[:2], template_id=TEMPLATE) == [frozenset({20_000, 20_001}), frozenset({20_000})]
    assert sorted(index.subjects()) == sorted({row.tobytes() for row in keys})
    again.close()


def test_a_home_that_lost_its_salt_does_not_treat_everybody_as_new(store: LmdbStore) -> None:
    SubjectIndex(store, salt=SALT)
    with pytest.raises(KeyFileError) as caught:
        SubjectIndex(store, salt=OTHER_SALT)
    assert caught.value.code == "subject-salt-changed"


def test_contributions_go_with_their_packets(store: LmdbStore) -> None:
    index = SubjectIndex(store, salt=SALT)
    keys = subject_keys(SALT, ["a", "b"])
    index.note(keys, [contribution(1), contribution(2, epoch=20_010)])
    assert index.prune(day=20_030) == 1
    assert list(index.subjects()) == [keys[1].tobytes()]
    index.remove(keys[1].tobytes(), [contribution(2, epoch=20_010)])
    assert list(index.subjects()) == []


def test_the_salt_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    salt = open_salt(home, entropy=SystemEntropy())
    assert open_salt(home, entropy=SystemEntropy()) == salt
    assert home.salt_file.stat().st_mode & 0o777 == 0o600
    home.salt_file.chmod(0o644)
    with pytest.raises(KeyFileError) as caught:
        open_salt(home, entropy=SystemEntropy())
    assert caught.value.code == "key-permissions"


def test_a_damaged_salt_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    open_salt(home, entropy=SystemEntropy())
    home.salt_file.write_text("12\n")
    with pytest.raises(KeyFileError) as caught:
        open_salt(home, entropy=SystemEntropy())
    assert caught.value.code == "key-malformed"
