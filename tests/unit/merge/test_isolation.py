"""Staging records with which no merge succeeds: they are set aside, and the others are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sluice.catalog import node
from sluice.catalog.entry import Entries
from sluice.errors import TooLarge, Unavailable
from sluice.layout import REPODATA
from sluice.limits import UNEXPLAINED_SET_ASIDE_MAX
from sluice.merge import generation_writer
from tests.support.staging_records import SUBDIR, A, B, C
from tests.support.subdir_world import World

render_node = node.render_node


def fail_for(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[Entries], bool], error: Exception
) -> None:
    """Let no leaf be rendered with such entries."""

    def render(name: str, entries: Entries, **more: Any) -> node.RenderedNode:
        if fails(entries):
            raise error
        return render_node(name, entries, **more)

    monkeypatch.setattr(node, "render_node", render)


def many(world: World, count: int) -> list[str]:
    """Upload and stage so many packages of one name."""
    names = [f"many-{number:04}-0.conda" for number in range(count)]
    for name in names:
        world.add(name)
    return names


@pytest.mark.parametrize("error", [KeyError("surprise"), MemoryError(), TooLarge("too large")])
def test_a_record_with_which_no_merge_succeeds_is_set_aside_and_the_others_are_merged(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world = World()
    fail_for(monkeypatch, lambda entries: B in entries, error)
    names = many(world, 30)
    for name in (A, B, C):
        world.add(name)
    (key,) = [key for key in world.staged() if f"/{B}/" in key]
    body = world.state.body(key)
    report = world.merge()
    assert world.published().keys() == {A, C, *names}
    assert world.staged() == []
    assert world.state.body(SUBDIR.unreadable_staging_key(key)) == body
    (sentence,) = report.isolated
    assert sentence.startswith(f"{key}: {type(error).__name__}")
    assert report.staged == 32


def test_a_leaf_grows_only_as_far_as_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "LEAF_BYTES_MAX", 10_000)
    world = World()
    names = many(world, 60)
    world.add(A)
    report = world.merge()
    published = world.published().keys()
    assert A in published, "the packages of other names are merged"
    assert 5 < len(published) < 60
    assert published - {A} == set(names[: len(published) - 1])
    assert len(report.isolated) == len(names) - len(published) + 1
    assert all("bytes; the limit is 10,000" in one for one in report.isolated)
    world.replace_execution_environment()
    world.add(B)
    assert world.merge().isolated == []


def test_a_merge_that_fails_with_every_record_sets_few_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    many(world, 50)
    fail_for(monkeypatch, bool, KeyError("surprise"))
    with pytest.raises(KeyError, match="surprise"):
        world.merge()
    assert len(world.staged()) == 50 - UNEXPLAINED_SET_ASIDE_MAX


@pytest.mark.parametrize("error", [Unavailable("S3 is slow"), OSError("no route")])
def test_a_failed_request_sets_nothing_aside(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world = World()
    many(world, 3)
    fail_for(monkeypatch, bool, error)
    with pytest.raises(type(error)):
        world.merge()
    assert len(world.staged()) == 3
    assert SUBDIR.file_key(REPODATA) not in world.channel.objects


def test_a_failure_without_any_staging_record_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.add(A)
    world.merge()

    def fail(*_: object, **__: Mapping[str, object]) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(generation_writer.GenerationWriter, "draft", fail)
    with pytest.raises(KeyError, match="surprise"):
        world.merge()
