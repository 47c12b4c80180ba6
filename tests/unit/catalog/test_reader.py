"""Reading the catalog: each tree and leaf once, and nothing taken for empty that is missing."""

from __future__ import annotations

import pytest

from sluice.catalog import reader
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import EMPTY_TREE
from sluice.concurrency import in_order
from sluice.errors import Corrupt
from tests.support.staging_records import SUBDIR, A, B
from tests.support.subdir_world import World

MISSING = "0" * 64


@pytest.fixture
def world() -> World:
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.state.requests.clear()
    return world


def catalog(world: World) -> CatalogReader:
    """A reader that knows nothing yet."""
    return CatalogReader(world.state, SUBDIR, in_order)


def test_no_tree_is_the_empty_tree() -> None:
    world = World()
    assert catalog(world).tree(None) is EMPTY_TREE
    assert world.state.requests == []


def test_a_tree_and_its_leaves_are_read_once(world: World) -> None:
    digest = world.head().tree
    world.state.requests.clear()
    one = catalog(world)
    for _ in range(2):
        tree = one.tree(digest)
        assert one.entries([*tree.names.values(), None])[2] == {}
    assert len(world.state.requests) == 3


def test_a_missing_tree_is_corrupt_where_the_head_names_it(world: World) -> None:
    with pytest.raises(Corrupt, match=MISSING):
        catalog(world).tree(MISSING)


def test_a_missing_tree_is_none_where_it_may_have_been_collected(world: World) -> None:
    assert catalog(world).find_tree(MISSING) is None


def test_a_missing_leaf_is_corrupt(world: World) -> None:
    node = world.tree().names["alpha"]
    world.state.remove(SUBDIR.leaf_key(node.leaf.hex()))
    with pytest.raises(Corrupt, match=r"refers to the leaf .* does not exist"):
        catalog(world).entries([node])


@pytest.mark.parametrize("limit", ["LEAVES_CACHED_MAX", "FILES_CACHED_MAX"])
def test_only_so_many_leaves_are_kept(
    limit: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, limit, 1)
    one, nodes = catalog(world), list(world.tree().names.values())
    world.state.requests.clear()
    assert one.entries(nodes) == one.entries(nodes)
    assert len(world.state.requests) == 3
