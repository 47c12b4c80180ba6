from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from msgspec import UNSET, structs

from sluice.admin.changes.pins import PinnedFile, pin, pins, unpin
from sluice.admin.changes.wait_published import is_published, wait_until_published
from sluice.catalog.codec import content_digest
from sluice.catalog.entry import DIGESTS_FALSE, NEVER_OUTDATED, Pin
from sluice.catalog.head import head_object, read_head
from sluice.catalog.tree import decode_tree, encode_tree
from sluice.errors import NotFound, Unavailable
from sluice.layout import Subdir
from sluice.storage.object_id import ObjectId
from testkit.channel import Package, conda
from tests.support.admin_channel import admin_channel
from tests.support.reconcile_runs import ReconcileRuns, is_quiet
from tests.support.staging_records import SUBDIR, A, B, rejected
from tests.support.subdir_world import World

PACKAGE = conda(
    {"name": "real", "version": "1.0", "build": "0", "build_number": 0, "subdir": "linux-64"}
)
REAL = PACKAGE.filename


def with_real(package: Package = PACKAGE) -> World:
    """A package that can be read, in the index."""
    world = World()
    world.add(package.filename, package.body)
    world.add(A)
    world.merge()
    return world


def keep_out(world: World, *files: str, reason: str = "Broken.") -> None:
    world.tick()
    pin(admin_channel(world), world.subdir, files, reason=reason)
    world.merge()


def let_in(world: World, *files: str) -> None:
    world.tick()
    unpin(admin_channel(world), world.subdir, files)
    world.merge()


def test_what_is_pinned_leaves_the_index_and_is_listed() -> None:
    world = with_real()
    keep_out(world, REAL)
    at = world.now_ms - 1000
    assert list(world.published()) == [A]
    assert pins(admin_channel(world)) == [
        PinnedFile(subdir="linux-64", file=REAL, since=at, reason="Broken.")
    ]
    amendment = world.commit().amendment
    assert amendment is not UNSET
    assert (amendment.pinned, amendment.reason, amendment.rolled_back_to) == (
        [REAL],
        "Broken.",
        None,
    )


def test_a_file_can_be_pinned_before_it_is_indexed() -> None:
    world = with_real()
    world.add(B)
    keep_out(world, B)
    assert B not in world.published()
    assert isinstance(world.entries()[B], Pin)


def test_a_file_that_is_nowhere_cannot_be_pinned() -> None:
    world = with_real()
    head = world.head()
    with pytest.raises(NotFound, match=f"no Conda/Default/linux-64/{B} in channels"):
        pin(admin_channel(world), SUBDIR, [A, B], reason="Broken.")
    assert world.head() == head


def test_pinning_again_changes_nothing() -> None:
    world = with_real()
    keep_out(world, REAL)
    generation = world.head().generation
    assert pin(admin_channel(world), SUBDIR, [REAL], reason="Again.").committed is None
    assert world.head().generation == generation


def test_what_is_unpinned_is_read_again_and_is_in_the_index_with_the_next_merge() -> None:
    world = with_real()
    before = world.published()[REAL]
    keep_out(world, REAL)
    let_in(world, REAL)
    after = world.published()[REAL]
    assert after["sha256"] == before["sha256"]
    assert after["depends"] == []
    assert pins(admin_channel(world)) == []
    assert json.loads(world.body())["removed"] == []
    assert world.staged() == []


def test_what_was_rejected_for_false_digests_comes_back_with_those_that_it_has() -> None:
    world = with_real()
    identity = ObjectId.from_info(world.channel.objects[SUBDIR.file_key(REAL)].info)
    reject = rejected(REAL, identity=identity, at=world.now_ms, extractor=NEVER_OUTDATED)
    world.stage(structs.replace(reject, code=DIGESTS_FALSE))
    world.merge()
    assert list(world.published()) == [A]
    keep_out(world, REAL)
    let_in(world, REAL)
    assert world.published()[REAL]["sha256"] == sha256(PACKAGE.body).hexdigest()


def test_history_tells_what_was_unpinned() -> None:
    world = with_real()
    keep_out(world, REAL)
    world.tick()
    done = unpin(admin_channel(world), SUBDIR, [REAL])
    amendment = world.commit().amendment
    assert amendment is not UNSET
    assert (amendment.unpinned, done.generation) == ([REAL], world.head().generation)
    assert (done.indexed, done.rejected, done.gone) == ([REAL], [], [])


def test_what_cannot_be_indexed_or_is_gone_is_told_when_it_is_unpinned() -> None:
    world = with_real()
    world.add(B)
    world.merge()
    keep_out(world, A, B)
    world.remove(B)
    done = unpin(admin_channel(world), SUBDIR, [A, B])
    world.merge()
    assert (done.indexed, done.rejected, done.gone) == ([], [A], [B])
    assert [reject["filename"] for reject in world.rejects()] == [A]


def test_what_is_unpinned_and_not_there_any_more_is_forgotten() -> None:
    world = with_real()
    keep_out(world, REAL)
    world.remove(REAL)
    let_in(world, REAL)
    assert REAL not in world.entries()


