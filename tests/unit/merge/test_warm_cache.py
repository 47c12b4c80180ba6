"""What an environment of merge remembers, and for how many subdirs."""

from __future__ import annotations

from sluice.catalog.tree import EMPTY_TREE
from sluice.layout import Subdir
from sluice.limits import TREES_CACHED_MAX
from sluice.merge.warm_cache import WarmCache

ONE, TWO = Subdir("team", "linux-64"), Subdir("team", "noarch")


def test_only_the_last_tree_of_a_subdir_is_remembered() -> None:
    remembered = WarmCache()
    remembered.put_tree(ONE, "a", EMPTY_TREE)
    assert remembered.tree(ONE, "a") is EMPTY_TREE
    assert remembered.tree(TWO, "a") is None
    remembered.put_tree(ONE, "b", EMPTY_TREE)
    assert remembered.tree(ONE, "a") is None


def test_what_was_published_is_known_to_whoever_asked_before_that_merge_began() -> None:
    remembered = WarmCache()
    remembered.put_tree(ONE, "a", EMPTY_TREE)
    remembered.mark_published(ONE, "a", began_ms=1000)
    assert remembered.is_published_since(ONE, "a", since_ms=999)
    assert not remembered.is_published_since(ONE, "a", since_ms=1000)
    assert not remembered.is_published_since(ONE, "b", since_ms=999)
    assert not remembered.is_published_since(TWO, "a", since_ms=999)


def test_memory_is_bounded_by_the_subdirs_that_were_merged_last() -> None:
    remembered = WarmCache()
    subdirs = [Subdir(f"team{number}", "noarch") for number in range(TREES_CACHED_MAX + 1)]
    for subdir in subdirs:
        remembered.put_tree(subdir, "a", EMPTY_TREE)
        remembered.mark_published(subdir, "a", began_ms=1)
    known = [remembered.tree(subdir, "a") is not None for subdir in subdirs]
    assert known == [False] + [True] * TREES_CACHED_MAX
    assert not remembered.is_published_since(subdirs[0], "a", since_ms=0)
