"""Which backend a name stands for, and what is said where it cannot be used."""

from __future__ import annotations

import asyncio
import sys

import pytest

from fingerpost import Network
from fingerpost.errors import UsageError
from fingerpost.testing.record_samples import SettableClock


def test_a_backend_whose_extra_is_not_installed_names_the_package_and_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "nats" or name.endswith("._nats")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "fingerpost.nats_connection", raising=False)
    monkeypatch.setitem(sys.modules, "nats", None)  # what Python takes for "not there"
    network = Network(network_id="pumps", members=None, directory_name="nats")
    with pytest.raises(UsageError, match="nats") as refused:
        asyncio.run(network.open_directory(clock=SettableClock(), state=None))
    assert refused.value.code == "backend-not-installed"
    assert refused.value.hint == "pip install 'fingerpost[nats]'"