def test_what_is_not_pinned_cannot_be_unpinned() -> None:
    world = with_real()
    keep_out(world, REAL)
    head = world.head()
    with pytest.raises(NotFound, match=f"{A} is not pinned"):
        unpin(admin_channel(world), SUBDIR, [REAL, A])
    assert world.head() == head


def test_a_merge_that_is_faster_than_the_unpinning_does_not_swallow_the_package() -> None:
    """It meets the package while it is pinned, and consumes what was staged of it."""
    world = with_real()
    keep_out(world, REAL)
    world.tick()
    merged: list[int] = []

    def merge_first(operation: str, key: str) -> None:
        if (operation, key) == ("PutObject", SUBDIR.head_key) and not merged:
            merged.append(world.head().generation)
            world.merge()

    world.state.before = merge_first
    unpin(admin_channel(world), SUBDIR, [REAL])
    world.merge()
    assert merged
    assert REAL in world.published()


def test_the_same_bytes_uploaded_again_are_found_without_an_event() -> None:
    world = World()
    runs = ReconcileRuns(world)
    world.add(A)
    world.add(B)
    world.merge()
    keep_out(world, A)
    world.deliver()
    assert is_quiet(runs.run())
    world.upload(A, A.encode())
    runs.run()
    assert runs.requeued_keys() == [world.subdir.file_key(A)]
    runs.handle_requests()
    assert sorted(world.published()) == [A, B]
    assert is_quiet(runs.run())


def test_a_pinned_file_that_is_gone_is_found_without_an_event() -> None:
    world = World()
    runs = ReconcileRuns(world)
    world.add(A)
    world.merge()
    keep_out(world, A)
    world.remove(A)
    runs.run()
    runs.handle_requests()
    assert world.entries() == {}


def test_a_channel_at_the_root_has_pins_too() -> None:
    root = Subdir("", "linux-64")
    world = World(subdir=root)
    world.add(A)
    world.merge()
    world.tick()
    pin(admin_channel(world), root, [A], reason="x")
    assert [one.file for one in pins(admin_channel(world))] == [A]


def test_without_a_stack_the_pin_is_published_in_this_process() -> None:
    world = with_real()
    world.tick()
    alone = replace(admin_channel(world), merges=None, owner=None)
    done = pin(alone, SUBDIR, [REAL], reason="x").committed
    assert done
    assert not is_published(alone, SUBDIR, done.generation)
    wait_until_published(alone, SUBDIR, done.generation)
    assert is_published(alone, SUBDIR, done.generation)
    assert list(world.published()) == [A]
    assert world.staged() == []


def test_what_is_not_published_in_time_is_said_to_be_committed() -> None:
    world = with_real()
    world.tick()
    done = pin(admin_channel(world), SUBDIR, [REAL], reason="x").committed
    assert done
    pauses: list[float] = []
    with pytest.raises(Unavailable, match="is committed, but was not published within 3 seconds"):
        wait_until_published(
            admin_channel(world), SUBDIR, done.generation, pause=pauses.append, seconds_max=3
        )
    assert pauses == [1, 1, 1]


def leaves_read(world: World) -> int:
    """How many leaves a listing of the pins reads."""
    read: list[str] = []

    def note(operation: str, key: str) -> None:
        if operation == "GetObject" and key.startswith("leaves/"):
            read.append(key)

    before, world.state.before = world.state.before, note
    try:
        pins(admin_channel(world))
    finally:
        world.state.before = before
    return len(read)


def test_only_names_that_have_pins_are_read() -> None:
    world = World()
    for number in range(20):
        world.add(f"name{number}-1.0-0.conda")
    world.add(A)
    world.merge()
    assert leaves_read(world) == 0
    keep_out(world, A)
    assert leaves_read(world) == 1
    world.add(B)
    world.merge()
    assert leaves_read(world) == 1
    assert [pinned.file for pinned in pins(admin_channel(world))] == [A]
    world.add(A)  # another object, which the pin is not about
    world.merge()
    assert (leaves_read(world), pins(admin_channel(world))) == (0, [])


def test_where_it_is_not_known_which_names_have_pins_all_are_read() -> None:
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    keep_out(world, A)
    forget_pinned(world)
    assert leaves_read(world) == 2
    assert [pinned.file for pinned in pins(admin_channel(world))] == [A]
    world.add(B)
    world.merge()
    assert leaves_read(world) == 2
    assert [pinned.file for pinned in pins(admin_channel(world))] == [A]


def forget_pinned(world: World) -> None:
    """Make the tree one that an older sluice has written."""
    head = read_head(world.state, SUBDIR)
    key = SUBDIR.tree_key(head.value.tree or "")
    tree = decode_tree(world.state.body(key) or b"", what=key)
    assert tree.pinned == ["alpha"]
    body = encode_tree(structs.replace(tree, pinned=UNSET))
    older = structs.replace(head.value, tree=content_digest(body), writer="older")
    world.state.upload(SUBDIR.tree_key(content_digest(body)), body)
    head_object(world.state, SUBDIR).swap(older, expected=head.etag)
