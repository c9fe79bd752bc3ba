"""A store whose file is cut, overwritten or altered anywhere is refused with a clear error, or still right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fingerpost.errors import StoreError
from fingerpost.packet import packet_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._lmdb_file import DATA_NAME, require_count
from fingerpost.testing.packet_samples import observation, signed, signer, withdrawal
from tests.conftest import ROOT, SEED_OPTION
from tests.faults.store_victim import DAY, digest

PAGE_SIZE_BYTES = 4_096
FLIPS = 80


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store with a bit of everything, free pages too."""
    directory = tmp_path_factory.mktemp("damaged") / "sound"
    emitter = signer(1)
    packets = [observation(emitter, n, ttl_days=5 + n % 7) for n in range(340)]
    store = LmdbStore(directory)
    store.add(signed(packets[:300], emitter), day=DAY)
    for n in range(300, 340):
        store.add(signed(packets[n : n + 1], emitter), day=DAY)
    store.add(signed(packets[::-1][:60], emitter), day=DAY)  # other proofs
    ids = [packet.packet_id for packet in packets[:250:10]]
    store.add(signed([withdrawal(emitter, packet_id) for packet_id in ids], emitter), day=DAY)
    store.put_records("table", {b"%d" % n: b"value" * n for n in range(30)} | {b"long": bytes(9_000)})
    store.expire(DAY + 6)
    store.close()
    return directory


def shown_by(directory: Path) -> str:
    store = LmdbStore(directory)
    shown = digest(store)
    store.close()
    return shown


def outcomes_of(directory: Path, damages: list[tuple[str, int, int]]) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.store_victim", str(directory)],
        input=json.dumps(damages),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    outcomes: list[str] = json.loads(ran.stdout)
    return outcomes


def check(directory: Path, damages: list[tuple[str, int, int]]) -> Counter[str]:
    """Do the damages; none may end badly or show anything but what was there. Return how often each outcome came."""
    expected = f"fine {shown_by(directory)}"
    outcomes = outcomes_of(directory, damages)
    bad = {
        f"{how} at {at} ({value})": outcome
        for (how, at, value), outcome in zip(damages, outcomes, strict=True)
        if outcome not in {expected, "store-corrupt"}
    }
    assert not bad, bad
    return Counter(outcome.split()[0] for outcome in outcomes)


def pages_of(directory: Path) -> range:
    return range(0, (directory / DATA_NAME).stat().st_size, PAGE_SIZE_BYTES)


def test_a_sound_store_is_fine(sound: Path) -> None:
    size = (sound / DATA_NAME).stat().st_size
    assert check(sound, [("cut", size, 0)]) == {"fine": 1}


def test_a_store_that_is_cut_off_is_refused(sound: Path) -> None:
    cuts = [("cut", at + more, 0) for at in pages_of(sound)[::2] for more in (0, 100)]
    assert check(sound, cuts)["store-corrupt"] > len(cuts) * 0.9  # the last pages may be free ones


@pytest.mark.parametrize("value", [0, 256])
def test_a_store_with_a_page_overwritten_is_refused_or_right(sound: Path, value: int) -> None:
    counts = check(sound, [("fill", at, value) for at in pages_of(sound)])
    assert counts["store-corrupt"] > counts["fine"] > 0  # free pages hold nothing that matters


def test_a_store_with_a_bit_flipped_is_refused_or_right(sound: Path, pytestconfig: pytest.Config) -> None:
    rng = np.random.default_rng(int(pytestconfig.getoption(SEED_OPTION)))
    size = (sound / DATA_NAME).stat().st_size
    heads = [int(at + rng.integers(64)) for at in rng.choice(list(pages_of(sound)), FLIPS)]
    anywhere = rng.integers(size, size=FLIPS).tolist()
    check(sound, [("flip", at, int(rng.integers(8))) for at in heads + anywhere])


def test_a_page_whose_type_has_changed_is_refused_or_not_in_use(sound: Path) -> None:
    types = [("flip", at + byte, bit) for at in pages_of(sound) for byte in (10, 11) for bit in range(8)]
    counts = check(sound, types)
    assert counts["store-corrupt"] > counts["fine"] > 0


@pytest.mark.parametrize("content", [b"", b"x", b"not a store\n" * 1_000, bytes(100_000)])
def test_a_file_that_is_no_store_is_refused(sound: Path, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / DATA_NAME).write_bytes(content)
    assert outcomes_of(tmp_path / "store", [("cut", len(content), 0)]) == ["store-corrupt"]


def test_check_names_the_packet_that_changed_while_the_store_was_open(tmp_path: Path) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n) for n in range(20)], emitter)
    store = LmdbStore(tmp_path / "store")
    store.add(packets, day=DAY)
    path = tmp_path / "store" / DATA_NAME
    at = path.read_bytes().index(packets[7].tobytes())
    with path.open("r+b") as file:
        file.seek(at + 300)
        file.write(b"\xff")
    problems = store.check()
    store.close()
    changed = packet_ids(packets)[7].tobytes()
    assert [(problem.code, problem.packet_id) for problem in problems] == [
        ("block-damaged", None),
        ("packet-changed", changed),
    ]


def test_entries_that_are_no_longer_found_are_noticed_by_their_number(tmp_path: Path) -> None:
    emitter = signer(1)
    store = LmdbStore(tmp_path / "store")
    store.add(signed([observation(emitter, n) for n in range(3)], emitter), day=DAY)
    with store._file.read() as transaction:
        require_count(transaction, store._file.tables, "packets", 1)
        with pytest.raises(StoreError, match="packets has 1 entries, of which 0 are found") as refused:
            require_count(transaction, store._file.tables, "packets", 0)
    store.close()
    assert refused.value.code == "store-corrupt"
