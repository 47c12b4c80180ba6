"""Trees: growing one generation out of another, and telling them apart."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from msgspec import UNSET, UnsetType, structs

from sluice import zstd
from sluice.catalog import tree
from sluice.catalog.entry import Pin, Reject
from sluice.catalog.node import render_node
from sluice.catalog.tree import EMPTY_TREE, FORMAT, Node, Tree
from sluice.errors import Corrupt, TooNew
from tests.support.staging_records import A2, A, identity_of


def node(leaf: bytes, *, records: int = 1, shard: bytes | None = b"s") -> Node:
    """A node with this leaf."""
    return Node(
        leaf=leaf,
        shard=shard,
        listing=b"l",
        records=records,
        rejects=0,
        extractor=1,
        oldest=1,
        newest=2,
    )


TREE = Tree(
    generation=4,
    at=1000,
    public=True,
    rejects_generation=2,
    names={"a": node(b"1", records=2), "b": node(b"2", records=3)},
)


def test_a_tree_comes_back() -> None:
    assert tree.decode_tree(tree.encode_tree(TREE), what="tree") == TREE


def test_the_order_of_the_names_does_not_show() -> None:
    turned = Tree(
        generation=4, at=1000, public=True, rejects_generation=2,
        names=dict(reversed(TREE.names.items())),
    )  # fmt: skip
    assert tree.encode_tree(turned) == tree.encode_tree(TREE)


def test_the_same_names_in_another_generation_or_at_another_time_are_another_tree() -> None:
    others = [
        tree.next_tree(TREE, {}, generation=g, at=at, public=True, rejects_changed=False)
        for g, at in ((4, 1000), (5, 1000), (4, 1001))
    ]
    assert len({tree.encode_tree(other) for other in others}) == 3


def test_a_tree_of_a_newer_format_or_of_none_is_refused() -> None:
    newer = Tree(generation=1, at=1, public=True, rejects_generation=0, names={}, format=FORMAT + 1)
    with pytest.raises(TooNew, match=f"tree has format {FORMAT + 1}"):
        tree.decode_tree(tree.encode_tree(newer), what="tree")
    with pytest.raises(Corrupt):
        tree.decode_tree(b"garbage", what="tree")


def test_growing_replaces_adds_and_drops_names_and_leaves_the_parent_alone() -> None:
    before = tree.encode_tree(TREE)
    grown = tree.next_tree(
        TREE,
        {"a": node(b"9"), "b": None, "c": node(b"3"), "never there": None},
        generation=5,
        at=2000,
        public=True,
        rejects_changed=False,
    )
    assert grown == Tree(
        generation=5,
        at=2000,
        public=True,
        rejects_generation=2,
        names={"a": node(b"9"), "c": node(b"3")},
        pinned=[],
    )
    assert tree.encode_tree(TREE) == before


def test_the_generation_in_which_rejects_changed_is_remembered() -> None:
    grown = tree.next_tree(EMPTY_TREE, {}, generation=7, at=1, public=False, rejects_changed=True)
    assert grown.rejects_generation == 7


def test_what_was_taken_over_of_the_channel_stays_until_something_else_is() -> None:
    def grow(parent: Tree, info: dict[str, Any]) -> Tree:
        return tree.next_tree(
            parent, {}, generation=9, at=9, public=True, rejects_changed=False, info=info
        )

    said = {"base_url": "../", "z": {"b": [1], "a": None}}
    first = grow(TREE, said)
    assert (TREE.info, first.info) == (UNSET, said)
    assert grow(first, {}).info == said
    assert grow(first, {"z": 1}).info == {"z": 1}
    assert tree.decode_tree(tree.encode_tree(first), what="tree") == first
    turned = grow(TREE, {"z": {"a": None, "b": [1]}, "base_url": "../"})
    assert tree.encode_tree(turned) == tree.encode_tree(first)


def test_the_records_of_a_tree_are_those_of_its_names() -> None:
    assert (TREE.records, EMPTY_TREE.records) == (5, 0)


def test_changed_names_are_those_with_another_leaf_in_order() -> None:
    grown = tree.next_tree(
        TREE,
        {"b": None, "a": node(b"1"), "z": node(b"z"), "c": node(b"c")},
        generation=5,
        at=1,
        public=True,
        rejects_changed=False,
    )
    assert list(tree.changed_names(TREE, grown)) == ["b", "c", "z"]
    assert list(tree.changed_names(grown, TREE)) == ["b", "c", "z"]
    assert list(tree.changed_names(TREE, TREE)) == []
    assert list(tree.changed_names(EMPTY_TREE, TREE)) == ["a", "b"]


def test_a_node_of_rejects_alone_says_so_and_any_other_is_as_short_as_before() -> None:
    reject = Reject(identity=identity_of(b""), extractor=1, code="c", sentence="s", at=1)
    kept_out = Pin(identity=None, extractor=0, at=1, reason="withdrawn")
    alone = render_node("alpha", {A: reject}, at=1).node
    pinned = render_node("alpha", {A: reject, A2: kept_out}, at=1).node
    assert alone.only_rejects
    assert not pinned.only_rejects, "clients see the pin"
    both = structs.replace(EMPTY_TREE, names={"alone": alone, "pinned": pinned})
    stored = msgpack.unpackb(zstd.decompress(tree.encode_tree(both)))["names"]
    assert {name: len(node) for name, node in stored.items()} == {"alone": 10, "pinned": 8}
    assert tree.decode_tree(tree.encode_tree(both), what="tree") == both
    assert both.shown == {"pinned": pinned}


@pytest.mark.parametrize(
    ("known", "changed", "with_pins", "expected"),
    [
        ([], {"a"}, set(), []),
        ([], {"a"}, {"a"}, ["a"]),
        (["a", "b"], {"a"}, set(), ["b"]),
        (["b"], {"a", "c"}, {"c", "a"}, ["a", "b", "c"]),
        (UNSET, {"a"}, {"a"}, UNSET),
        (UNSET, {"a", "b"}, {"a"}, ["a"]),
    ],
)
def test_a_tree_knows_which_names_have_pins_as_far_as_its_parent_did(
    known: list[str] | UnsetType,
    changed: set[str],
    with_pins: set[str],
    expected: list[str] | UnsetType,
) -> None:
    parent = structs.replace(TREE, pinned=known)
    grown = tree.next_tree(
        parent,
        dict.fromkeys(changed, node(b"3")),
        generation=2,
        at=2,
        public=True,
        rejects_changed=False,
        pinned=with_pins,
    )
    assert grown.pinned == expected
    assert tree.decode_tree(tree.encode_tree(grown), what="tree").pinned == expected
