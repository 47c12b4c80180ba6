"""What is published follows from the head alone, and never goes back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog import codec, node, tree
from sluice.catalog import entry as leaf
from sluice.catalog.entry import Entry, Record
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node
from sluice.concurrency import in_order
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, config_key
from sluice.publish.fence import PublishedFile, Stamp, replace_file
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.storage.object_store import ObjectHeaders, ObjectInfo
from testkit.memory_store import MemoryStore
from tests.property.test_merge import EXTRACTORS, STEPS, Step, play
from tests.support.staging_records import A2, SUBDIR, A, B, C, identity_of
from tests.support.subdir_world import World
from tests.unit.publish.patched_noarch import (
    PATCHED,
    RUN_EXPORTS,
    TEAM_NOARCH,
    patch_name,
    put_package,
    put_patch,
)

INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
FIELDS = st.dictionaries(
    st.text(max_size=6).filter(lambda name: name not in ("md5", "sha256", "indexed_timestamp")),
    JSON,
    max_size=4,
)


def turned(value: Any) -> Any:
    """The same with every mapping put together the other way round."""
    match value:
        case dict():
            return {key: turned(inner) for key, inner in reversed(value.items())}
        case list():
            return [turned(inner) for inner in value]
    return value


def index_files(world: World) -> dict[str, bytes]:
    """The three mutable files that are there."""
    return {name: body for name, body in world.index_files().items() if name in INDEX_FILES}


def published_anew(world: World) -> dict[str, bytes]:
    """The same head published into a bucket without index files."""
    bare = MemoryStore()
    bare.objects = {
        key: stored
        for key, stored in world.channel.objects.items()
        if key.rpartition("/")[2] not in INDEX_FILES
    }
    publisher = dataclasses.replace(world.merger.publisher, channel=bare)
    publisher.publish(SUBDIR, world.head(), CatalogReader(world.state, SUBDIR, in_order))
    return {
        file: bare.body(SUBDIR.file_key(file))
        for file in INDEX_FILES
        if SUBDIR.file_key(file) in bare.objects
    }


@given(st.lists(st.tuples(STEPS, EXTRACTORS), min_size=1, max_size=5))
def test_splicing_equals_rebuilding_after_every_merge(
    history: list[tuple[list[Step], list[int]]],
) -> None:
    world = World()
    for steps, extractors in history:
        world.stage(*play(world, steps, extractors))
        world.merge()
        assert index_files(world) == published_anew(world)


@given(
    theirs=st.sets(st.sampled_from([A, A2, B])),
    removed=st.sets(st.sampled_from([A, B, C, "alpha-0.1-0.conda", "delta-1-0.tar.bz2"])),
    info=st.dictionaries(st.text(max_size=4) | st.just("base_url"), JSON, max_size=3),
    history=st.lists(st.tuples(STEPS, EXTRACTORS), min_size=1, max_size=3),
)
def test_so_it_does_after_an_index_was_taken_over(
    theirs: set[str],
    removed: set[str],
    info: dict[str, Any],
    history: list[tuple[list[Step], list[int]]],
) -> None:
    world = World()
    world.index_as_others_do(*sorted(theirs))
    world.upload(C)
    index = json.loads(world.body())
    if not isinstance(info.get("base_url"), str):
        info.pop("base_url", None)
    index |= {"info": {**info, "subdir": SUBDIR.name}, "removed": sorted(removed)}
    world.channel.upload(SUBDIR.file_key(REPODATA), msgspec.json.encode(index))
    world.merge(create=True)
    assert index_files(world) == published_anew(world)
    assert set(json.loads(world.body())["removed"]) == removed - theirs
    for steps, extractors in history:
        world.stage(*play(world, steps, extractors))
        world.merge()
        assert index_files(world) == published_anew(world)


class Death(Exception):
    """The function is killed."""


def files_of(store: MemoryStore) -> dict[str, bytes]:
    """All files for clients but shards."""
    keys = {file: TEAM_NOARCH.file_key(file) for file in ALL_OUTPUTS}
    return {file: store.body(key) for file, key in keys.items() if key in store.objects}


def from_leaves(world: World) -> dict[str, bytes]:
    """The same head published where no file is."""
    bare = MemoryStore()
    publisher = dataclasses.replace(world.merger.publisher, channel=bare)
    publisher.publish(TEAM_NOARCH, world.head(), CatalogReader(world.state, TEAM_NOARCH, in_order))
    return files_of(bare)


def die_at(file: str | None) -> Callable[[str, str], None]:
    """Have the function killed before it writes a file, if any."""

    def before(operation: str, key: str) -> None:
        if file and operation == "PutObject" and key == TEAM_NOARCH.file_key(file):
            raise Death

    return before


CONFIGURATIONS = [
    None,
    "[sluice]\npatch = 1\n",
    RUN_EXPORTS,
    PATCHED,
    f"{PATCHED}current-repodata = true\nrepodata-bz2 = true\ntimestamps = 'reject'\n",
    f"[index-config]\nwrite-zst = false\nwrite-shards = false\n{PATCHED}",
    f"""
