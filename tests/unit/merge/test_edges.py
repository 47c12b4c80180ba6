"""The edges of a debounce window: what is merged early, and what the same message does when due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sluice.errors import Unavailable
from sluice.layout import (
    REPODATA,
    REPODATA_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
    Subdir,
    config_key,
)
from sluice.limits import LEADING_EDGE_WAIT_MS_MAX
from sluice.merge import edges, handler
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.merge.publishing import Scope
from sluice.messages import merge_request
from sluice.messages.delivery import Delivery
from sluice.messages.merge_request import MergeRequest
from testkit.memory_store import LostAnswer
from tests.support.subdir_world import DEBOUNCE_SECONDS, World

A, B = "alpha-1.0-0.conda", "beta-1.0-0.conda"
OLD_MS = (DEBOUNCE_SECONDS + 1) * 1000
"""Longer than the debounce, also by times in whole seconds."""
ALL_FILES = {SHARD_INDEX, REPODATA_ZST, REPODATA, RUN_EXPORTS, RUN_EXPORTS_ZST}


@pytest.fixture
def world() -> World:
    """A subdir with one package, whose last commit is older than the debounce."""
    world = World()
    world.add(A)
    world.merge()
    world.deliver()
    world.now_ms += OLD_MS
    return world


@pytest.fixture
def every_index_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "LEADING_RECORDS_MAX", -1)
    monkeypatch.setattr(edges, "LEADING_TAKE_OVER_BYTES_MAX", 0)


def request_merge(world: World, **purposes: bool) -> str:
    """The body of a request that is sent now."""
    return merge_request.merge_message(
        world.subdir, now_ms=world.now_ms, debounce_seconds=DEBOUNCE_SECONDS, **purposes
    ).body


def receive(
    world: World, body: str, *, receive_count: int = 1, waited_ms: int | None = 100
) -> handler.Handled:
    delivery = Delivery(body, "handle", receive_count, waited_ms=waited_ms)
    return handler.run(delivery, world.merger, time_left_ms=lambda: 900_000)


def wait_until_due(world: World, body: str) -> None:
    world.now_ms = max(world.now_ms, merge_request.parse_merge_request(body).not_before)


def requests_of(world: World, subset: slice) -> list[str]:
    return [request.operation for request in world.state.requests[subset]]


def written_files(world: World) -> Iterator[str]:
    for request in world.channel.requests:
        if request.operation == "PutObject" and "/shards/" not in request.key:
            yield request.key.removeprefix(world.subdir.prefix)


def test_a_single_upload_is_published_at_once_and_its_message_comes_again(world: World) -> None:
    world.add(B)
    body = request_merge(world)
    handled = receive(world, body)
    assert handled.report
    assert handled.is_early
    assert world.published().keys() == {A, B}
    ((handle, seconds),) = world.queue.visibility
    assert handle == "handle"
    assert 2 <= seconds <= DEBOUNCE_SECONDS


def test_the_trailing_merge_of_a_quiet_window_is_one_list(world: World) -> None:
    world.add(B)
    body = request_merge(world)
    receive(world, body)
    wait_until_due(world, body)
    done = len(world.state.requests)
    files = dict(world.index_files())
    assert receive(world, body, receive_count=2) == handler.Handled(None)
    assert requests_of(world, slice(done, None)) == ["ListObjectsV2"]
    assert world.index_files() == files


def test_the_trailing_merge_publishes_what_came_after_the_leading_one(world: World) -> None:
    body = request_merge(world)
    receive(world, body)
    world.add(B)
    assert world.published().keys() == {A}
    wait_until_due(world, body)
    handled = receive(world, body, receive_count=2)
    assert handled.report
    assert not handled.is_early
    assert world.published().keys() == {A, B}


def test_a_new_channel_is_published_at_once_with_its_noarch() -> None:
    world = World()
    world.add(A)
    assert receive(world, request_merge(world)).is_early
    assert world.published().keys() == {A}
    noarch = Subdir(world.subdir.channel, "noarch")
    assert world.channel.head(noarch.file_key(REPODATA)) is not None


@pytest.mark.parametrize(
    ("receive_count", "waited_ms"),
    [(2, 100), (1, LEADING_EDGE_WAIT_MS_MAX), (1, None)],
    ids=["received before", "waited", "unknown wait"],
)
def test_a_message_that_waited_is_not_merged_early(
    world: World, receive_count: int, waited_ms: int | None
) -> None:
    world.add(B)
    body = request_merge(world)
    handled = receive(world, body, receive_count=receive_count, waited_ms=waited_ms)
    assert handled == handler.Handled(None, is_early=True)
    assert world.published().keys() == {A}
    wait_until_due(world, body)
    receive(world, body, receive_count=receive_count + 1)
    assert world.published().keys() == {A, B}


def test_a_commit_within_the_debounce_delays_the_next_to_the_end_of_its_window(
    world: World,
) -> None:
    receive(world, request_merge(world))
    world.add(B)
    world.merge()
    world.now_ms += (DEBOUNCE_SECONDS - 1) * 1000
    world.drop(B)
    assert receive(world, request_merge(world)) == handler.Handled(None, is_early=True)
    assert world.published().keys() == {A, B}


def test_a_late_receipt_is_one_merge(world: World) -> None:
    world.add(B)
    body = request_merge(world)
    wait_until_due(world, body)
    handled = receive(world, body, waited_ms=60_000)
    assert handled.report
    assert not handled.is_early
    assert world.queue.visibility == []


@pytest.mark.parametrize("purpose", ["create", "adopt", "check_files"])
def test_a_request_about_files_waits_and_is_carried_out_although_nothing_is_staged(
    world: World, purpose: str
) -> None:
    world.channel.remove(world.subdir.file_key(REPODATA))
    body = request_merge(world, **{purpose: True})
    assert receive(world, body) == handler.Handled(None, is_early=True)
    wait_until_due(world, body)
    assert receive(world, body, receive_count=2).report
    assert world.published().keys() == {A}


def test_a_request_of_a_person_is_carried_out_at_once_although_their_swap_made_the_head_young(
    world: World,
) -> None:
    world.add(B)
    now = MergeRequest(world.subdir, not_before=world.now_ms)
    merge(world.merger, now, time_left_ms=lambda: 900_000, scope=Scope.NOTHING)  # a swap alone
    body = merge_request.unique_merge_message(world.subdir, now_ms=0, unique_id="id").body
    handled = receive(world, body)
    assert handled.report
    assert not handled.is_early
    assert world.published().keys() == {A, B}


def test_a_leading_merge_that_outlasts_its_window_is_delivered_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any, **options: Any) -> MergeReport:
        report = merge(*args, **options)
        world.now_ms += 10 * DEBOUNCE_SECONDS * 1000
        return report

    monkeypatch.setattr(handler, "merge", slow)
    world.add(B)
    assert receive(world, request_merge(world)).is_early
    assert world.queue.visibility == [("handle", 0)]


def test_a_leading_merge_that_fails_is_retried_and_still_has_a_trailing_one(world: World) -> None:
    world.add(B)
    body = request_merge(world)

    def lose(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    world.state.before = lose
    with pytest.raises(Unavailable):
        receive(world, body)
    assert world.queue.visibility == [("handle", 2)]
    world.state.before = lambda _operation, _key: None
    wait_until_due(world, body)
    receive(world, body, receive_count=2)
    assert world.published().keys() == {A, B}


@pytest.mark.usefixtures("every_index_is_large")
def test_the_leading_merge_of_a_large_subdir_publishes_the_shards_and_nothing_else(
    world: World,
) -> None:
    world.add(B)
    staged = world.state.keys(world.subdir.staging_prefix)
    world.channel.requests.clear()
    body = request_merge(world)
    assert receive(world, body).is_early
    assert list(written_files(world)) == [SHARD_INDEX]
    assert world.published_in_shards().keys() == {A, B}
    assert world.state.keys(world.subdir.staging_prefix) == staged
    wait_until_due(world, body)
    receive(world, body, receive_count=2)
    assert world.published().keys() == {A, B}
    assert world.state.keys(world.subdir.staging_prefix) == []


@pytest.mark.usefixtures("every_index_is_large")
def test_what_follows_from_a_merge_of_a_large_subdir_follows_from_the_trailing_one(
    world: World,
) -> None:
    world.channel.upload(config_key(world.subdir.channel), b"[sluice]\nchanneldata = true\n")
    world.merger.config_broadcast.notify(world.subdir)
    world.merge()
    world.queue.messages.clear()
    world.now_ms += OLD_MS
    world.add(B)
    body = request_merge(world)
    receive(world, body)
    assert world.queue.messages == []
    wait_until_due(world, body)
    receive(world, body, receive_count=2)
    assert [message.group for message in world.queue.messages] == ["Conda%2FDefault/channelwide"]


@pytest.mark.usefixtures("every_index_is_large")
def test_a_large_subdir_without_shards_waits_for_its_window(world: World) -> None:
    world.channel.upload(
        config_key(world.subdir.channel), b"[index-config]\nwrite-shards = false\n"
    )
    world.merger.config_broadcast.notify(world.subdir)
    world.merge()
    world.now_ms += OLD_MS
    world.add(B)
    assert receive(world, request_merge(world)) == handler.Handled(None, is_early=True)


@pytest.mark.usefixtures("every_index_is_large")
def test_a_large_index_from_before_sluice_is_taken_over_when_the_request_is_due() -> None:
    world = World()
    world.index_as_others_do(A)
    world.add(B)
    body = request_merge(world)
    assert receive(world, body) == handler.Handled(None, is_early=True)
    wait_until_due(world, body)
    receive(world, body, receive_count=2)
    assert world.published().keys() == {A, B}


def test_the_head_that_tells_the_age_is_the_one_that_is_merged_against(world: World) -> None:
    world.add(B)
    done = len(world.state.requests)
    receive(world, request_merge(world))
    reads = [
        request
        for request in world.state.requests[done:]
        if request.operation == "GetObject" and request.key == world.subdir.head_key
    ]
    assert len(reads) == 1


@pytest.mark.usefixtures("every_index_is_large")
def test_a_large_index_without_its_files_is_published_with_all_of_them(world: World) -> None:
    """The shard index must not be the only file."""
    files = {file for file in world.index_files() if "/" not in file}
    for file in files:
        world.channel.remove(world.subdir.file_key(file))
    world.add(B)
    assert receive(world, request_merge(world)).is_early
    assert {file for file in world.index_files() if "/" not in file} == files
