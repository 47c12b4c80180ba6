"""Which record of a name is the newest."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.conda.build_order import build_order_key

RECORD: dict[str, Any] = {"version": "1.9", "build_number": 1, "timestamp": 1_700_000_000_000}


@pytest.mark.parametrize(
    "newer",
    [
        {"version": "1.10", "build_number": 0, "timestamp": 0},
        {"build_number": 2, "timestamp": 0},
        {"timestamp": 1_700_000_000_001},
        {"timestamp": 1_700_000_001},
    ],
    ids=["version", "build number", "timestamp", "timestamp in seconds"],
)
def test_version_goes_before_build_number_and_that_before_timestamp(newer: dict[str, Any]) -> None:
    older, newest = build_order_key(RECORD), build_order_key(RECORD | newer)
    assert older
    assert newest
    assert older < newest


def test_what_a_record_does_not_say_is_nought() -> None:
    age = build_order_key({"version": "1"})
    assert age
    assert age[1:] == (0, 0)
    assert build_order_key(RECORD | {"timestamp": "then"}) == build_order_key(
        RECORD | {"timestamp": None}
    )


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"version": 5},
        {"version": "1..2"},
        {"version": "9" * 5000},
        {"build_number": "1"},
        {"build_number": None},
    ],
)
def test_what_nobody_can_order_has_no_age(change: dict[str, Any]) -> None:
    assert build_order_key(RECORD | change) is None


def test_capitals_are_no_obstacle_as_in_conda() -> None:
    assert build_order_key({"version": "1.0RC1"}) == build_order_key({"version": "1.0rc1"})
