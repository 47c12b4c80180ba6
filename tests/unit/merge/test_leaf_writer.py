"""Which leaves of a commit become objects of their own, and which a part of a pack."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from sluice.catalog.tree import Node
from sluice.concurrency import Pending, in_order
from sluice.errors import Unavailable
from sluice.layout import Subdir
from sluice.limits import (
    PACK_BYTES_MAX,
    PACKED_LEAF_BYTES_MAX,
    PACKED_LEAVES_MIN,
    PACKS_AT_ONCE_MAX,
)
from sluice.merge.leaf_writer import LeafWriter
from sluice.runtime import Runtime
from testkit.memory_queue import MemoryQueue
from testkit.memory_store import MemoryStore
from tests.support.packed import add_names, filename, pack_from, packs
from tests.support.subdir_world import World

SUBDIR = Subdir("team", "linux-64")


class InProgress:
    """An executor whose calls end only when they are waited for."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def map(self, function: Callable[..., object], items: object, /) -> list[object]:
        raise NotImplementedError

    def submit(self, function: Callable[[], object], /) -> Pending[object]:
        self.now += 1
        self.most = max(self.most, self.now)
        results: list[object] = []

        def wait() -> object:
            if not results:
                results.append(function())
                self.now -= 1
            return results[0]

        return wait


class Writing:
    """A writer over an empty state."""

    def __init__(self, executor: object = in_order, *, leaves_max: int = 10_000) -> None:
        self.state = MemoryStore()
        self.writes: list[Pending[None]] = []
        runtime = Runtime(
            channel=MemoryStore(),
            state=self.state,
            merge_queue=MemoryQueue(lambda: 0),
            executor=executor,  # type: ignore[arg-type]
            clock=lambda: 0,
            new_id=str,
            debounce_seconds=3,
        )
        self.writer = LeafWriter(runtime, SUBDIR, self.writes, leaves_max=leaves_max)
        self.bodies: dict[str, bytes] = {}

    def add(self, name: str, body: bytes) -> None:
        self.bodies[name] = body
        node = Node(sha256(body).digest(), None, b"", 1, 0, 1, None, None)
        self.writer.add(name, node, body)

    def finish(self) -> dict[str, Node]:
        """Write the rest; returns the nodes, each of which is then held against what is stored."""
        self.writer.finish()
        while self.writes:
            self.writes.pop()()
        assert not self.writer.waiting_names
        nodes = self.writer.take_settled()
        for name, node in nodes.items():
            assert self.stored(node) == self.bodies[name]
        return nodes

    def stored(self, node: Node) -> bytes:
        if node.place is None:
            return self.state.body(SUBDIR.leaf_key(node.leaf.hex()))
        return node.place.cut(self.state.body(SUBDIR.pack_key(node.place.pack.hex())))

    @property
    def keys(self) -> tuple[int, int]:
        """Leaves of their own, and packs."""
        return len(self.state.keys("leaves/")), len(self.state.keys("packs/"))


def body(number: int, length: int = 100) -> bytes:
    return str(number).encode().rjust(length, b".")


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        (0, (0, 0)),
        (1, (1, 0)),
        (PACKED_LEAVES_MIN - 1, (PACKED_LEAVES_MIN - 1, 0)),
        (PACKED_LEAVES_MIN, (0, 1)),
        (3000, (0, 1)),
    ],
)
def test_only_many_leaves_are_packed(leaves: int, expected: tuple[int, int]) -> None:
    writing = Writing()
    for number in range(leaves):
        writing.add(str(number), body(number))
    assert len(writing.finish()) == leaves
    assert writing.keys == expected


def test_where_there_cannot_be_enough_for_a_pack_no_leaf_waits() -> None:
    writing = Writing(leaves_max=PACKED_LEAVES_MIN - 1)
    for number in range(PACKED_LEAVES_MIN - 1):
        writing.add(str(number), body(number))
        assert writing.keys == (number + 1, 0)
        assert writing.writer.take_settled().keys() == {str(number)}


def test_packs_are_bounded_and_what_is_left_is_a_pack_or_a_leaf() -> None:
    for left, expected in ((0, (0, 2)), (1, (1, 2)), (2, (0, 3))):
        writing = Writing()
        for number in range(32 + left):
            writing.add(str(number), body(number, PACKED_LEAF_BYTES_MAX))
        writing.finish()
        assert writing.keys == expected
        sizes = [stored.info.size for key, stored in writing.state.objects.items() if "pack" in key]
        assert max(sizes) == PACK_BYTES_MAX


def test_a_large_leaf_is_an_object_of_its_own() -> None:
    writing = Writing()
    for number in range(PACKED_LEAVES_MIN):
        writing.add(str(number), body(number))
    writing.add("large", body(0, PACKED_LEAF_BYTES_MAX + 1))
    nodes = writing.finish()
    assert writing.keys == (1, 1)
    assert nodes["large"].place is None


