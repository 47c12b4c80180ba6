"""The emulator that benchmarks start takes these credentials alone."""

from __future__ import annotations

import pytest

from local.emulator import CREDENTIALS


@pytest.fixture(autouse=True)
def _emulator_takes_these(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
