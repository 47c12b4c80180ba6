"""Publishing one generation: which files, in which order, and by which way."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Barrier
from typing import TypeVar
from unittest import mock

import pytest
import zstandard

from sluice.catalog.codec import content_digest
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import Executor, InOrder, Pending, in_order, in_threads
from sluice.errors import ForeignOwner
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.publish import splice
from sluice.publish.fence import Stamp
from sluice.publish.publication import PublishResult
from sluice.storage.object_store import ObjectHeaders
from tests.support.request_hooks import at_request
from tests.support.staging_records import A2, SUBDIR, A, B, C
from tests.support.subdir_world import World

R = TypeVar("R")
INDEX_FILES = [SHARD_INDEX, REPODATA_ZST, REPODATA]
KEYS = [SUBDIR.file_key(file) for file in INDEX_FILES]


@pytest.fixture(autouse=True, params=[False, True], ids=["small", "large"])
def is_large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files are written as large ones are."""
    large: bool = request.param
    minimum = "sluice.publish.index_files.CONCURRENT_COMPRESS_BYTES_MIN"
    monkeypatch.setattr(minimum, 0 if large else 1 << 40)
    return large


class Death(Exception):
    """The function is killed."""


@pytest.fixture
def world() -> World:
    """Two generations, the second published."""
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    world.add(A2)
    world.merge()
    return world


def publish(world: World, executor: Executor = in_order) -> PublishResult:
    """Publish what the head says, with nothing remembered."""
    catalog = CatalogReader(world.state, SUBDIR, in_order)
    return world.merger.publisher.publish(SUBDIR, world.head(), catalog, executor=executor)


def commit_only(world: World) -> None:
    """Let a merge die between its commit and its publishing."""

    def die(operation: str, key: str) -> None:
        if key in KEYS:
            raise Death(operation)

    world.channel.before = die
    with pytest.raises(Death):
        world.merge()
    world.channel.before = lambda _operation, _key: None
    world.channel.requests.clear()
    world.state.requests.clear()


def from_scratch(world: World) -> dict[str, bytes]:
    """The index files as they are when none are there to start from."""
    before = dict(world.channel.objects)
    for key in KEYS:
        world.channel.objects.pop(key, None)
    publish(world)
    files = {file: world.body(file) for file in INDEX_FILES}
    world.channel.objects = before
    return files


def puts(world: World) -> list[str]:
    """The files that were written, in order."""
    return [
        key.removeprefix(SUBDIR.prefix)
        for operation, key in world.channel.operations()
        if operation == "PutObject" and key.startswith(SUBDIR.prefix)
    ]


def leaves_read(world: World) -> int:
    """How many leaves were read."""
    return sum(key.startswith("leaves/") for operation, key in world.state.operations())


def test_the_order_never_refers_to_what_is_not_there_yet() -> None:
    world = World()
    world.add(A)
    world.merge()
    (shard,) = world.channel.keys(SUBDIR.file_key("shards/"))
    assert puts(world) == [shard.removeprefix(SUBDIR.prefix), *INDEX_FILES]


def test_every_file_says_what_it_is_and_how_long_it_may_be_kept(world: World) -> None:
    stamp = {
        "sluice-generation": "2",
        "sluice-tree": world.head().tree or "",
        "sluice-owner": world.merger.publisher.owner,
    }
    found = {
        file: world.channel.objects[SUBDIR.file_key(file)].headers for file in world.index_files()
    }
    indexes = {file: found.pop(file) for file in INDEX_FILES}
    assert indexes == {
        SHARD_INDEX: ObjectHeaders("application/zstd", "public, max-age=60", stamp),
        REPODATA_ZST: ObjectHeaders("application/zstd", "public, max-age=60", stamp),
        REPODATA: ObjectHeaders("application/json", "public, max-age=60", stamp),
    }
    immutable = ObjectHeaders("application/zstd", "public, max-age=31536000, immutable")
    assert set(map(str, found.values())) == {str(immutable)}


def test_the_compressed_index_is_one_frame_of_the_same_content(world: World) -> None:
    body = world.body(REPODATA_ZST)
    assert zstandard.ZstdDecompressor().decompress(body) == world.body()
    assert zstandard.get_frame_parameters(body).content_size == len(world.body())


def test_publishing_again_writes_nothing(world: World) -> None:
    before = world.index_files()
    world.channel.requests.clear()
    assert publish(world) == PublishResult(0, 0)
    assert puts(world) == []
    assert world.index_files() == before