def test_a_pack_that_is_full_proves_that_there_are_many() -> None:
    """So no commit of fewer leaves writes one."""
    least = PACK_BYTES_MAX // PACKED_LEAF_BYTES_MAX + 1
    assert least >= PACKED_LEAVES_MIN


def test_a_node_is_settled_once_its_pack_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    pack_from(monkeypatch, 2, pack_bytes=250)
    writing = Writing()
    writing.add("a", body(1))
    writing.add("b", body(2))
    assert writing.writer.take_settled() == {}
    assert writing.writer.waiting_names == {"a", "b"}
    writing.add("c", body(3))
    settled = writing.writer.take_settled()
    assert settled.keys() == {"a", "b"}
    assert all(node.place for node in settled.values())
    assert writing.writer.waiting_names == {"c"}
    assert writing.finish().keys() == {"c"}


def test_no_more_packs_than_the_limit_are_in_memory() -> None:
    executor = InProgress()
    writing = Writing(executor)
    for number in range(16 * 12):
        writing.add(str(number), body(number, PACKED_LEAF_BYTES_MAX))
    writing.finish()
    assert writing.keys == (0, 12)
    assert executor.most <= PACKS_AT_ONCE_MAX


def test_a_pack_that_cannot_be_written_is_an_error_of_the_draft() -> None:
    writing = Writing()

    def fail(operation: str, key: str) -> None:
        raise Unavailable(f"{operation} {key}")

    writing.state.before = fail
    for number in range(PACKED_LEAVES_MIN):
        writing.add(str(number), body(number))
    writing.writer.finish()
    with pytest.raises(Unavailable, match="PutObject packs/team/linux-64/"):
        writing.writes[-1]()


# --- in merges --------------------------------------------------------------------------------

NAMES = [f"p{number:02}" for number in range(20)]


def test_a_commit_of_many_names_writes_one_object_for_their_leaves() -> None:
    world = World()
    add_names(world, NAMES)
    assert world.state.keys("leaves/") == []
    assert len(world.state.keys("packs/")) == 1
    assert world.published().keys() == {filename(name) for name in NAMES}
    assert world.tree().format == 2


def test_a_channel_that_grows_by_single_uploads_has_no_pack() -> None:
    world = World()
    for name in NAMES:
        add_names(world, [name])
    assert world.state.keys("packs/") == []
    assert len(world.tree().names) == len(NAMES)
    assert world.tree().format == 1


def test_leaves_of_one_commit_share_a_pack_however_few_names_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice.merge.generation_writer.NAMES_AT_ONCE", 3)
    world = World()
    add_names(world, NAMES)
    assert len(world.state.keys("packs/")) == 1
    assert world.published().keys() == {filename(name) for name in NAMES}


def test_a_name_that_changes_leaves_its_pack_and_the_others_stay() -> None:
    world = World()
    add_names(world, NAMES)
    (pack,) = packs(world)
    add_names(world, ["p03"], version=2)
    nodes = world.tree().names
    assert nodes["p03"].place is None
    assert packs(world) == {pack}
    assert sum(node.place is not None for node in nodes.values()) == len(NAMES) - 1
    assert {filename("p03"), filename("p03", 2)} <= world.published().keys()


def test_the_same_content_at_another_time_is_another_pack() -> None:
    world = World()
    add_names(world, NAMES)
    first = packs(world)
    for name in NAMES:
        world.add(filename(name), b"other")
    world.merge()
    for name in NAMES:
        world.add(filename(name))
    world.merge()
    assert not packs(world) & first


def test_a_tree_without_packs_is_of_the_old_format_again() -> None:
    world = World()
    add_names(world, NAMES)
    for name in NAMES:
        add_names(world, [name], version=2)
    assert packs(world) == set()
    assert world.tree().format == 1


def test_a_merge_that_is_killed_before_any_of_its_writes_leaves_what_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pack_from(monkeypatch, 2, pack_bytes=600)

    class KilledError(Exception):
        pass

    for point in range(200):
        world = World()
        add_names(world, NAMES[:3])
        for name in NAMES[3:9]:
            world.add(filename(name))
        count = 0

        def die(operation: str, _key: str, *, at: int = point) -> None:
            nonlocal count
            if operation == "PutObject":
                count += 1
                if count > at:
                    raise KilledError

        world.state.before = die
        try:
            world.merge()
        except KilledError:
            world.state.before = lambda *_: None
            world.replace_execution_environment()
            world.merge()
            assert world.published().keys() == {filename(name) for name in NAMES[:9]}
        else:
            assert point > 5
            return
    pytest.fail("it never ended")
