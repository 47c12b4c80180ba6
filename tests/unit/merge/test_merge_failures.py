"""What a merge does about objects that it cannot read, deaths, races and other owners."""

from __future__ import annotations

import json

import msgpack
import pytest

from sluice import zstd
from sluice.catalog import tree
from sluice.errors import Corrupt, ForeignOwner, TooNew, Unavailable
from sluice.extract import staging
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.limits import MERGE_ATTEMPTS_MAX
from sluice.merge.apply_staging import CommitChanges
from sluice.merge.merge import merge
from sluice.messages.merge_request import MergeRequest
from sluice.publish.fence import Stamp
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import A2, SUBDIR, A, B, C, indexed, record_of, removed
from tests.support.subdir_world import World, unzstd

KEYS = [SUBDIR.file_key(file) for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)]


# --- what cannot be read --------------------------------------------------------------------------


def test_an_unreadable_staging_record_is_set_aside_and_the_others_are_merged() -> None:
    world = World()
    key = SUBDIR.staging_key(B, "1")
    world.state.upload(key, b"\xff garbage")
    world.add(A)
    report = world.merge()
    assert (report.staged, report.set_aside) == (1, 1)
    assert world.published().keys() == {A}
    assert world.staged() == []
    assert world.state.body(SUBDIR.unreadable_staging_key(key)) == b"\xff garbage"


def test_a_staging_record_of_a_newer_sluice_stays_untouched_and_stops_nothing() -> None:
    world = World()
    world.upload(B)
    key = SUBDIR.staging_key(B, "1")
    body = staging.encode_staging_record(removed(B)).replace(b'"format":1', b'"format":3')
    world.state.upload(key, body)
    world.add(A)
    report = world.merge()
    assert (report.staged, report.too_new) == (1, 1)
    assert world.published().keys() == {A}
    assert (world.staged(), world.state.body(key)) == ([key], body)


@pytest.mark.parametrize("kind", ["head", "tree", "leaf"])
def test_a_catalog_of_a_newer_sluice_is_refused_without_touching_anything(kind: str) -> None:
    world = World()
    world.add(A)
    world.merge()
    make_newer(world, kind)
    world.replace_execution_environment()
    world.add(A2)
    before = (dict(world.channel.objects), dict(world.state.objects))
    with pytest.raises(TooNew, match="has format"):
        world.merge()
    assert (world.channel.objects, world.state.objects) == before


def make_newer(world: World, kind: str) -> None:
    """Raise the format of one stored object."""
    digest = world.head().tree
    assert digest
    match kind:
        case "head":
            key = SUBDIR.head_key
            body = world.state.body(key).replace(b'"format":1', b'"format":2')
        case "tree":
            key = SUBDIR.tree_key(digest)
            body = newer(world.state.body(key))
        case _:
            key = SUBDIR.leaf_key(world.tree().names["alpha"].leaf.hex())
            body = newer(world.state.body(key))
    world.state.upload(key, body)


def newer(body: bytes) -> bytes:
    """The same content in a format that is newer than any."""
    content = msgpack.unpackb(unzstd(body))
    packed: bytes = zstd.compress(msgpack.packb({**content, "format": tree.FORMAT + 1}))
    return packed


def test_one_object_that_head_refuses_stops_no_other() -> None:
    """S3 answers 400 or 403 where an uploader has encrypted it with a key of his own."""

    def refuse(operation: str, key: str) -> None:
        if (operation, key) == ("HeadObject", SUBDIR.file_key(B)):
            raise Unavailable(f"{operation} {key}: 403")

    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.add(C)
    world.upload(B, b"encrypted")
    world.stage(indexed(B))
    world.channel.before = refuse
    world.merge()
    assert world.published().keys() == {A, B, C}
    world.channel.remove(SUBDIR.file_key(B))
    world.stage(removed(B))
    world.merge()
    assert world.published().keys() == {A, C}


def test_a_leaf_of_the_last_index_that_was_collected_is_not_needed() -> None:
    world = World()
    world.add(A)
    world.merge()
    collected = world.state.keys("leaves/")
    published = {key: world.channel.objects[key] for key in KEYS}
    world.add(A, b"other")
    world.merge()
    world.channel.objects.update(published)  # as if this merge had died before it published
    for key in collected:
        world.state.remove(key)
    world.merge()
    assert world.published()[A]["sha256"] == record_of(A, b"other")["sha256"]


