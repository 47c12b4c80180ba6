from __future__ import annotations

import pytest

from sluice.cli.formatting import format_age, format_count, format_size, format_utc


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_500_000, "1.4 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (5 * 1024**4, "5120.0 GiB"),
    ],
)
def test_sizes(count: int, told: str) -> None:
    assert format_size(count) == told


@pytest.mark.parametrize(
    ("ago_ms", "told"),
    [(-5_000, "0 s"), (999, "0 s"), (59_000, "59 s"), (60_000, "1 min"), (90_000_000, "1 d")],
)
def test_ages(ago_ms: int, told: str) -> None:
    assert format_age(100_000_000 - ago_ms, now=100_000_000) == told


def test_moments_are_in_utc() -> None:
    assert format_utc(1_750_000_000_000) == "2025-06-15 15:06:40Z"
    assert format_utc(None) == format_age(None, now=0) == ""


def test_counts_have_a_plural() -> None:
    told = [format_count(count, "package") for count in (0, 1, 1200)]
    assert told == ["0 packages", "1 package", "1,200 packages"]
