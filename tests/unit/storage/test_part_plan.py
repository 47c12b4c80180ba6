"""The parts of an upload cover the body once, in order, within S3's limits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.limits import (
    COPIED_BYTES_MIN,
    COPIED_PART_BYTES,
    MIB,
    PART_BYTES,
    PART_BYTES_MIN,
)
from sluice.storage.object_store import SharedRange
from sluice.storage.part_plan import Part, plan_parts

GIB = 1024 * MIB


@st.composite
def shared_ranges(draw: st.DrawFn) -> tuple[int, list[SharedRange]]:
    size = draw(st.integers(0, 3 * GIB))
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=8)))
    ranges = [
        SharedRange(start, draw(st.integers(0, GIB)), end - start)
        for start, end in list(pairwise(cuts))[::2]
    ]
    return size, ranges


def source_of(ranges: list[SharedRange], offset: int) -> int | None:
    for one in ranges:
        if one.start <= offset < one.start + one.length:
            return one.source + offset - one.start
    return None


@given(shared_ranges())
def test_parts_cover_the_body_once_and_copy_only_what_is_shared(
    case: tuple[int, list[SharedRange]],
) -> None:
    size, ranges = case
    parts = plan_parts(size, ranges)
    assert [part.start for part in parts] == [0, *(part.end for part in parts)][: len(parts)]
    assert sum(part.end - part.start for part in parts) == size
    for part in parts:
        if part.copy_from is not None:
            assert part.copy_from == source_of(ranges, part.start)
            assert part.copy_from + part.end - part.start - 1 == source_of(ranges, part.end - 1)


@given(shared_ranges())
def test_parts_are_within_the_limits_of_s3(case: tuple[int, list[SharedRange]]) -> None:
    parts = plan_parts(*case)
    for part in parts:
        size_max = PART_BYTES if part.copy_from is None else COPIED_PART_BYTES
        assert 0 < part.end - part.start < size_max + PART_BYTES_MIN
    assert all(part.end - part.start >= PART_BYTES_MIN for part in parts[:-1])


def spans(parts: list[Part]) -> Iterator[tuple[int, int, bool]]:
    for part in parts:
        yield part.start, part.end - part.start, part.copy_from is not None


def test_a_single_upload_into_a_large_index_sends_five_mib_and_the_tail() -> None:
    size, at, grown = 300 * MIB, 100 * MIB, 600
    shared = [
        SharedRange(0, 0, at),
        SharedRange(at + grown, at, size - at - 200),
    ]
    parts = plan_parts(size + grown + 50, shared)
    sent = [length for _, length, is_copied in spans(parts) if not is_copied]
    assert sent == [PART_BYTES_MIN, 250]


@pytest.mark.parametrize("length", [0, 1, COPIED_BYTES_MIN - 1])
def test_a_range_that_is_not_worth_a_request_is_sent(length: int) -> None:
    parts = plan_parts(20 * MIB, [SharedRange(6 * MIB, 0, length)])
    assert [part.copy_from for part in parts] == [None]


def test_an_empty_body_has_no_parts() -> None:
    assert plan_parts(0) == []
