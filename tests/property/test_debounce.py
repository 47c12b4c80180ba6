"""Whenever packages are uploaded, a merge is delivered after each of them was staged."""

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


def deliveries(scenario: list[Upload], debounce_seconds: int) -> list[int]:
    """When a FIFO queue that delays each message and drops duplicates delivers, in ms."""
    accepted: dict[str, int] = {}
    delivered = []
    for upload in sorted(scenario, key=lambda upload: upload.at_ms):
        message = request(upload, debounce_seconds)
        last = accepted.get(message.deduplication_id)
        if last is None or upload.at_ms - last >= DEDUPLICATION_SECONDS * 1000:
            accepted[message.deduplication_id] = upload.at_ms
            delivered.append(upload.at_ms + debounce_seconds * 1000)
    return delivered


def request(upload: Upload, debounce_seconds: int) -> QueueMessage:
    """What the function that made the upload sends."""
    return merge_request.merge_message(
        SUBDIR, now_ms=upload.at_ms + upload.skew_ms, debounce_seconds=debounce_seconds
    )


@given(SCENARIOS)
def test_some_merge_is_delivered_after_every_staging_put(
    scenario: tuple[int, list[Upload]],
) -> None:
    debounce_seconds, staged = scenario
    delivered = deliveries(staged, debounce_seconds)
    assert max(delivered) > max(upload.at_ms for upload in staged)
    for upload in staged:
        assert any(
            upload.at_ms < at <= upload.at_ms + 2 * debounce_seconds * 1000 for at in delivered
        )


@given(SCENARIOS)
def test_a_message_whose_delay_was_ignored_is_due_after_everything_of_its_window(
    scenario: tuple[int, list[Upload]],
) -> None:
    """By one clock: it is the handler's reading of ``not_before`` that waits."""
    debounce_seconds, staged = scenario
    for upload in staged:
        message = request(upload, debounce_seconds)
        clock = upload.at_ms + upload.skew_ms
        due = merge_request.parse_merge_request(message.body).not_before
        assert clock + 1000 < due <= clock + (debounce_seconds - 1) * 1000
        same_window = merge_request.merge_message(
            SUBDIR, now_ms=due - 1001, debounce_seconds=debounce_seconds
        )
        next_window = merge_request.merge_message(
            SUBDIR, now_ms=due - 1000, debounce_seconds=debounce_seconds
        )
        assert same_window == message
        assert next_window.deduplication_id != message.deduplication_id


@given(SCENARIOS)
def test_on_time_no_delivery_is_given_back(scenario: tuple[int, list[Upload]]) -> None:
    """A queue that keeps its delay delivers after ``not_before``, so that nothing waits twice."""
    debounce_seconds, staged = scenario
    for upload in staged:
        due = merge_request.parse_merge_request(request(upload, debounce_seconds).body).not_before
        assert upload.at_ms + upload.skew_ms + debounce_seconds * 1000 > due


@given(SCENARIOS)
def test_a_burst_is_a_handful_of_merges(scenario: tuple[int, list[Upload]]) -> None:
    debounce_seconds, staged = scenario
    times = [upload.at_ms for upload in staged]
    windows = (max(times) - min(times)) / ((debounce_seconds - CLOCK_SKEW_SECONDS) * 1000)
    assert len(deliveries(staged, debounce_seconds)) <= windows + 2 + SKEW_MS_BELOW / 1000
