"""What a commit of many names costs: a request for each shard, and next to none for the leaves."""

from __future__ import annotations

from collections import Counter

from testkit.memory_store import MemoryStore
from tests.support.packed import add_names, filename, packs
from tests.support.standalone_channel import StandaloneChannel, package
from tests.support.subdir_world import World

NAMES = [f"p{number:04}" for number in range(600)]
UPLOADED = NAMES[::2]
FEW = 60
"""Requests that do not depend on the number of names: listings, heads, index files."""


def requests(store: MemoryStore) -> Counter[tuple[str, str]]:
    """How many requests there were, by operation and kind of object."""
    return Counter(
        (request.operation, "shards" if "/shards/" in request.key else request.key.split("/")[0])
        for request in store.requests
    )


def test_a_burst_reads_parts_of_the_pack_of_its_names_and_writes_one() -> None:
    world = World()
    add_names(world, NAMES)
    world.replace_execution_environment()
    for name in UPLOADED:
        world.add(filename(name, 2))
    for store in (world.state, world.channel):
        store.requests.clear()
    world.merge()
    state, channel = requests(world.state), requests(world.channel)
    assert state["GetObject", "packs"] == 2  # 256 names at once
    assert state["PutObject", "packs"] == 1
    assert state["GetObject", "leaves"] == state["PutObject", "leaves"] == 0
    assert channel["PutObject", "shards"] == len(UPLOADED)
    assert state["GetObject", "staging"] == len(UPLOADED)
    assert state.total() + channel.total() <= 2 * len(UPLOADED) + FEW
    assert world.published().keys() == {
        *map(filename, NAMES),
        *(filename(name, 2) for name in UPLOADED),
    }
    assert len(packs(world)) == 2


def test_one_upload_into_a_channel_of_packs_costs_what_it_costs_elsewhere() -> None:
    def cost(world: World) -> int:
        world.replace_execution_environment()
        world.add(filename("p0042", 2))
        before = len(world.state.requests) + len(world.channel.requests)
        world.merge()
        return len(world.state.requests) + len(world.channel.requests) - before

    packed, single = World(), World()
    add_names(packed, NAMES)
    add_names(single, ["p0042"])
    assert cost(packed) == cost(single)


def test_a_first_index_reads_each_package_and_writes_each_shard() -> None:
    world = StandaloneChannel()
    world.upload(*map(package, NAMES))
    world.index()
    state, public = requests(world.state), requests(world.public)
    assert public["PutObject", "shards"] == len(NAMES)
    assert state["PutObject", "leaves"] == 0
    assert state["PutObject", "packs"] == 1
    assert state.total() + public.total() <= 2 * len(NAMES) + 2 * FEW
    assert len(world.filenames()) == len(NAMES)
