"""What this version writes, read by the rules of 0.1: it is read, or refused by name.

A stack may be rolled back to the release before.  What that reads wrongly it publishes wrongly.
"""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest

from sluice import zstd
from sluice.catalog.binding import Binding, binding_object
from sluice.catalog.codec import pack_struct, unpack_json, unpack_struct
from sluice.catalog.entry import Leaf, Record, Reject, decode_leaf
from sluice.catalog.file_warnings import RUN_EXPORTS_UNREADABLE, make_file_warning
from sluice.catalog.head import Head
from sluice.catalog.node import render_node
from sluice.catalog.pack import LeafPlace
from sluice.catalog.tree import EMPTY_TREE, Tree, decode_tree, encode_tree, next_tree
from sluice.errors import TooNew
from sluice.storage.object_id import ObjectId
from sluice.takeover.progress import FinishedName, TakeOverProgress, encode_progress
from testkit.memory_store import MemoryStore
from tests.support.staging_records import SUBDIR, A, identity_of

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


class NodeExtras01(msgspec.Struct, frozen=True, array_like=True):
    """What is unusual about a name, as 0.1 knows it."""

    visible_records: int
    v3: int
    v3_oldest: int | None
    v3_newest: int | None
    warnings: int


class Record01(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="record"):
    """A record as 0.1 knows it."""

    identity: ObjectId | None
    extractor: int
    record: dict[str, Any]
    digests_from: dict[str, str | None] = msgspec.field(default_factory=dict)
    run_exports: Any = None
    channeldata: dict[str, Any] = msgspec.field(default_factory=dict)


WARNING = make_file_warning(RUN_EXPORTS_UNREADABLE, "Nobody can read its run exports.")
WARNED = Record(
    identity=identity_of(b""),
    extractor=3,
    record={"indexed_timestamp": 1},
    digests_from={"sha256": "read"},
    warnings=(WARNING,),
)


def test_a_record_with_a_warning_is_a_record_to_0_1() -> None:
    rendered = render_node("alpha", {A: WARNED}, at=1)
    entry = msgpack.unpackb(zstd.decompress(rendered.leaf_body))["entries"][A]
    read = msgspec.convert(entry, Record01)
    assert (read.record, read.run_exports, read.extractor) == ({"indexed_timestamp": 1}, None, 3)
    assert decode_leaf(rendered.leaf_body, what="leaf").entries[A] == WARNED


def test_other_warnings_of_a_name_are_passed_over_by_0_1() -> None:
    node = render_node("alpha", {A: WARNED}, at=1).node
    assert node.extras
    assert node.extras.other_warnings == 1
    tree = msgspec.structs.replace(EMPTY_TREE, names={"alpha": node})
    read = unpack_struct(encode_tree(tree), Tree01, newest=NEWEST_OF_0_1, what="tree")
    assert msgspec.convert(read.names["alpha"].extras, NodeExtras01) == NodeExtras01(
        visible_records=1, v3=0, v3_oldest=None, v3_newest=None, warnings=0
    )
    assert decode_tree(encode_tree(tree), what="tree") == tree


def test_a_name_without_them_is_stored_as_0_1_stores_it() -> None:
    future = {"timestamp": 4_000_000_000_000, "indexed_timestamp": 1}
    node = render_node("alpha", {A: msgspec.structs.replace(WARNED, record=future)}, at=1).node
    assert node.extras
    extras = msgspec.structs.replace(node.extras, other_warnings=0)
    tree = msgspec.structs.replace(
        EMPTY_TREE, names={"alpha": msgspec.structs.replace(node, extras=extras)}
    )
    stored = msgpack.unpackb(zstd.decompress(encode_tree(tree)))["names"]["alpha"]
    assert stored[-1] == [1, 0, None, None, 1]


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


class Binding01(msgspec.Struct, frozen=True, kw_only=True):
    """A binding as a sluice knows it that cannot retire a channel."""

    bucket: str | None
    moving_to: str | None = None
    endpoint: str | None = None
    created_at: int
    writer: str
    format: int


