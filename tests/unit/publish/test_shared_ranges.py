"""What two versions of an index share is found, and it is the same in both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.publish.shared_ranges import shared_ranges
from sluice.storage.object_store import SharedRange


def ranges_of(before: bytes, after: bytes) -> list[SharedRange]:
    ranges = shared_ranges(before, after)
    end = 0
    for one in ranges:
        assert one.start >= end
        assert one.length > 0
        end = one.start + one.length
        assert after[one.start : end] == before[one.source : one.source + one.length]
    return ranges


def index(records: bytes, stamp: str) -> bytes:
    return b'{"packages":{%s},"removed":[],"sluice":"%s"}' % (records, stamp.encode())


@given(
    st.binary(max_size=200),
    st.binary(max_size=200),
    st.binary(max_size=50),
    st.binary(max_size=50),
    st.sampled_from(["with a tail", "without"]),
)
def test_ranges_hold_the_same_bytes_in_both(
    head: bytes, tail: bytes, old: bytes, new: bytes, form: str
) -> None:
    before, after = head + old + tail, head + new + tail
    if form == "with a tail":
        before, after = index(before, "1"), index(after, "22")
    ranges = ranges_of(before, after)
    shared = sum(one.length for one in ranges)
    assert shared >= len(head)


@pytest.mark.parametrize("length", [10, 5_000, 3_000_000])
def test_all_but_the_new_record_and_the_tail_is_shared(length: int) -> None:
    one, two = (f'"{name}":{{}},'.encode() * length for name in "ab")
    before, after = index(one + two, "1"), index(one + b'"aa":{"size":1},' + two, "2")
    shared = ranges_of(before, after)
    assert len(shared) == 2
    missing = len(after) - sum(each.length for each in shared)
    assert missing < len(b'"aa":{"size":1},') + len(index(b"", "2"))
