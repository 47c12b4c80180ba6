"""Thousands of schedules make the same few bytes: those are compressed only once."""

from __future__ import annotations

from functools import cache

import pytest

from sluice import zstd

# Sound because they are pure, as tests/unit/test_zstd.py holds them to be.
_compress = {name: cache(getattr(zstd, name)) for name in ("compress", "compress_private")}


@pytest.fixture(autouse=True)
def _compress_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cached in _compress.items():
        monkeypatch.setattr(zstd, name, cached)
