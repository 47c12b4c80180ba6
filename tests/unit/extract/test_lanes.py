"""The two lanes of uploads: how much each reads, when it tries again, and for whom it works."""

from __future__ import annotations

import pytest

from sluice.extract.lanes import first_lane, send_to_slow_lane, slow_lane
from sluice.layout import PackageKey, Subdir
from sluice.messages.s3_event import ObjectEvent, parse_s3_event_body
from testkit.memory_queue import MemoryFeed

GROUP_CHARS_MAX = 128


@pytest.mark.parametrize(
    "channel", ["", "team", "Conda/Default", "bücher/日本", "x" * 128, "日" * 44]
)
def test_a_slow_package_is_sent_for_its_channel(channel: str) -> None:
    queue = MemoryFeed()
    for subdir, name in (("linux-64", "a-1-0.conda"), ("noarch", "b-1-0.conda")):
        key = PackageKey(Subdir(channel, subdir), name)
        event = ObjectEvent("bucket", key.key, 77)
        send_to_slow_lane(queue, key, event)
        assert parse_s3_event_body(queue.bodies[-1]) == [event]
    (tenant,) = set(queue.tenants)
    assert 0 < len(tenant) <= GROUP_CHARS_MAX
    assert tenant.isascii()


def test_channels_are_tenants_of_their_own() -> None:
    queue = MemoryFeed()
    channels = ["", "team", "team/more", "x" * 200, "x" * 201]
    for channel in channels:
        key = PackageKey(Subdir(channel, "noarch"), "a-1-0.conda")
        send_to_slow_lane(queue, key, ObjectEvent("bucket", key.key, None))
    assert len(set(queue.tenants)) == len(channels)


def test_the_slow_lane_tries_again_later_than_the_first() -> None:
    first, slow = first_lane(MemoryFeed()).retry, slow_lane(MemoryFeed()).retry
    assert [first.seconds(count) for count in range(1, 6)] == [15, 60, 240, 900, 900]
    assert [slow.seconds(count) for count in range(1, 6)] == [60, 240, 960, 3600, 3600]
