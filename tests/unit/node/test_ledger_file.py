"""The ledger on disk: after a crash at any step, what was paid for goes out and what was not is gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fingerpost.errors import PrivacyError
from fingerpost.node.home import Home
from fingerpost.node.ledger_file import look_at_ledger, open_ledger
from fingerpost.packet import PACKET_DTYPE, packet_ids
from fingerpost.system import SystemEntropy

SUBJECTS = np.arange(32, dtype=np.uint8).reshape(2, 16)
ENTROPY = SystemEntropy()


def pay(file, made) -> None:
    file.spend(
        made, SUBJECTS, day=20_000, template_id=bytes(16), profile="dp-aggregate", cost_milli=1_000, cap_milli=4_000
    )


def made_packets():
    return np.zeros(1, PACKET_DTYPE)


def test_a_crash_after_paying_leaves_the_release_to_be_published(tmp_path: Path) -> None:
    home = Home(tmp_path)
    made = made_packets()
    with open_ledger(home, entropy=ENTROPY) as file:
        pay(file, made)
    with open_ledger(home, entropy=ENTROPY) as file:
        (found,) = file.unpublished()
        assert packet_ids(found).tobytes() == packet_ids(made).tobytes()
        file.published()
    with open_ledger(home, entropy=ENTROPY) as file:
        assert file.unpublished() == []
        assert len(file.ledger.entries) == 1


def test_a_crash_before_paying_leaves_nothing_of_the_release(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_ledger(home, entropy=ENTROPY) as file:
        pay(file, made_packets())
    home.ledger_file.write_bytes(home.ledger_file.read_bytes()[:-7])  # the entry was torn: it never reached the disk
    with open_ledger(home, entropy=ENTROPY) as file:
        assert file.ledger.entries == []
        assert file.unpublished() == []
        assert list(home.releases.iterdir()) == []
        pay(file, made_packets())
    found = look_at_ledger(home)
    assert found is not None
    assert len(found.entries) == 1


def test_only_one_process_at_a_time_has_the_ledger(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_ledger(home, entropy=ENTROPY), pytest.raises(PrivacyError) as raised, open_ledger(home, entropy=ENTROPY):
        pass
    assert raised.value.code == "ledger-busy"


def test_an_emptied_ledger_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_ledger(home, entropy=ENTROPY) as file:
        pay(file, made_packets())
    home.ledger_file.write_bytes(b"")
    with pytest.raises(PrivacyError) as raised, open_ledger(home, entropy=ENTROPY):
        pass
    assert raised.value.code == "ledger-damaged"
