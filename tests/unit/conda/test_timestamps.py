"""Packages that say that they were built after they were indexed (CEP 47)."""

from __future__ import annotations

import pytest

from sluice.conda.timestamps import timestamp_warning

INDEXED_MS = 1_750_000_000_000
SECONDS_MAX = 253_402_300_799


def warning(timestamp: object, indexed: object = INDEXED_MS) -> str | None:
    return timestamp_warning({"timestamp": timestamp, "indexed_timestamp": indexed})


@pytest.mark.parametrize(
    "timestamp",
    [0, 1, INDEXED_MS // 1000, INDEXED_MS, INDEXED_MS - 1, -1, None, "2099", 9e99, [INDEXED_MS]],
)
def test_a_package_that_was_built_before_or_does_not_say_when_is_as_it_should_be(
    timestamp: object,
) -> None:
    assert warning(timestamp) is None


@pytest.mark.parametrize("timestamp", [INDEXED_MS // 1000 + 1, INDEXED_MS + 1, 2**63])
def test_one_that_was_built_later_is_told_in_seconds_as_in_milliseconds(timestamp: int) -> None:
    assert warning(timestamp) is not None


def test_the_largest_number_of_seconds_is_one_of_the_year_9999() -> None:
    assert warning(SECONDS_MAX, indexed=SECONDS_MAX * 1000) is None
    assert warning(SECONDS_MAX, indexed=SECONDS_MAX * 1000 - 1) is not None
    assert warning(SECONDS_MAX + 1) is None  # milliseconds, of 1978


def test_a_record_without_a_date_of_ours_cannot_be_told() -> None:
    assert timestamp_warning({"timestamp": INDEXED_MS}) is None
    assert warning(INDEXED_MS, indexed="soon") is None


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        (INDEXED_MS + 86_400_000, "2025-06-16T15:06:40+00:00"),
        (2**63, f"{2**63} ms"),
        (SECONDS_MAX * 1000 + 1000, f"{SECONDS_MAX * 1000 + 1000} ms"),
    ],
)
def test_the_warning_tells_both_moments(timestamp: int, moment: str) -> None:
    assert warning(timestamp) == (
        f"its timestamp says that it was built at {moment}, "
        "but it was indexed at 2025-06-15T15:06:40+00:00 already"
    )
