"""Rendering a generation before it is committed: when, from what, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from sluice import zstd
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order, in_threads
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.publish import repodata
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import A2, SUBDIR, A, B, C
from tests.support.subdir_world import World

FILES = [SHARD_INDEX, REPODATA_ZST, REPODATA]


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """When an index was rendered, beside the requests that are let in by ``tell``."""
    told: list[str] = []
    render: Callable[..., bytes] = repodata.render_repodata

    def tell_and_render(*args: Any, **more: Any) -> bytes:
        told.append("rendered")
        return render(*args, **more)

    monkeypatch.setattr(repodata, "render_repodata", tell_and_render)
    return told


@pytest.fixture
def world() -> World:
    """Two packages, published."""
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    return world


def tell_of_requests(world: World, story: list[str]) -> None:
    """Have the story tell of what is asked of the state bucket, and when the head is swapped."""
    story.clear()

    def tell(operation: str, key: str) -> None:
        story.append("swapped" if (operation, key) == ("PutObject", SUBDIR.head_key) else operation)

    world.state.before = tell


def from_scratch(world: World) -> dict[str, bytes]:
    """The index files as they are when none are there to start from."""
    before = dict(world.channel.objects)
    for file in FILES:
        world.channel.remove(SUBDIR.file_key(file))
    catalog = CatalogReader(world.state, SUBDIR, in_order)
    world.merger.publisher.publish(SUBDIR, world.head(), catalog)
    files = {file: world.body(file) for file in FILES}
    world.channel.objects = before
    return files


def test_a_lone_merge_renders_before_it_swaps_the_head(world: World, story: list[str]) -> None:
    tell_of_requests(world, story)
    world.add(A2)
    world.merge()
    first = story.index("rendered")
    assert story.count("rendered") == 1
    # Between what the head will refer to, and the head; and nothing is asked for.
    assert story[first - 2 : first + 2] == ["PutObject", "PutObject", "rendered", "swapped"]
    assert {file: world.body(file) for file in FILES} == from_scratch(world)


def test_the_files_of_a_small_index_go_up_at_once(world: World) -> None:
    keys = [SUBDIR.file_key(file) for file in FILES]
    all_of_them = Barrier(len(FILES), timeout=60)

    def meet(operation: str, key: str) -> None:
        if operation == "PutObject" and key in keys:
            all_of_them.wait()

    world.merger = replace(world.merger, executor=in_threads(8))
    world.add(A2)
    world.channel.before = meet
    world.merge()
    world.channel.before = lambda _operation, _key: None
    assert {file: world.body(file) for file in FILES} == from_scratch(world)


def test_shards_come_before_an_index_that_takes_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.publish.publication.PRERENDER_BYTES_MAX", 1)
    begun: list[str] = []

    def begin(operation: str, key: str) -> None:
        if operation == "PutObject" and key == SUBDIR.file_key(REPODATA):
            assert world.channel.objects[SUBDIR.file_key(SHARD_INDEX)] is not before
            begun.append(key)

    world.merger = replace(world.merger, executor=in_threads(8))
    world.add(A2)
    before = world.channel.objects[SUBDIR.file_key(SHARD_INDEX)]
    world.channel.before = begin
    world.merge()
    assert begun


def test_nobody_sees_what_was_rendered_before_the_head_is_swapped(world: World) -> None:
    before = {file: world.body(file) for file in FILES}
    world.add(A2)
    world.state.before = at_request("PutObject", SUBDIR.head_key, kill_process)
    with pytest.raises(ProcessKilled):
        world.merge()
    assert {file: world.body(file) for file in FILES} == before


def test_what_was_rendered_for_a_head_that_another_won_is_forgotten(
    world: World, story: list[str]
) -> None:
    def another() -> None:
        world.state.before = lambda _operation, _key: None
        world.replace_execution_environment()
        world.add(C)
        world.merge()

    world.add(A2)
    world.state.before = at_request("PutObject", SUBDIR.head_key, another)
    story.clear()
    world.merge()
    assert set(world.published()) == {A, A2, B, C}
    assert {file: world.body(file) for file in FILES} == from_scratch(world)


def test_a_large_index_is_rendered_behind_the_swap(
    world: World, story: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.publish.publication.PRERENDER_BYTES_MAX", 1)
    tell_of_requests(world, story)
    world.add(A2)
    world.merge()
    assert story.index("rendered") > story.index("swapped")


def test_what_would_have_to_be_read_for_it_is_read_behind_the_swap(
    world: World, story: list[str]
) -> None:
    world.add(C)
    world.channel.before = at_request("PutObject", SUBDIR.file_key(SHARD_INDEX), kill_process)
    with pytest.raises(ProcessKilled):
        world.merge()
    world.replace_execution_environment()
    tell_of_requests(world, story)
    world.add(A2)
    world.merge()  # over files that are two generations old
    assert story.index("rendered") > story.index("swapped")
    assert set(world.published()) == {A, A2, B, C}


def test_a_file_that_is_not_what_its_stamp_says_is_not_built_upon(
    world: World, story: list[str]
) -> None:
    key = SUBDIR.file_key(REPODATA_ZST)
    other = world.channel.objects[key]
    fewer = zstd.compress(b'{"packages":{},"packages.conda":{},"removed":[]}')
    world.channel.upload(key, fewer, metadata=other.info.metadata)
    tell_of_requests(world, story)
    world.add(A2)
    world.merge()
    assert story.index("rendered") > story.index("swapped")
    assert set(world.published()) == {A, A2, B}


def test_what_another_stack_says_of_a_tree_is_not_built_upon(
    world: World, story: list[str]
) -> None:
    for file in FILES:
        stored = world.channel.objects[SUBDIR.file_key(file)]
        theirs = {**stored.info.metadata, "sluice-owner": "another-stack"}
        world.channel.upload(SUBDIR.file_key(file), stored.body, metadata=theirs)
    tell_of_requests(world, story)
    world.add(A2)
    world.merge(adopt=True)
    assert story.index("rendered") > story.index("swapped")
    assert set(world.published()) == {A, A2, B}


def test_a_generation_of_which_more_is_to_come_is_not_rendered(
    world: World, story: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.merge.merge.MERGE_BATCH_RECORDS_MAX", 1)
    tell_of_requests(world, story)
    world.add(A2)
    world.add(C)
    world.merge()
    assert story.count("swapped") == 2
    assert story.count("rendered") == 1
    assert set(world.published()) == {A, A2, B, C}
