"""What every test shares: one thread a process, and a printed seed with which a failure can be repeated."""

from __future__ import annotations

import functools
import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import HealthCheck, settings

from fingerpost.errors import FingerpostError

ROOT = Path(__file__).resolve().parents[1]
SEED_OPTION = "hypothesis_seed"

# A shared machine stalls now and then, so no example is failed for being slow.
settings.register_profile(
    "default", deadline=None, print_blob=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("default"), max_examples=15)
settings.register_profile("long", settings.get_profile("default"), max_examples=2_000)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the hypothesis profile and, before hypothesis reads it, one seed for all test processes.

    FINGERPOST_PROFILE=long searches deeper; QUICK=1 is for a first look.
    """
    chosen = os.environ.get("FINGERPOST_PROFILE") or ("quick" if os.environ.get("QUICK") else "default")
    settings.load_profile(chosen)
    if config.getoption(SEED_OPTION) is None:
        setattr(config.option, SEED_OPTION, secrets.randbelow(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    return f"repeat the random choices of this run with --hypothesis-seed={config.getoption(SEED_OPTION)}"


@functools.cache
def documented_codes() -> frozenset[str]:
    """Return the error codes that have a heading in the reference."""
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^### `([a-z0-9-]+)`$", page, re.MULTILINE))


@pytest.fixture(autouse=True)
def every_error_is_documented(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which the product makes an error whose code the reference does not list."""
    unknown = set()
    make = FingerpostError.__init__

    def noting_the_code(error: FingerpostError, code: str, message: str, *, hint: str = "") -> None:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_code.co_name == "__init__":  # of a class below FingerpostError
            frame = frame.f_back
        if "fingerpost" in Path(frame.f_code.co_filename).parts and code not in documented_codes():
            unknown.add(code)
        make(error, code, message, hint=hint)

    monkeypatch.setattr(FingerpostError, "__init__", noting_the_code)
    yield
    assert not unknown, f"docs/reference/errors.md lacks {sorted(unknown)}: run make docs"
