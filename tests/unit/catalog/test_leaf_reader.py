"""Leaves in packs are read with few requests, and never taken for what they are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.catalog import leaf_reader
from sluice.catalog.leaf_reader import stored_key
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node
from sluice.concurrency import Executor, in_order, in_threads
from sluice.errors import Corrupt, Missing
from testkit.memory_store import MemoryStore
from tests.support.packed import add_names, filename, pack_from, packs, place_of
from tests.support.staging_records import SUBDIR
from tests.support.subdir_world import World

NAMES = [f"p{number:02}" for number in range(20)]


@pytest.fixture
def world() -> World:
    world = World()
    add_names(world, NAMES)
    world.state.requests.clear()
    return world


def nodes_of(world: World, *names: str) -> list[Node]:
    known = world.tree().names
    world.state.requests.clear()
    return [known[name] for name in names]


def catalog(world: World, executor: Executor = in_order) -> CatalogReader:
    return CatalogReader(world.state, SUBDIR, executor)


def read_names(reader: CatalogReader, nodes: list[Node]) -> list[str]:
    """The files of each of some nodes."""
    return [file for entries in reader.entries(nodes) for file in entries]


def bytes_read(world: World) -> int:
    return sum(request.received for request in world.state.requests)


def test_one_leaf_of_a_pack_is_read_as_a_range(world: World) -> None:
    (node,) = nodes_of(world, "p07")
    assert read_names(catalog(world), [node]) == [filename("p07")]
    (request,) = world.state.requests
    assert request.key == SUBDIR.pack_key(place_of(node).pack.hex())
    assert request.received == place_of(node).length


def test_leaves_that_lie_apart_are_read_in_a_request_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaf_reader, "PACK_GAP_BYTES_MAX", 0)
    nodes = nodes_of(world, "p19", "p01", "p02", "p12")
    assert read_names(catalog(world), nodes) == [filename(n) for n in ("p19", "p01", "p02", "p12")]
    assert len(world.state.requests) == 3  # two are neighbours
    assert bytes_read(world) == sum(place_of(node).length for node in nodes)


def test_up_to_the_limit_what_lies_between_is_read_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, between, last = nodes_of(world, "p01", "p02", "p03")
    for limit, requests in ((place_of(between).length, 1), (place_of(between).length - 1, 2)):
        monkeypatch.setattr(leaf_reader, "PACK_GAP_BYTES_MAX", limit)
        world.state.requests.clear()
        assert len(read_names(catalog(world), [first, last])) == 2
        assert len(world.state.requests) == requests


@pytest.mark.parametrize("executor", [in_order, in_threads(4)], ids=["in order", "in threads"])
def test_who_reads_all_names_reads_each_byte_of_a_pack_once(
    world: World, executor: Executor
) -> None:
    reader, nodes = catalog(world, executor), nodes_of(world, *NAMES)
    (pack,) = packs(world)
    world.state.requests.clear()
    assert read_names(reader, nodes[:10]) == [filename(name) for name in NAMES[:10]]
    assert read_names(reader, nodes[10:]) == [filename(name) for name in NAMES[10:]]
    key = SUBDIR.pack_key(pack)
    assert world.state.operations() == [("GetObject", key)] * 2
    assert bytes_read(world) == len(world.state.body(key))


def test_what_is_read_ahead_is_read_with_as_few_requests(world: World) -> None:
    reader, nodes = catalog(world), nodes_of(world, *NAMES)
    reader.prefetch([*nodes, None])
    assert read_names(reader, nodes) == [filename(name) for name in NAMES]
    assert len(world.state.requests) == 1


def test_leaves_of_packs_and_others_are_read_together(world: World) -> None:
    add_names(world, ["p03", "single"], version=2)
    nodes = nodes_of(world, *NAMES, "single")
    files = read_names(catalog(world), nodes)
    assert sorted(files) == sorted(
        [*map(filename, NAMES), filename("p03", 2), filename("single", 2)]
    )
    assert len(world.state.requests) == 3  # a part of the pack, and two leaves


def test_a_missing_pack_is_corrupt_and_named(world: World) -> None:
    (pack,) = packs(world)
    nodes = nodes_of(world, *NAMES)
    world.state.remove(SUBDIR.pack_key(pack))
    for some in (nodes[:1], nodes):
        with pytest.raises(Missing, match="there is no such pack") as missing:
            catalog(world).entries(some)
        assert missing.value.key == SUBDIR.pack_key(pack)


def damage(world: World, node: Node) -> None:
    """Change a byte of one leaf in its pack."""
    key = stored_key(SUBDIR, node)
    body = bytearray(world.state.body(key))
    body[place_of(node).offset + place_of(node).length // 2] ^= 1
    world.state.upload(key, bytes(body))


def test_a_damaged_leaf_is_corrupt_and_damages_no_other(world: World) -> None:
    nodes = nodes_of(world, *NAMES)
    damage(world, nodes[4])
    with pytest.raises(Corrupt, match="the bytes do not match the digest of leaf"):
        catalog(world).entries(nodes[4:5])
    with pytest.raises(Corrupt, match=f"at offset {place_of(nodes[4]).offset}:"):
        catalog(world).entries(nodes)
    others = nodes[:4] + nodes[5:]
    assert len(read_names(catalog(world), others)) == 19
    reader = catalog(world)
    reader.prefetch(nodes)
    assert len(read_names(reader, others)) == 19
    with pytest.raises(Corrupt):
        reader.entries(nodes[4:5])


def test_a_pack_that_ends_early_is_corrupt_behind_its_end(world: World) -> None:
    nodes = nodes_of(world, *NAMES)
    key = stored_key(SUBDIR, nodes[0])
    world.state.upload(key, world.state.body(key)[: place_of(nodes[10]).offset])
    assert len(read_names(catalog(world), nodes[:10])) == 10
    for some in (nodes[10:11], nodes[19:], nodes[10:]):
        with pytest.raises(Corrupt):
            catalog(world).entries(some)


def from_the_beginning(plain: Callable[..., bytes | None]) -> Callable[..., bytes | None]:
    """The right number of bytes, from the wrong place: whole leaves of others, perhaps."""
    return lambda key, _start, length: plain(key, 0, length)


def nothing(_plain: object) -> Callable[..., bytes | None]:
    """What ``get_range`` gives where the server ignores ranges."""
    return lambda *_args: b""


@pytest.mark.parametrize("answer", [from_the_beginning, nothing])
def test_a_range_with_other_bytes_is_not_believed_and_the_whole_pack_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Callable[..., bytes]]
) -> None:
    nodes = nodes_of(world, "p03", "p04")
    state: MemoryStore = world.state
    monkeypatch.setattr(state, "get_range", answer(state.get_range))
    assert read_names(catalog(world), nodes) == [filename("p03"), filename("p04")]


def test_the_key_of_a_leaf_is_that_of_the_object_that_it_is_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (packed,) = nodes_of(world, "p00")
    assert stored_key(SUBDIR, packed) == SUBDIR.pack_key(place_of(packed).pack.hex())
    pack_from(monkeypatch, 100)
    add_names(world, ["p00"], version=2)
    (alone,) = nodes_of(world, "p00")
    assert stored_key(SUBDIR, alone) == SUBDIR.leaf_key(alone.leaf.hex())