def test_publishing_again_does_not_download_the_index(world: World) -> None:
    world.channel.requests.clear()
    publish(world)
    assert sum(request.received for request in world.channel.requests) == 0


def test_the_same_head_gives_the_same_bytes_in_an_empty_bucket(world: World) -> None:
    assert from_scratch(world) == {file: world.body(file) for file in INDEX_FILES}


def test_a_new_generation_is_spliced_out_of_the_last_one(world: World) -> None:
    world.add(C)
    commit_only(world)
    assert publish(world) == PublishResult(3, 0)
    assert leaves_read(world) == 1
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


def test_generations_that_were_never_published_are_spliced_over(world: World) -> None:
    world.add(C)
    commit_only(world)
    world.drop(B)
    commit_only(world)
    publish(world)
    assert world.published().keys() == {A, A2, C}
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


def test_where_most_names_changed_it_is_rendered_for_that_reads_fewer_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splice, "NAMES_AT_ONCE", 1)
    world.add(A, b"another content")
    world.add(B, b"another content")
    commit_only(world)
    assert publish(world) == PublishResult(3, 0)
    assert leaves_read(world) == len(world.tree().names)
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


def test_many_names_are_spliced_some_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        world.add(f"other{number}-1-0.conda")
    world.merge()
    monkeypatch.setattr(splice, "NAMES_AT_ONCE", 1)
    for number in range(3):
        world.add(f"other{number}-1-0.conda", b"another content")
    commit_only(world)
    publish(world)
    assert leaves_read(world) == 2 * 3
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


@pytest.mark.parametrize("file", INDEX_FILES)
def test_a_file_that_was_deleted_is_put_back(world: World, file: str) -> None:
    before = world.body(file)
    world.channel.remove(SUBDIR.file_key(file))
    assert publish(world) == PublishResult(1, 0)
    assert world.body(file) == before


@pytest.mark.parametrize("file", INDEX_FILES)
def test_a_file_that_another_tool_overwrote_is_put_back_and_counted(
    world: World, file: str
) -> None:
    before = world.body(file)
    world.channel.upload(SUBDIR.file_key(file), b'{"packages":{},"packages.conda":{}}')
    assert publish(world) == PublishResult(1, 1)
    assert world.body(file) == before


def test_an_index_of_another_tool_is_overwritten_without_a_download(world: World) -> None:
    world.channel.upload(SUBDIR.file_key(REPODATA_ZST), b"of another tool, and perhaps large")
    world.channel.requests.clear()
    assert publish(world) == PublishResult(1, 1)
    assert sum(request.received for request in world.channel.requests) == 0


def test_every_shard_index_of_another_tool_is_kept_before_it_is_overwritten(world: World) -> None:
    bodies = [b"theirs", b"theirs, in the meantime"]
    world.channel.upload(KEYS[0], bodies[0])

    def index_again() -> None:
        world.channel.upload(KEYS[0], bodies[1])

    world.channel.before = at_request("PutObject", KEYS[0], index_again)
    assert publish(world) == PublishResult(files_written=1, foreign_overwritten=1)
    kept = world.state.keys(SUBDIR.taken_over_indexes.prefix)
    assert sorted(kept) == sorted(SUBDIR.taken_over_key(content_digest(body)) for body in bodies)
    assert {world.state.body(key) for key in kept} == set(bodies)


def test_a_shard_index_that_was_archived_is_overwritten_all_the_same(world: World) -> None:
    world.channel.upload(KEYS[0], b"theirs", archived=True)
    assert publish(world) == PublishResult(files_written=1, foreign_overwritten=1)
    assert world.state.keys(SUBDIR.taken_over_indexes.prefix) == []


@pytest.mark.parametrize("file", INDEX_FILES)
def test_a_file_of_another_owner_stops_publishing(world: World, file: str) -> None:
    stored = world.channel.objects[SUBDIR.file_key(file)]
    metadata = {**stored.info.metadata, "sluice-owner": "another stack"}
    world.channel.upload(SUBDIR.file_key(file), stored.body, metadata=metadata)
    world.add(C)
    with pytest.raises(ForeignOwner, match="the state another stack publishes"):
        world.merge()
    assert world.body(file) == stored.body


def test_a_newer_generation_is_left_alone(world: World) -> None:
    old_head = world.head()
    world.add(C)
    world.merge()
    before = world.index_files()
    catalog = CatalogReader(world.state, SUBDIR, in_order)
    assert world.merger.publisher.publish(SUBDIR, old_head, catalog) == PublishResult(0, 0)
    assert world.index_files() == before


