"""Fuzz ``decode`` with atheris; README.md says how to install and run it."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "build" / "fuzz-corpus"
DICTIONARY = ROOT / "build" / "packet.dict"


def write_corpus() -> None:
    """Put the packets of the published vectors where the fuzzer starts from."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "spec" / "vectors").glob("packet-*.json")):
        for vector in json.loads(path.read_text("utf-8")):
            data = bytes.fromhex(vector["input"].get("packet", ""))
            (CORPUS / hashlib.blake2s(data, digest_size=8).hexdigest()).write_bytes(data)


def main() -> None:
    """Run libFuzzer with the arguments of the command line."""
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz_decode: atheris is missing; fuzz/README.md says how to install it")
    with atheris.instrument_imports(include=["fingerpost"]):
        from fuzz.decode_target import check_decode
        from fuzz.dictionary import dictionary

    write_corpus()
    DICTIONARY.write_text(dictionary(), encoding="utf-8")
    arguments = sys.argv[1:]
    if not any(Path(argument).exists() for argument in arguments):
        arguments = [*arguments, str(CORPUS)]
    atheris.Setup([sys.argv[0], f"-dict={DICTIONARY}", "-max_len=520", *arguments], check_decode)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
