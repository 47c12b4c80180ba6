"""The merge handler: windows, the two kinds of merges, and what happens to a failed message."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.channel_files.merge import ChannelReport
from sluice.errors import Corrupt, Unavailable, UnknownEvent
from sluice.layout import Subdir
from sluice.merge import handler
from sluice.merge.metrics import merge_log_lines, merge_metrics
from sluice.merge.outcome import MergeReport
from sluice.messages import channel_merge_request, merge_request
from sluice.messages.delivery import Delivery
from testkit.memory_store import LostAnswer
from testkit.system import DEBOUNCE_SECONDS, System

NOW_MS = 1_750_000_000_000
LINUX = Subdir("team", "linux-64")
KEY = LINUX.file_key("alpha-1.0-0.conda")
DUE_MS = merge_request.debounce_window(NOW_MS, DEBOUNCE_SECONDS)[1]


def of_subdir() -> str:
    return merge_request.merge_message(LINUX, now_ms=NOW_MS, debounce_seconds=DEBOUNCE_SECONDS).body


def of_channel() -> str:
    return channel_merge_request.channel_merge_message(
        "team", now_ms=NOW_MS, debounce_seconds=DEBOUNCE_SECONDS
    ).body


def deliver(
    system: System, body: str, *, receive_count: int = 1, **options: Any
) -> handler.Handled:
    delivery = Delivery(body, "handle", receive_count)
    return handler.run(delivery, system.merger, time_left_ms=lambda: 900_000, **options)


@pytest.mark.parametrize("body", [of_subdir(), of_channel()])
@pytest.mark.parametrize(("early_ms", "seconds"), [(1, 1), (1000, 1), (1001, 2)])
def test_a_message_that_is_early_is_given_back_until_its_window_has_closed(
    body: str, early_ms: int, seconds: int
) -> None:
    system = System(DUE_MS - early_ms)
    assert deliver(system, body) == handler.Handled(None, is_early=True)
    assert system.merges.visibility == [("handle", seconds)]
    assert system.state.requests == []
    system.now_ms = DUE_MS
    assert not deliver(system, body).is_early


def test_a_subdir_is_merged_and_named_in_the_log() -> None:
    system, keys = System(DUE_MS), dict[str, str]()
    system.upload({KEY: b"corrupt"})
    system.extract(KEY)
    report = deliver(system, of_subdir(), add_log_keys=keys.update).report
    assert keys == {"channel": "team", "subdir": "linux-64"}
    assert isinstance(report, MergeReport)
    values = merge_metrics(report, duration_ms=7)
    assert ("PackagesRejected", 1, "Count") in values
    assert ("MergeDuration", 7, "Milliseconds") in values
    (line,) = merge_log_lines(report, duration_ms=7)
    assert (line.level, line.message) == ("info", "merged")
    assert (line.fields["staged"], line.fields["duration_ms"]) == (1, 7)


def test_a_channel_is_merged_and_named_in_the_log() -> None:
    system, keys = System(DUE_MS), dict[str, str]()
    report = deliver(system, of_channel(), add_log_keys=keys.update).report
    assert keys == {"channel": "team"}
    assert isinstance(report, ChannelReport)
    assert [one.name for one in merge_metrics(report, duration_ms=7)] == [
        "ForeignIndexWrites",
        "StagingSetAside",
    ]
    assert [line.message for line in merge_log_lines(report, duration_ms=7)] == [
        "merged the channel"
    ]


def test_a_merge_that_fails_is_given_back_for_longer_each_time() -> None:
    system = System(DUE_MS)
    system.upload({KEY: b"corrupt"})
    system.extract(KEY)
    system.state.upload(LINUX.head_key, b"broken")
    for receive_count in (1, 3, 99):
        with pytest.raises(Corrupt):
            deliver(system, of_subdir(), receive_count=receive_count)
    assert [seconds for _, seconds in system.merges.visibility] == [2, 8, 300]


def test_what_is_no_request_is_given_back() -> None:
    system = System(DUE_MS)
    with pytest.raises(UnknownEvent):
        deliver(system, "no request")
    assert system.merges.visibility == [("handle", 2)]


def test_an_early_message_that_cannot_be_given_back_counts_as_a_failure() -> None:
    system = System(DUE_MS - 1)

    def lose(_operation: str, _key: str) -> None:
        raise LostAnswer

    system.merges.before = lose
    with pytest.raises(Unavailable) as raised:
        deliver(system, of_subdir())
    (note,) = raised.value.__notes__
    assert "keeps its visibility timeout" in note
