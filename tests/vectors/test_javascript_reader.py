"""A reader in another language, written from the specification alone, agrees on every vector."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SPEC = Path(__file__).resolve().parents[2] / "spec"
CHECK = SPEC / "readers" / "js" / "check.mjs"


def node() -> str:
    """Return Node's path: the machine's, or the one that `make vectors` put beside this Python."""
    found = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.fail("Node is missing: `make vectors` installs one, or install Node 20 or later and put it on the PATH")
    return found


def run_reader(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([node(), str(CHECK), *arguments], capture_output=True, text=True, timeout=120, check=False)


def written(folder: Path, *vectors: dict[str, Any]) -> str:
    path = folder / "vectors.json"
    path.write_text(json.dumps(vectors), encoding="utf-8")
    return str(path)


def first_vector(file: str) -> dict[str, Any]:
    [vector, *_] = json.loads((SPEC / "vectors" / file).read_text("utf-8"))
    assert isinstance(vector, dict)
    return vector


def test_the_reader_passes_every_published_vector() -> None:
    published = sum(len(json.loads(path.read_text("utf-8"))) for path in (SPEC / "vectors").glob("*.json"))
    result = run_reader()
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines() == [f"{published} passed, 0 failed"]
    assert published >= 60


@pytest.mark.parametrize(
    ("file", "member"),
    [
        ("packet-accepted.json", "packet_id"),
        ("packet-batches.json", "root"),
        ("packet-identity.json", "node_id"),
        ("blake2s.json", "digest"),
        ("template-accepted.json", "template_id"),
        ("fingerprint-bits.json", "fingerprint"),
        ("fingerprint-sketches.json", "sketch"),
    ],
)
def test_a_vector_with_one_wrong_digit_makes_the_reader_fail(tmp_path: Path, file: str, member: str) -> None:
    vector = first_vector(file)
    right = vector["expect"][member]
    vector["expect"][member] = ("1" if right[0] == "0" else "0") + right[1:]
    result = run_reader(written(tmp_path, vector))
    assert result.returncode == 1
    assert vector["name"] in result.stdout
    assert result.stdout.endswith("0 passed, 1 failed\n")


def test_a_packet_with_one_changed_bit_makes_the_reader_fail(tmp_path: Path) -> None:
    vector = first_vector("packet-signatures.json")
    data = bytearray.fromhex(vector["input"]["packet"])
    data[90] ^= 1
    vector["input"]["packet"] = data.hex()
    result = run_reader(written(tmp_path, vector))
    assert result.returncode == 1
    assert '{"error":"packet-signature"}' in result.stdout


def test_a_wrong_error_code_makes_the_reader_fail(tmp_path: Path) -> None:
    vector = first_vector("packet-refused-frame.json")
    vector["expect"] = {"error": "packet-magic"}
    result = run_reader(written(tmp_path, vector))
    assert result.returncode == 1
    assert '{"error":"packet-length"}' in result.stdout


def test_an_unknown_kind_of_vector_makes_the_reader_fail(tmp_path: Path) -> None:
    result = run_reader(written(tmp_path, {**first_vector("blake2s.json"), "kind": "riddle"}))
    assert result.returncode == 1
    assert "no reader for kind riddle" in result.stdout


def test_two_vectors_of_one_name_make_the_reader_fail(tmp_path: Path) -> None:
    vector = first_vector("blake2s.json")
    assert run_reader(written(tmp_path, vector, vector)).returncode == 1


def test_no_vectors_at_all_make_the_reader_fail(tmp_path: Path) -> None:
    assert run_reader(str(tmp_path)).returncode == 1


def test_a_machine_without_node_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(pytest.fail.Exception, match="Node is missing"):
        node()
