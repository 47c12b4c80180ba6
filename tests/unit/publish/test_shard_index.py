"""The shard index (CEP 16)."""

from __future__ import annotations

import msgpack

from sluice.catalog.tree import Tree
from sluice.publish import shard_index
from sluice.publish.fence import Stamp
from tests.support.subdir_world import unzstd
from tests.unit.catalog.test_tree import node

STAMP = Stamp(3, "ab" * 32, "me")


def tree(*names: str, at: int = 1_750_000_000_123) -> Tree:
    """A tree of these names, each with its own shard, and of one without any."""
    nodes = {name: node(b"leaf", shard=name.encode()) for name in names}
    nodes["rejected"] = node(b"leaf", records=0, shard=None)
    return Tree(generation=3, at=at, public=True, rejects_generation=0, names=nodes)


def test_the_index_names_every_shard_and_says_when_its_commit_was() -> None:
    body = shard_index.render_shard_index(tree("b", "a"), info={}, subdir="linux-64", stamp=STAMP)
    content = msgpack.unpackb(unzstd(body))
    assert content == {
        "info": {
            "base_url": "",
            "created_at": "2025-06-15T15:06:40.123Z",
            "shards_base_url": "./shards/",
            "sluice": {"generation": 3, "tree": "ab" * 32},
            "subdir": "linux-64",
        },
        "shards": {"a": b"a", "b": b"b"},
        "version": 1,
    }
    assert list(content["shards"]) == ["a", "b"]


def test_what_a_channel_says_of_itself_stands_there_but_not_in_place_of_what_sluice_says() -> None:
    said = {"base_url": "../files/", "channel_relations": {"base": "../x"}, "subdir": "other"}
    body = shard_index.render_shard_index(tree(), info=said, subdir="noarch", stamp=STAMP)
    info = msgpack.unpackb(unzstd(body))["info"]
    assert info == {
        "base_url": "../files/",
        "channel_relations": {"base": "../x"},
        "created_at": "2025-06-15T15:06:40.123Z",
        "shards_base_url": "./shards/",
        "sluice": {"generation": 3, "tree": "ab" * 32},
        "subdir": "noarch",
    }
    assert list(info) == sorted(info)


def test_whole_seconds_keep_their_fraction() -> None:
    body = shard_index.render_shard_index(
        tree(at=1_750_000_000_000), info={}, subdir="noarch", stamp=STAMP
    )
    assert msgpack.unpackb(unzstd(body))["info"]["created_at"] == "2025-06-15T15:06:40.000Z"


def test_the_same_tree_gives_the_same_bytes() -> None:
    one, other = (
        shard_index.render_shard_index(tree(*names), info={}, subdir="s", stamp=STAMP)
        for names in (("a", "b"), ("b", "a"))
    )
    assert one == other