def test_an_index_whose_compressed_twin_is_newer_is_left_to_whoever_wrote_that(
    world: World,
) -> None:
    old_head = world.head()
    world.add(C)
    world.merge()
    world.channel.remove(SUBDIR.file_key(REPODATA))  # as if that one had not come to it yet
    before = world.index_files()
    catalog = CatalogReader(world.state, SUBDIR, in_order)
    assert world.merger.publisher.publish(SUBDIR, old_head, catalog) == PublishResult(0, 0)
    assert world.index_files() == before


@pytest.mark.parametrize("died_before", INDEX_FILES)
def test_what_a_crash_left_behind_is_finished(world: World, died_before: str) -> None:
    is_dead = False

    def die(operation: str, key: str) -> None:
        nonlocal is_dead
        is_dead |= (operation, key) == ("PutObject", SUBDIR.file_key(died_before))
        if is_dead:
            raise Death

    world.add(C)
    world.channel.before = die
    with pytest.raises(Death):
        world.merge()
    world.channel.before = lambda _operation, _key: None
    expected = from_scratch(world)
    missing = len(INDEX_FILES) - INDEX_FILES.index(died_before)
    assert publish(world) == PublishResult(missing, 0)
    assert {file: world.body(file) for file in INDEX_FILES} == expected


def test_the_variants_of_a_small_index_go_up_at_once(world: World) -> None:
    world.add(C)
    commit_only(world)
    both = Barrier(2, timeout=60)

    def meet(operation: str, key: str) -> None:
        if operation == "PutObject" and key != SUBDIR.file_key(SHARD_INDEX):
            both.wait()

    world.channel.before = meet
    with mock.patch("sluice.publish.index_files.CONCURRENT_COMPRESS_BYTES_MIN", 1 << 40):
        assert publish(world, in_threads(2)) == PublishResult(3, 0)
    world.channel.before = lambda _operation, _key: None
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


@pytest.mark.parametrize("missing", [REPODATA_ZST, REPODATA])
def test_over_nothing_one_variant_goes_up_after_the_other(world: World, missing: str) -> None:
    """So that a publication that is superseded leaves a file out, and follows the newer one."""
    world.add(C)
    commit_only(world)
    del world.channel.objects[SUBDIR.file_key(missing)]
    with mock.patch("sluice.publish.index_files.CONCURRENT_COMPRESS_BYTES_MIN", 1 << 40):
        assert publish(world, NeverAtOnce()) == PublishResult(3, 0)


class NeverAtOnce(InOrder):
    """Runs nothing beside anything."""

    def submit(self, function: Callable[[], R], /) -> Pending[R]:
        """Refuse."""
        raise AssertionError(function)


def test_an_index_is_left_where_a_newer_one_arrives_while_it_is_rendered(
    world: World,
    is_large: bool,  # noqa: FBT001
) -> None:
    world.add(C)
    commit_only(world)
    ours = from_scratch(world)[REPODATA]
    stamp = Stamp(9, "newer", world.merger.publisher.owner)
    before = world.body()

    def overtake(operation: str, key: str) -> None:
        if (operation, key) == ("PutObject", SUBDIR.file_key(REPODATA_ZST)):
            world.channel.upload(key, b"newer", metadata=stamp.metadata)

    world.channel.before = overtake
    # A small file goes up beside the other, over an older one of its own.
    written, repodata = (1, before) if is_large else (2, ours)
    assert publish(world) == PublishResult(written, 0)
    assert (world.body(REPODATA_ZST), world.body()) == (b"newer", repodata)


def garbage(_body: bytes) -> bytes:
    """Not even zstd."""
    return b"garbage"


def truncated(body: bytes) -> bytes:
    """The end is missing."""
    return body[:-9]


def another_json(_body: bytes) -> bytes:
    """Valid, but no index."""
    return zstandard.ZstdCompressor().compress(b"[]")


def fewer_records(body: bytes) -> bytes:
    """A record is missing."""
    repodata = json.loads(zstandard.ZstdDecompressor().decompress(body))
    del repodata["packages.conda"][B]
    return zstandard.ZstdCompressor().compress(json.dumps(repodata).encode())


TAMPERINGS = [garbage, truncated, another_json, fewer_records]


