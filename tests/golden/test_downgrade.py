"""What this version writes, read by the rules of 0.1: it is read, or refused by name.

A stack may be rolled back to the release before.  What that reads wrongly it publishes wrongly.
"""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest

from sluice import zstd
from sluice.catalog.codec import pack_struct, unpack_json, unpack_struct
from sluice.catalog.entry import Leaf, Reject
from sluice.catalog.head import Head
from sluice.catalog.node import render_node
from sluice.catalog.tree import EMPTY_TREE, Tree, encode_tree
from sluice.errors import TooNew
from tests.support.staging_records import A, identity_of

NEWEST_OF_0_1 = 1
"""Of heads, commits, trees, leaves, marks, bindings and brake records alike."""


class Node01(msgspec.Struct, frozen=True, array_like=True):
    """A node as 0.1 knows it."""

    leaf: bytes
    shard: bytes | None
    listing: bytes
    records: int
    rejects: int
    extractor: int
    oldest: int | None
    newest: int | None
    extras: Any = None


class Tree01(msgspec.Struct, frozen=True, kw_only=True):
    """A tree as 0.1 knows it."""

    generation: int
    at: int
    public: bool
    rejects_generation: int
    names: dict[str, Node01]
    format: int


def test_a_node_that_says_more_is_what_it_was_to_0_1() -> None:
    reject = Reject(identity=identity_of(b""), extractor=1, code="c", sentence="", at=1)
    node = render_node("alpha", {A: reject}, at=1).node
    body = encode_tree(msgspec.structs.replace(EMPTY_TREE, names={"alpha": node}))
    read = unpack_struct(body, Tree01, newest=NEWEST_OF_0_1, what="tree")
    assert read.names["alpha"] == Node01(
        leaf=node.leaf,
        shard=None,
        listing=node.listing,
        records=0,
        rejects=1,
        extractor=1,
        oldest=None,
        newest=None,
    )


def test_a_reject_without_its_sentence_is_a_reject_to_0_1() -> None:
    reject = Reject(identity=identity_of(b""), extractor=1, code="c", sentence="", at=1)
    body = render_node("alpha", {A: reject}, at=1).leaf_body
    assert msgpack.unpackb(zstd.decompress(body))["entries"][A] == {
        "kind": "reject",
        "identity": msgspec.to_builtins(identity_of(b"")),
        "extractor": 1,
        "code": "c",
        "sentence": "",
        "at": 1,
    }


@pytest.mark.parametrize(
    "newer",
    [
        msgspec.structs.replace(EMPTY_TREE, format=2),
        Leaf(at=1, entries={}, format=2),
    ],
)
def test_a_newer_tree_or_leaf_is_refused_by_0_1_and_not_misread(newer: Tree | Leaf) -> None:
    body = pack_struct(newer, what="thing")
    with pytest.raises(TooNew, match="format 2"):
        unpack_struct(body, type(newer), newest=NEWEST_OF_0_1, what="thing")


def test_a_newer_head_is_refused_by_0_1_and_not_misread() -> None:
    head = Head(generation=1, epoch=0, commit=None, tree=None, writer="", format=2)
    with pytest.raises(TooNew, match="format 2"):
        unpack_json(msgspec.json.encode(head), Head, newest=NEWEST_OF_0_1, what="head")