def test_a_head_that_cannot_be_read_is_not_taken_for_none() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.state.upload(SUBDIR.head_key, b"")
    world.add(B)
    with pytest.raises(Corrupt):
        world.merge()
    assert world.published().keys() == {A}
    assert len(world.staged()) == 1


# --- crashes, races and other owners --------------------------------------------------------------


def test_what_died_between_commit_and_publish_is_finished_by_the_next_merge() -> None:
    world = World()
    world.add(A)
    world.channel.before = at_request("HeadObject", SUBDIR.file_key(SHARD_INDEX), kill_process)
    with pytest.raises(ProcessKilled):
        world.merge()
    assert world.head().generation == 1
    assert world.index_files().keys().isdisjoint({SHARD_INDEX, REPODATA_ZST, REPODATA})
    assert len(world.staged()) == 1
    report = world.merge()
    assert (report.generation, report.files_written) == (1, 3)
    assert world.published().keys() == {A}
    assert world.staged() == []


def test_staging_is_deleted_only_after_everything_is_published() -> None:
    world = World()
    world.add(A)
    merged = world.staged()
    order: list[str] = []

    def note(operation: str, key: str) -> None:
        if operation in ("PutObject", "DeleteObjects"):
            order.append(key)

    world.channel.after = world.state.after = note
    world.merge()
    assert order[-4:] == [*KEYS, *merged]
    assert world.staged() == []


def test_exactly_the_records_that_were_read_are_deleted() -> None:
    world = World()
    world.add(A)

    def stage_more() -> None:
        world.add(B)

    world.channel.before = at_request("PutObject", SUBDIR.file_key(REPODATA), stage_more)
    world.merge()
    assert world.published().keys() == {A}
    assert [key.split("/")[3] for key in world.staged()] == [B]
    world.merge()
    assert world.published().keys() == {A, B}


def test_a_merge_that_loses_the_head_starts_over_from_what_is_there_now() -> None:
    world = World()
    world.add(A)
    world.add(B)

    def another_merge() -> None:
        world.remove(B)
        world.merge()

    world.state.before = at_request("PutObject", SUBDIR.head_key, another_merge)
    report = world.merge()
    assert world.published().keys() == {A}
    assert report.difference == CommitChanges()
    assert (report.generation, report.staged) == (1, 0)


def test_a_merge_that_always_loses_gives_the_message_back() -> None:
    world = World()
    world.add(A)
    lost = 0

    def overtake(operation: str, key: str) -> None:
        nonlocal lost
        if (operation, key) == ("PutObject", SUBDIR.head_key):
            lost += 1
            body = json.dumps(
                {
                    "generation": 0,
                    "epoch": lost,
                    "commit": None,
                    "tree": None,
                    "writer": "x",
                    "format": 1,
                }
            )
            world.state.upload(SUBDIR.head_key, body.encode())

    world.state.before = overtake
    with pytest.raises(Unavailable, match=f"{MERGE_ATTEMPTS_MAX} attempts"):
        world.merge()
    assert lost == MERGE_ATTEMPTS_MAX
    assert len(world.staged()) == 1
    assert world.index_files().keys().isdisjoint({SHARD_INDEX, REPODATA_ZST, REPODATA})


def test_an_index_of_another_tool_is_overwritten_by_one_that_knows_more_and_counted() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.channel.upload(SUBDIR.file_key(REPODATA), b"{}")
    world.add(B)
    report = world.merge()
    assert (report.files_written, report.foreign_overwritten) == (3, 1)
    assert world.published().keys() == {A, B}


def test_two_stacks_do_not_fight_over_one_channel() -> None:
    world = World()
    world.add(A)
    world.merge()
    files = world.index_files()
    world.state.objects.clear()
    world.add(B)
    merger = world.owned_by("another stack")
    with pytest.raises(ForeignOwner):
        merge(merger, MergeRequest(SUBDIR, 0), time_left_ms=lambda: 900_000)
    assert {name: body for name, body in world.index_files().items() if name in files} == files
    assert len(world.staged()) == 1


def test_a_newer_index_is_not_replaced_by_an_older_one() -> None:
    world = World()
    world.add(A)
    world.merge()
    head = world.head()
    newer_stamp = Stamp(9, head.tree or "", world.merger.publisher.owner)
    for key in KEYS:
        world.channel.upload(key, world.channel.body(key), metadata=newer_stamp.metadata)
    world.add(B)
    assert world.merge().files_written == 0
    assert {world.channel.objects[key].info.metadata["sluice-generation"] for key in KEYS} == {"9"}