def tamper(world: World, how: Callable[[bytes], bytes]) -> None:
    """Change the compressed index under its own metadata, as a copy with ``aws s3 cp`` may."""
    stored = world.channel.objects[SUBDIR.file_key(REPODATA_ZST)]
    world.channel.upload(stored.info.key, how(stored.body), metadata=stored.info.metadata)


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_previous_file_that_is_not_what_its_stamp_says_is_rendered_anew(
    world: World, how: Callable[[bytes], bytes]
) -> None:
    tamper(world, how)
    world.add(C)
    world.merge()
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_file_of_the_same_generation_is_not_believed_either(
    world: World, how: Callable[[bytes], bytes]
) -> None:
    expected = world.body()
    tamper(world, how)
    world.channel.remove(SUBDIR.file_key(REPODATA))
    publish(world)
    assert world.body() == expected


@pytest.mark.parametrize("damaged", [False, True], ids=["collected", "damaged"])
def test_without_the_tree_of_the_last_generation_everything_is_rendered(
    world: World, *, damaged: bool
) -> None:
    old_tree = world.head().tree
    world.add(C)
    commit_only(world)
    assert old_tree
    if damaged:
        world.state.upload(SUBDIR.tree_key(old_tree), b"no tree")
    else:
        world.state.remove(SUBDIR.tree_key(old_tree))
    assert publish(world) == PublishResult(3, 0)
    assert leaves_read(world) == 3
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


def test_a_stamp_whose_tree_is_of_another_generation_is_not_believed(world: World) -> None:
    older = world.body(REPODATA_ZST)
    world.add(A, b"other content, so the number of records is the same")
    world.merge()
    stored = world.channel.objects[SUBDIR.file_key(REPODATA_ZST)]
    metadata = {**stored.info.metadata, "sluice-generation": "1"}
    world.channel.upload(stored.info.key, older, metadata=metadata)
    world.add(C)
    world.merge()
    assert {file: world.body(file) for file in INDEX_FILES} == from_scratch(world)


def test_what_is_not_public_has_no_index_and_what_was_never_rejected_no_reject_document(
    world: World,
) -> None:
    assert SUBDIR.rejects_key not in world.state.objects
    other = World()
    other.add_corrupt(A)
    other.merge()
    assert other.index_files() == {}
    assert [reject["filename"] for reject in other.rejects()] == [A]


def test_the_reject_document_is_written_only_when_rejects_change(world: World) -> None:
    world.add_corrupt(C)
    world.merge()
    document = world.state.objects[SUBDIR.rejects_key]
    world.add("delta-1-0.conda")
    world.merge()
    assert world.state.objects[SUBDIR.rejects_key] == document
    world.drop(C)
    world.merge()
    assert world.rejects() == []


def test_a_reject_document_that_is_missing_or_foreign_is_put_back(world: World) -> None:
    world.add_corrupt(C)
    world.merge()
    document = world.state.body(SUBDIR.rejects_key)
    world.state.remove(SUBDIR.rejects_key)
    assert publish(world) == PublishResult(1, 0)
    assert world.state.body(SUBDIR.rejects_key) == document
    world.state.upload(SUBDIR.rejects_key, b"{}")
    assert publish(world) == PublishResult(1, 1)
    assert world.state.body(SUBDIR.rejects_key) == document


def test_before_the_first_commit_there_is_nothing_to_publish() -> None:
    world = World()
    assert publish(world) == PublishResult(0, 0)
    assert world.channel.requests == []


def test_rejects_in_our_own_state_bucket_are_nobody_elses_whatever_their_stamp_says() -> None:
    """A stack stamped them with its id once, and state may be copied to another bucket."""
    world = World(owner="a name that we had before")
    world.add_corrupt("bad-1-0.conda")
    world.merge()
    world.merger = world.owned_by("ours")
    world.add_corrupt("worse-1-0.conda")
    world.merge()
    assert [one["filename"] for one in world.rejects()] == ["bad-1-0.conda", "worse-1-0.conda"]
    assert world.staged() == []


def test_no_leaf_is_read_that_holds_nothing_but_rejects() -> None:
    world = World()
    world.add(A)
    for number in range(5):
        world.add_corrupt(f"bad{number}-1-0.conda")
    world.merge()
    for file in (REPODATA, REPODATA_ZST, SHARD_INDEX):
        world.channel.remove(SUBDIR.file_key(file))
    world.replace_execution_environment()
    world.state.requests.clear()
    world.merge()
    assert world.published().keys() == {A}
    leaf = SUBDIR.leaf_key(world.tree().names["alpha"].leaf.hex())
    assert [key for _, key in world.state.operations() if key.startswith("leaves/")] == [leaf]