[index-config]
base-url = "https://example.org/"
package-revision-assignment = "latest"
repodata-revisions = ["v3"]
channel-relations = {{ base = "../x" }}
{PATCHED}""",
]
VARIANTS: list[dict[str, Any]] = [
    {"depends": ["python"]},
    {"timestamp": 2**42},
    {"extra_depends": {"gpu": ["cuda"]}},
    {"flags": ["fast"], "run_exports": {"weak": ["alpha"]}},
]
INSTRUCTIONS: list[dict[str, Any]] = [
    {"patch_instructions_version": 1},
    {"patch_instructions_version": 1, "packages": {A2: {"depends": ["patched"]}}, "revoke": [B]},
    {"patch_instructions_version": 1, "remove": [A, B]},
    {
        "patch_instructions_version": 2,
        "packages.conda": {A: {"license": "MIT", "run_exports": {"strong": ["x"]}}},
        "v3": {"conda": {A.removesuffix(".conda"): {"license": "v3"}}},
    },
]
CHANGES = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([A, A2, B]), st.sampled_from(VARIANTS)),
    st.tuples(st.just("drop"), st.sampled_from([A, A2, B]), st.none()),
    st.tuples(st.just("configure"), st.sampled_from(CONFIGURATIONS), st.none()),
    st.tuples(st.just("patch"), st.sampled_from(["1", "2"]), st.sampled_from(INSTRUCTIONS)),
    st.tuples(st.just("drop"), st.sampled_from([patch_name("1"), patch_name("2")]), st.none()),
)


def make(world: World, kind: str, what: Any, how: Any) -> None:
    """Make one change, and stage it."""
    match kind:
        case "add":
            put_package(world, what, **how)
        case "drop":
            if TEAM_NOARCH.file_key(what) in world.channel.objects:
                world.drop(what)
        case "configure":
            if what is not None or config_key(TEAM_NOARCH.channel) in world.channel.objects:
                world.configure(what)
        case _:
            put_patch(world, what, how)


@given(
    st.lists(
        st.tuples(st.lists(CHANGES, min_size=1, max_size=4), st.sampled_from([None, *ALL_OUTPUTS])),
        min_size=1,
        max_size=6,
    )
)
def test_so_it_does_whatever_becomes_of_configuration_and_patch(
    history: list[tuple[list[tuple[str, Any, Any]], str | None]],
) -> None:
    """Some merges are killed while they publish, so that the next splices over generations."""
    world = World(subdir=TEAM_NOARCH)
    for changes, killed_at in history:
        for change in changes:
            make(world, *change)
        world.channel.before = die_at(killed_at)
        with suppress(Death):
            world.merge(create=True)
            assert files_of(world.channel) == from_leaves(world)
    world.channel.before = die_at(None)
    world.merge(create=True)
    assert files_of(world.channel) == from_leaves(world)


@given(FIELDS, FIELDS)
def test_stored_and_published_bytes_do_not_depend_on_insertion_order(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    entries: dict[str, Entry] = {
        filename: Record(
            identity=identity_of(),
            extractor=1,
            record={**fields, "indexed_timestamp": 1},
            run_exports=fields,
            channeldata=fields,
        )
        for filename, fields in (("a-1-0.conda", one), ("a-1-0.tar.bz2", other))
    }
    other_way = {
        filename: Record(
            identity=identity_of(),
            extractor=1,
            record=turned(entry.record),
            run_exports=turned(entry.run_exports),
            channeldata=turned(entry.channeldata),
        )
        for filename, entry in reversed(entries.items())
        if isinstance(entry, Record)
    }
    rendered = node.render_node("a", entries, at=5)
    assert node.render_node("a", other_way, at=5) == rendered
    assert leaf.decode_leaf(rendered.leaf_body, what="leaf").entries == entries


@given(st.dictionaries(st.text(max_size=5), st.binary(min_size=1, max_size=4), max_size=8))
def test_a_tree_does_not_depend_on_insertion_order(leaves: dict[str, bytes]) -> None:
    nodes = {
        name: Node(
            leaf=body,
            shard=None,
            listing=b"",
            records=0,
            rejects=0,
            extractor=1,
            oldest=None,
            newest=None,
        )
        for name, body in leaves.items()
    }

    def encode(names: dict[str, Node | None]) -> bytes:
        return tree.encode_tree(
            tree.next_tree(
                tree.EMPTY_TREE, names, generation=1, at=1, public=True, rejects_changed=False
            )
        )

    assert encode(dict(nodes)) == encode(dict(reversed(nodes.items())))
    assert tree.decode_tree(encode(dict(nodes)), what="tree").names == nodes


@given(JSON)
def test_what_is_packed_comes_back(content: Any) -> None:
    class Thing(msgspec.Struct):
        content: Any
        format: int = 1

    assert codec.unpack_struct(
        codec.pack_struct(Thing(content), what="thing"), Thing, newest=1, what="thing"
    ) == Thing(content)


GENERATIONS = st.integers(1, 6)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), st.integers(0, 2), GENERATIONS),
        st.tuples(st.just("write"), st.integers(0, 2), GENERATIONS),
        st.tuples(st.just("foreign"), st.integers(0, 2), GENERATIONS),
    ),
    max_size=20,
)


@given(ACTIONS)
def test_no_publisher_ever_replaces_a_file_by_one_of_an_older_generation(
    actions: list[tuple[str, int, int]],
) -> None:
    """Three publishers whose looks may be old by the time they write, and another tool."""
    store = MemoryStore()
    looks: dict[int, ObjectInfo | None] = {}
    for action, who, generation in actions:
        before = store.objects.get("index")
        if action == "look":
            looks[who] = store.head("index")
        elif action == "foreign":
            store.upload("index", f"foreign {generation}".encode())
        else:
            mine = Stamp(generation, "tree", "me")
            page = PublishedFile("index", f"{mine}".encode(), ObjectHeaders("application/json"))
            replace_file(store, page, mine, info=looks.get(who))
            after = store.objects["index"]
            assert after == before or Stamp.parse(after.info.metadata) == mine
            replaced = Stamp.parse(before.info.metadata) if before else None
            assert after == before or replaced is None or replaced.generation < generation