def test_a_channel_that_is_being_retired_is_one_that_is_moved_to_an_older_sluice() -> None:
    """It refuses to swap any head of such a channel."""
    retiring = Binding(bucket="b", moving_to="b", retiring=True, created_at=1, writer="w")
    body = msgspec.json.encode(retiring)
    read = unpack_json(body, Binding01, newest=NEWEST_OF_0_1, what="binding")
    assert read.moving_to == "b"


def test_a_channel_that_was_retired_belongs_to_no_bucket_for_an_older_sluice() -> None:
    """It refuses the channel until this version has started it anew."""
    released = Binding(bucket=None, created_at=1, writer="w")
    body = msgspec.json.encode(released)
    read = unpack_json(body, Binding01, newest=NEWEST_OF_0_1, what="binding")
    assert (read.bucket, read.moving_to) == (None, None)
    state = MemoryStore()
    binding_object(state, "team").swap(released, expected=None)
    assert binding_object(state, "team").read().value is None


def packed_tree() -> Tree:
    """A tree with one leaf in a pack, and one that is an object of its own."""
    reject = Reject(identity=identity_of(b""), extractor=1, code="c", sentence="", at=1)
    node = render_node("alpha", {A: reject}, at=1).node
    place = LeafPlace(pack=b"\1" * 32, offset=7, length=9)
    nodes = {"alpha": msgspec.structs.replace(node, place=place), "beta": node}
    return next_tree(EMPTY_TREE, nodes, generation=1, at=1, public=True, rejects_changed=True)


def test_a_tree_that_refers_to_packs_is_refused_by_0_1() -> None:
    """It would look for the leaf under ``leaves/``, and take the catalog for damaged."""
    with pytest.raises(TooNew, match=r"tree has format 2, but this version .* up to 1"):
        unpack_struct(encode_tree(packed_tree()), Tree01, newest=NEWEST_OF_0_1, what="tree")


def test_a_tree_whose_last_packed_name_changed_is_read_by_0_1_again() -> None:
    packed = packed_tree()
    tree = next_tree(
        packed,
        {"alpha": packed.names["beta"]},
        generation=2,
        at=2,
        public=True,
        rejects_changed=False,
    )
    read = unpack_struct(encode_tree(tree), Tree01, newest=NEWEST_OF_0_1, what="tree")
    assert read.format == 1
    assert read.names["alpha"] == read.names["beta"]


def test_the_format_of_a_tree_follows_from_its_nodes_whatever_it_says() -> None:
    lying = msgspec.structs.replace(packed_tree(), format=1)
    assert decode_tree(encode_tree(lying), what="tree") == packed_tree()


def test_the_progress_of_a_take_over_with_packs_is_refused_by_0_1() -> None:
    names = {
        name: FinishedName(b"d", node, taken_over=0, rejects_changed=False, has_pins=False)
        for name, node in packed_tree().names.items()
    }
    for known, format_written in ((names, 2), ({"beta": names["beta"]}, 1)):
        progress = TakeOverProgress(made_for="", not_after_ms=1, names=known)
        plain = msgpack.unpackb(zstd.decompress(encode_progress(progress)))
        assert plain["format"] == format_written
    body = encode_progress(TakeOverProgress(made_for="", not_after_ms=1, names=names))
    with pytest.raises(TooNew, match="progress has format 2"):
        unpack_struct(body, TakeOverProgress, newest=NEWEST_OF_0_1, what="progress")


def test_the_collector_of_0_1_deletes_no_pack() -> None:
    """It knows the folders that it collects, and packs have one of their own."""
    folders = [SUBDIR.commits, SUBDIR.trees, SUBDIR.leaves, SUBDIR.patches]
    key = SUBDIR.pack_key("ab" * 32)
    assert not any(folder.digest_of(key) for folder in [*folders, SUBDIR.taken_over_indexes])
    assert not any(key.startswith(folder.prefix) for folder in folders)
