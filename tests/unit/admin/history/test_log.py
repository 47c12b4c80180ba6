from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluice.admin.history.log import Generation, Log, follow, log
from sluice.admin.history.show import show
from sluice.errors import NotFound
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import NOARCH, SUBDIR, A, B, C
from tests.support.subdir_world import World


def _told(found: Log) -> list[tuple[str, int]]:
    return [(one.subdir, one.commit.generation) for one in found.generations]


def _with_three_generations() -> World:
    """A channel of one subdir, as without the noarch that comes with the first package."""
    world = World()
    world.add(A)
    world.merge()
    world.state.remove(NOARCH.head_key)
    world.add_corrupt(B)
    world.merge()
    world.drop(A)
    world.merge()
    return world


def test_the_newest_comes_first() -> None:
    found = log(admin_channel(_with_three_generations()))
    assert _told(found) == [("linux-64", 3), ("linux-64", 2), ("linux-64", 1)]
    changes = [(one.commit.added, one.commit.rejected) for one in found.generations]
    assert changes == [([], []), ([], [B]), ([A], [])]
    assert found.generations[0].commit.removed == [A]
    assert found.newest == {"linux-64": 3}
    assert found.collected == []


def test_subdirs_are_told_of_together_in_the_order_of_time() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.deliver()
    world.add(B)
    world.merge()
    assert _told(log(admin_channel(world))) == [("linux-64", 2), ("linux-64", 1), ("noarch", 1)]
    assert _told(log(admin_channel(world), "noarch")) == [("noarch", 1)]


def test_no_more_is_read_than_is_asked_for() -> None:
    world = _with_three_generations()
    before = len(world.state.operations())
    found = log(admin_channel(world), limit=1)
    assert _told(found) == [("linux-64", 3)]
    reads = [one for one in world.state.operations()[before:] if one[0] == "GetObject"]
    assert [key.partition("/")[0] for _, key in reads] == ["heads", "commits"]


def test_that_older_ones_were_collected_is_told() -> None:
    world = _with_three_generations()
    oldest = log(admin_channel(world)).generations[-2].commit.parent
    assert oldest
    world.state.remove(SUBDIR.commit_key(oldest))
    found = log(admin_channel(world))
    assert _told(found) == [("linux-64", 3), ("linux-64", 2)]
    assert found.collected == ["linux-64"]
    assert log(admin_channel(world), limit=1).collected == [], "it did not come that far"


def test_following_yields_what_is_committed_later_in_order() -> None:
    world = _with_three_generations()

    def later() -> Iterator[None]:
        world.add(B, b"good by now")
        world.merge()
        world.add(C)
        world.merge()
        world.deliver()
        yield

    happening = later()
    walk = follow(
        admin_channel(world),
        after=log(admin_channel(world)).newest,
        wait=lambda: next(happening, None),
    )
    found: list[Generation] = [next(walk) for _ in range(3)]
    assert [(one.subdir, one.commit.generation) for one in found] == [
        ("linux-64", 4),
        ("linux-64", 5),
        (NOARCH.name, 2),
    ]


def test_one_generation_is_shown_with_what_there_was_then() -> None:
    world = _with_three_generations()
    found = show(admin_channel(world), SUBDIR, 2)
    assert (found.packages, found.rejects) == (1, 1)
    assert [(one.file, one.code) for one in found.rejected] == [(B, "zip-invalid")]


def test_a_generation_whose_tree_was_collected_is_shown_without_it() -> None:
    world = _with_three_generations()
    commit = show(admin_channel(world), SUBDIR, 2).commit
    world.state.remove(SUBDIR.tree_key(commit.tree))
    found = show(admin_channel(world), SUBDIR, 2)
    assert found.commit == commit
    assert (found.packages, found.rejects, found.rejected) == (None, None, [])


def test_a_generation_that_there_never_was_is_not_found() -> None:
    with pytest.raises(NotFound, match="linux-64/ has no generation 9"):
        show(admin_channel(_with_three_generations()), SUBDIR, 9)
