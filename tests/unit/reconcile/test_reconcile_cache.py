"""What reconcile remembers of files saves requests, and hides nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from msgspec import structs

from sluice.catalog.head import read_head
from sluice.errors import Corrupt
from sluice.layout import REPODATA, REPODATA_BZ2, RUN_EXPORTS, SHARD_INDEX
from sluice.publish.fence import Stamp
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.reconcile.head_cache import HeadCache
from sluice.reconcile.listing import list_subdir
from sluice.reconcile.publication_log import Marks, read_marks
from sluice.reconcile.reconcile_cache import CachedHead, ReconcileCache
from sluice.reconcile.report import Counts
from sluice.reconcile.run import ReconcileRequest
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo
from testkit.memory_store import LostAnswer, Stored
from tests.support.garbage import DAY, RETENTION_DAYS, generation, immutable, marks
from tests.support.reconcile_runs import ReconcileRuns, is_quiet, subdir_reports
from tests.support.request_hooks import at_request
from tests.support.staging_records import NOARCH, SUBDIR, A, B
from tests.support.subdir_world import OWNER, World

THIS = ReconcileRequest(channel=SUBDIR.channel, subdir=SUBDIR.name)
EVERY_FILE = "[sluice]\nrun-exports = true\nrepodata-bz2 = true\ncurrent-repodata = true\n"
WRITTEN = [file for file in ALL_OUTPUTS if "patch" not in file and "from" not in file]


@pytest.fixture
def world() -> World:
    """A channel that has all files but those of a patch, as reconcile remembers them."""
    world = World()
    world.configure(EVERY_FILE)
    world.add(A)
    world.add(B)
    world.merge()
    world.deliver()
    world.tick(3600)
    assert is_quiet(ReconcileRuns(world).run())
    assert looked_at(world) == []
    return world


def looked_at(world: World) -> list[str]:
    """Reconcile once; the index files that were looked at."""
    world.channel.requests.clear()
    ReconcileRuns(world).run(THIS)
    keys = [key for operation, key in world.channel.operations() if operation == "HeadObject"]
    return [file for file in ALL_OUTPUTS if SUBDIR.file_key(file) in keys]


def repair(world: World) -> list[str]:
    """Reconcile, do what is asked for and see that this settles it; what was found behind."""
    runs = ReconcileRuns(world)
    report = runs.run(THIS)
    runs.handle_requests()
    assert is_quiet(runs.run(THIS))
    assert looked_at(world) == []
    return [file for one in subdir_reports(report) for file in one.examples.get("behind", [])]


def remembered(world: World) -> ReconcileCache:
    """What is remembered."""
    return read_marks(world.state, SUBDIR).marks.memory


def published(world: World, file: str = REPODATA) -> Stored:
    """A file as it is there."""
    return world.channel.objects[SUBDIR.file_key(file)]


# --- what is found all the same -------------------------------------------------------------------


def overwrite(world: World, file: str) -> None:
    world.channel.upload(SUBDIR.file_key(file), b"of another tool")


def delete(world: World, file: str) -> None:
    world.channel.remove(SUBDIR.file_key(file))


def copy_without_metadata(world: World, file: str) -> None:
    """Write the very bytes again; the ETag stays, the metadata goes."""
    before = published(world, file)
    world.channel.upload(SUBDIR.file_key(file), before.body)
    assert published(world, file).info.etag == before.info.etag


@pytest.mark.parametrize("file", WRITTEN)
@pytest.mark.parametrize("harm", [overwrite, delete, copy_without_metadata])
def test_a_file_that_somebody_harmed_is_published_again(
    world: World, file: str, harm: Callable[[World, str], None]
) -> None:
    harm(world, file)
    assert repair(world) == [file]


def test_a_generation_whose_files_were_not_all_published_is_found(world: World) -> None:
    kept = {file: published(world, file) for file in (SHARD_INDEX, RUN_EXPORTS)}
    world.add(A, b"two")
    world.merge()
    for file, stored in kept.items():
        world.channel.objects[SUBDIR.file_key(file)] = stored
    assert repair(world) == [SHARD_INDEX, RUN_EXPORTS]


def test_a_file_that_comes_back_as_it_was_after_another_generation_is_behind(world: World) -> None:
    before = published(world)
    world.add(A, b"two")
    world.merge()
    assert repair(world) == []
    world.channel.objects[SUBDIR.file_key(REPODATA)] = before
    assert repair(world) == [REPODATA]


def test_a_file_that_is_to_be_no_more_and_was_left_is_found(world: World) -> None:
    left = published(world, REPODATA_BZ2)
    world.configure(None)
    world.merge()
    assert repair(world) == []
    world.channel.objects[SUBDIR.file_key(REPODATA_BZ2)] = left
    assert repair(world) == [REPODATA_BZ2]
    assert SUBDIR.file_key(REPODATA_BZ2) not in world.channel.objects


def test_a_file_that_is_asked_for_after_it_was_seen_to_be_another_tools_is_written(
    world: World,
) -> None:
    world.configure(None)
    world.merge()
    assert repair(world) == []
    overwrite(world, REPODATA_BZ2)
    theirs = published(world, REPODATA_BZ2)
    assert looked_at(world) == [REPODATA_BZ2]
    assert looked_at(world) == []
    world.configure(EVERY_FILE)
    world.merge()
    world.channel.objects[theirs.info.key] = theirs
    assert repair(world) == [REPODATA_BZ2]


def test_files_that_remember_another_state_are_another_stacks_whatever_is_remembered(
    world: World,
) -> None:
    """As where a state was copied to a bucket of another name."""
    report = ReconcileRuns(world, owner="another").run(THIS)
    assert report.counts == Counts(subdirs=1, foreign_owner=1)
    runs = ReconcileRuns(world, owner="another")
    world.merger = world.owned_by("another")
    runs.run(ReconcileRequest(adopt=True))
    runs.handle_requests()
    assert is_quiet(runs.run())
    stamp = Stamp.parse(published(world).info.metadata)
    assert stamp
    assert stamp.owner == "another"


def test_a_head_that_somebody_put_back_is_told_of(world: World) -> None:
    before = world.state.objects[SUBDIR.head_key]
    world.add(A, b"two")
    world.merge()
    assert is_quiet(ReconcileRuns(world).run())
    after, world.state.objects[SUBDIR.head_key] = world.state.objects[SUBDIR.head_key], before
    (one,) = subdir_reports(ReconcileRuns(world).run(THIS))
    assert one.failure
    assert "an older version of the head was restored" in one.failure
    world.state.objects[SUBDIR.head_key] = after
    assert is_quiet(ReconcileRuns(world).run())


def test_an_index_that_goes_while_it_is_believed_to_be_there_is_found_by_the_next_run(
    world: World,
) -> None:
    world.state.after = at_request("GetObject", SUBDIR.head_key, lambda: delete(world, REPODATA))
    listed_before = ReconcileRuns(world).run()  # the walk lists before the head is read
    assert is_quiet(listed_before)
    assert repair(world) == [REPODATA]


def test_a_merge_between_listing_and_head_makes_no_alarm_and_no_false_mark(world: World) -> None:
    def merge() -> None:
        world.add(A, b"two")
        world.merge()

    world.state.before = at_request("GetObject", SUBDIR.head_key, merge)
    runs = ReconcileRuns(world)
    report = runs.run()
    assert report.counts.behind == 0
    assert marks(world).marks[-1].tree == world.head().tree
    runs.handle_requests()
    assert is_quiet(runs.run())


# --- what is remembered ---------------------------------------------------------------------------


def test_what_is_remembered_is_what_the_files_say(world: World) -> None:
    tree = world.head().tree
    assert tree
    infos = {file: published(world, file).info for file in WRITTEN}
    assert remembered(world) == ReconcileCache(
        files={
            file: CachedHead(
                identity=ObjectId.from_info(info), stamp=Stamp(world.tree().generation, tree, OWNER)
            )
            for file, info in infos.items()
        }
    )


@pytest.mark.parametrize("how", ["deleted", "of before"])
def test_without_a_memory_everything_is_looked_at_and_remembered(world: World, how: str) -> None:
    if how == "deleted":
        world.state.remove(SUBDIR.marks_key)
    else:
        plain = msgspec.json.decode(world.state.body(SUBDIR.marks_key))
        del plain["memory"]
        world.state.upload(SUBDIR.marks_key, msgspec.json.encode(plain))
    before = read_marks(world.state, SUBDIR).marks
    assert looked_at(world) == WRITTEN
    assert looked_at(world) == []
    if how == "of before":
        assert structs.replace(marks(world), memory=ReconcileCache()) == before


def test_a_dry_run_remembers_nothing(world: World) -> None:
    world.add(A, b"two")
    world.merge()
    before = remembered(world)
    ReconcileRuns(world).run(ReconcileRequest(dry_run=True))
    assert remembered(world) == before


def test_what_is_not_there_any_more_is_forgotten(world: World) -> None:
    world.configure(None)
    world.merge()
    assert repair(world) == []
    assert remembered(world).files.keys() == {*WRITTEN[:3]}


def test_marks_that_cannot_be_read_stop_no_repair(world: World) -> None:
    world.state.upload(SUBDIR.marks_key, b"not json")
    world.remove(A)
    runs = ReconcileRuns(world)
    report = runs.run(THIS)
    (one,) = subdir_reports(report)
    assert one.failure
    assert one.failure.startswith(f"{Corrupt.__name__}: {SUBDIR.marks_key}")
    assert report.counts.gone == 1
    runs.handle_requests()
    assert set(world.published()) == {B}


def test_only_good_news_is_taken_from_a_memory(world: World) -> None:
    runs = ReconcileRuns(world)
    memory = remembered(world)
    sights = {file: structs.replace(sight, stamp=None) for file, sight in memory.files.items()}
    listing = list_subdir(world.channel, SUBDIR)
    looks = HeadCache(runs.reconciler, SUBDIR, listing, ReconcileCache(files=sights))
    world.channel.requests.clear()
    infos = looks.heads([REPODATA], lambda _file, stamp: stamp is not None)
    assert infos == {REPODATA: published(world).info}
    assert world.channel.operations() == [("HeadObject", SUBDIR.file_key(REPODATA))]
    assert looks.cache.files[REPODATA] == memory.files[REPODATA]


def test_what_is_known_is_described_as_a_look_would(world: World) -> None:
    looks = HeadCache(
        ReconcileRuns(world).reconciler,
        SUBDIR,
        list_subdir(world.channel, SUBDIR),
        remembered(world),
    )
    world.channel.requests.clear()
    infos = looks.heads(WRITTEN, lambda _file, _stamp: True)
    assert world.channel.requests == []

    def told_of(info: ObjectInfo | None) -> object:
        assert info
        return info.key, info.etag, info.size, info.modified, Stamp.parse(info.metadata)

    assert {file: told_of(info) for file, info in infos.items()} == {
        file: told_of(published(world, file).info) for file in WRITTEN
    }


def test_a_noarch_of_which_only_a_listing_tells_is_there(world: World) -> None:
    """As where somebody encrypted its index with a key of his own."""

    def refuse() -> None:
        raise LostAnswer

    world.channel.before = at_request("HeadObject", NOARCH.file_key(REPODATA), refuse)
    assert is_quiet(ReconcileRuns(world).run(THIS))


# --- garbage --------------------------------------------------------------------------------------


def test_the_days_are_counted_from_the_same_time_with_a_memory_and_without(world: World) -> None:
    world.add(A, b"two")
    world.merge()
    youngest = max(published(world, file).info.modified for file in WRITTEN)
    for _ in range(2):  # without, and with
        assert is_quiet(ReconcileRuns(world).run(THIS))
        assert marks(world).marks[-1].published_at == youngest * 1000
    world.now_ms = (youngest + RETENTION_DAYS * DAY) * 1000 - 2000
    assert ReconcileRuns(world).run(THIS).counts.collected == 0
    world.tick()
    assert ReconcileRuns(world).run(THIS).counts.collected > 0
    assert immutable(world) == generation(world)


def test_a_subdir_that_was_swept_is_not_swept_again_because_it_is_remembered(world: World) -> None:
    world.tick(2 * RETENTION_DAYS * DAY)
    ReconcileRuns(world).run(THIS)
    settled = marks(world).settled
    assert settled
    assert str(read_head(world.state, SUBDIR).etag) in settled
    before: Marks = marks(world)
    world.state.remove(SUBDIR.marks_key)
    world.state.upload(
        SUBDIR.marks_key, msgspec.json.encode(structs.replace(before, memory=ReconcileCache()))
    )
    ReconcileRuns(world).run(THIS)
    assert marks(world) == before
