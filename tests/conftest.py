"""What every test shares: one thread a process, and a printed seed with which a failure can be repeated."""

from __future__ import annotations

import os
import secrets

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import HealthCheck, settings

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
