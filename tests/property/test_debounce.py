"""Whenever packages are uploaded, a merge is due after each of them was staged."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sluice.layout import Subdir
from sluice.messages import merge_request
from sluice.messages.merge_request import CLOCK_SKEW_SECONDS, DEBOUNCE_SECONDS_MIN, QueueMessage
from testkit.memory_queue import DEDUPLICATION_SECONDS

SUBDIR = Subdir("c", "linux-64")
SKEW_MS_BELOW = CLOCK_SKEW_SECONDS * 1000


@dataclass(frozen=True)
class Upload:
    """A staging PUT that returned, and the function that made it."""

    at_ms: int
    """By a true clock."""
    skew_ms: int
    """How far the function's clock is ahead."""


def uploads(debounce_seconds: int) -> st.SearchStrategy[list[Upload]]:
    """Uploads over a few windows, with clocks that are less than two seconds apart."""
    start = 1_750_000_000_000
    return st.lists(
        st.builds(
            Upload,
            st.integers(start, start + 4000 * debounce_seconds),
            st.integers(0, SKEW_MS_BELOW - 1),
        ),
        min_size=1,
        max_size=25,
    )


SCENARIOS = st.integers(DEBOUNCE_SECONDS_MIN, 300).flatmap(
    lambda seconds: st.tuples(st.just(seconds), uploads(seconds))
)


def due_times(scenario: list[Upload], debounce_seconds: int) -> list[int]:
    """When the requests that a FIFO queue accepts are due, by merge's clock, in ms."""
    accepted: dict[str, int] = {}
    due = []
    for upload in sorted(scenario, key=lambda upload: upload.at_ms):
        message = request(upload, debounce_seconds)
        last = accepted.get(message.deduplication_id)
        if last is None or upload.at_ms - last >= DEDUPLICATION_SECONDS * 1000:
            accepted[message.deduplication_id] = upload.at_ms
            due.append(merge_request.parse_merge_request(message.body).not_before)
    return due


def request(upload: Upload, debounce_seconds: int) -> QueueMessage:
    """What the function that made the upload sends."""
    return merge_request.merge_message(
        SUBDIR, now_ms=upload.at_ms + upload.skew_ms, debounce_seconds=debounce_seconds
    )


@given(SCENARIOS, st.integers(0, SKEW_MS_BELOW - 1))
def test_some_merge_is_due_after_every_staging_put(
    scenario: tuple[int, list[Upload]], skew_ms: int
) -> None:
    """Whichever clock is ahead; ``skew_ms`` is how far merge's is."""
    debounce_seconds, staged = scenario
    due = [at - skew_ms for at in due_times(staged, debounce_seconds)]
    for upload in staged:
        latest = upload.at_ms + 2 * debounce_seconds * 1000
        assert any(upload.at_ms < at <= latest for at in due)


@given(SCENARIOS)
def test_a_request_is_due_within_the_debounce_and_after_all_of_its_window(
    scenario: tuple[int, list[Upload]],
) -> None:
    debounce_seconds, staged = scenario
    for upload in staged:
        message = request(upload, debounce_seconds)
        clock = upload.at_ms + upload.skew_ms
        due = merge_request.parse_merge_request(message.body).not_before
        assert clock + 2000 < due <= clock + debounce_seconds * 1000
        same_window = merge_request.merge_message(
            SUBDIR, now_ms=due - 2001, debounce_seconds=debounce_seconds
        )
        next_window = merge_request.merge_message(
            SUBDIR, now_ms=due - 2000, debounce_seconds=debounce_seconds
        )
        assert same_window == message
        assert next_window.deduplication_id != message.deduplication_id


@given(SCENARIOS)
def test_a_burst_is_a_handful_of_merges(scenario: tuple[int, list[Upload]]) -> None:
    debounce_seconds, staged = scenario
    times = [upload.at_ms for upload in staged]
    windows = (max(times) - min(times)) / ((debounce_seconds - CLOCK_SKEW_SECONDS) * 1000)
    assert len(due_times(staged, debounce_seconds)) <= windows + 2 + SKEW_MS_BELOW / 1000
