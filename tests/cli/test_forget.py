"""``fingerpost forget``, and the subjects that ``fingerpost emit`` notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.node.home import Home
from fingerpost.packet import Kind
from fingerpost.store._lmdb import LmdbStore

ASK = ("ask", "--set", "pressure=950", "--json")


@pytest.fixture
def told(fingerpost: Any, rain_template: Path, rain_rows: list[str], tmp_path: Path) -> Any:
    """Emit forty rows about thirteen persons; person 3 has rows 3, 16 and 29."""
    table = tmp_path / "rain.csv"
    rows = [f"{row},person-{number % 13}" for number, row in enumerate(rain_rows)]
    table.write_text("\n".join(["pressure,sky,took,rain,secret,person", *rows]) + "\n", encoding="utf-8")
    fingerpost("keys", "new")
    packets = tmp_path / "packets.bin"
    emitted = fingerpost(
        "emit", table, "--template", rain_template, "--subject-column", "person", "--output", packets, "--json"
    )
    assert emitted.status == 0, emitted.out
    return emitted.document["packet_ids"]


def test_forgetting_somebody_withdraws_exactly_what_they_contributed(fingerpost: Any, told: list[str]) -> None:
    forgotten = fingerpost("forget", "person-3", "--json").document
    assert set(forgotten["withdrawn"]) == {told[row] for row in (3, 16, 29)}
    assert fingerpost(*ASK).document["answers"][0]["packets"] == 37
    assert forgotten["kept"] == forgotten["elsewhere"] == []


def test_whoever_was_forgotten_is_unknown_afterwards(fingerpost: Any, told: list[str]) -> None:
    fingerpost("forget", "person-3")
    assert fingerpost("forget", " person-3 ", "--json").document["withdrawn"] == []
    assert fingerpost("forget", "nobody", "--json").document["withdrawn"] == []
    assert "Withdrew 3 packets" in fingerpost("forget", "person-4").out


def test_what_was_signed_by_an_earlier_key_is_withdrawn_by_that_key(fingerpost: Any, told: list[str]) -> None:
    fingerpost("keys", "rotate")
    assert len(fingerpost("forget", "person-3", "--json").document["withdrawn"]) == 3
    assert fingerpost(*ASK).document["answers"][0]["packets"] == 37


def test_no_subject_ever_leaves_or_is_kept_in_clear(
    fingerpost: Any, told: list[str], home: Path, tmp_path: Path, files_below: Any
) -> None:
    fingerpost("forget", "person-3")
    assert b"person-" not in (tmp_path / "packets.bin").read_bytes()
    assert not [name for name, data in files_below(home).items() if b"person-" in data]
    assert (home / "keys" / "subjects.salt").stat().st_mode & 0o777 == 0o600


def test_a_withdrawal_holds_an_id_and_nothing_of_the_record(fingerpost: Any, told: list[str], home: Path) -> None:
    """Withdrawals of different records differ in chance, in the id, and in what follows from them: nothing else."""
    fingerpost("forget", "person-3")
    store = LmdbStore(Home(home).store)
    withdrawals = np.concatenate(list(store.withdrawals()))
    store.close()
    assert len(withdrawals) == 3
    assert (withdrawals["kind"] == Kind.WITHDRAWAL).all()
    varying = {name for name in withdrawals.dtype.names or () if len(np.unique(withdrawals[name], axis=0)) > 1}
    assert varying <= {"nonce", "payload", "leaf_index", "path"}
    payload = withdrawals["payload"].copy()
    payload[:, 10:42] = 0  # the id of the packet
    assert len(np.unique(payload, axis=0)) == 1


@pytest.mark.parametrize(("column", "words"), [("nobody", "no column"), ("pressure", "part of the template")])
def test_a_subject_column_that_cannot_be_one_is_refused(
    fingerpost: Any, rain_template: Path, rain_table: Path, column: str, words: str
) -> None:
    fingerpost("keys", "new")
    result = fingerpost("emit", rain_table, "--template", rain_template, "--subject-column", column)
    assert result.status != 0
    assert words in result.err
