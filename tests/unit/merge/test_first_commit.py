"""How a subdir becomes public: what alone does not make it so, what is taken over, and noarch."""

from __future__ import annotations

import json
from dataclasses import replace

import msgpack
import pytest

from sluice.catalog.entry import NOT_EXTRACTED
from sluice.catalog.head import BEFORE_FIRST, read_head
from sluice.errors import Corrupt, ForeignOwner, Unavailable
from sluice.extract.extract import EXTRACTOR_VERSION
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from sluice.merge.apply_staging import CommitChanges
from sluice.merge.outcome import MergeReport
from sluice.messages import merge_request
from sluice.messages.merge_request import MergeRequest
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import NOARCH, SUBDIR, A, B, C, record_of, rejected, removed
from tests.support.subdir_world import DEBOUNCE_SECONDS, World, foreign_repodata, unzstd

# --- before the first commit ----------------------------------------------------------------------


def test_rejects_and_removals_alone_create_nothing_public() -> None:
    world = World(subdir=Subdir("build-cache", "linux-64"))
    world.add_corrupt(B)
    world.stage(removed(A))
    report = world.merge()
    assert (report.generation, report.difference.rejected) == (1, [B])
    assert world.channel.keys() == [world.subdir.file_key(B)]
    assert world.queue.messages == []
    assert not world.tree().public


@pytest.mark.parametrize("count", [1, 2])
def test_removals_from_a_subdir_that_nobody_knows_leave_no_head(count: int) -> None:
    world = World()
    world.stage(*[removed(A) for _ in range(count)])
    assert world.merge() == MergeReport(generation=0, staged=count)
    assert world.state.keys() == []
    assert world.channel.objects == {}


@pytest.mark.parametrize("batch_records", [1, 1000])
def test_a_package_that_came_and_went_fences_off_the_merge_that_saw_it(
    batch_records: int,
) -> None:
    world = World()
    world.merger = replace(world.merger, batch_records=batch_records)
    world.add(A)
    world.remove(A)
    world.stage(removed(A))
    assert world.merge().staged == 2
    head = world.head()
    assert (head.generation, head.commit, head.tree) == (0, None, None)
    assert world.state.keys() == [SUBDIR.head_key]


def test_an_upload_into_an_index_of_somebody_else_adds_to_it() -> None:
    world = World()
    theirs = world.index_as_others_do(*(f"p{n}-1.0-0.conda" for n in range(2000)))
    ours = world.add(A)
    report = world.merge()
    published = world.published()
    assert published.keys() == {A, *theirs}
    assert report.difference == CommitChanges(added=[A])
    assert report.lags_ms == [1000]
    assert report.foreign_overwritten == 2
    assert world.commit().taken_over == 2000
    assert (report.taken_over, report.left_out) == (2000, 0)
    for filename, record in theirs.items():
        info = world.channel.objects[SUBDIR.file_key(filename)].info
        assert published[filename] == {**record, "indexed_timestamp": info.modified * 1000}
    entries = world.entries()
    assert {entry.extractor for name, entry in entries.items() if name != A} == {NOT_EXTRACTED}
    assert entries[A].identity == ours.identity


def test_dates_that_the_taken_over_index_has_are_kept_also_for_what_is_read_again() -> None:
    world = World()
    body = A.encode()
    world.upload(A, body)
    dated = {**record_of(A, body), "indexed_timestamp": 7}
    index = {"packages": {}, "packages.conda": {A: dated}}
    world.channel.upload(SUBDIR.file_key(REPODATA), json.dumps(index).encode())
    world.add(A, body)
    world.merge()
    assert world.published() == {A: dated}
    assert world.entries()[A].extractor == EXTRACTOR_VERSION


def test_dates_are_kept_too_where_a_package_could_not_be_read_before_the_take_over() -> None:
    world = World()
    body = A.encode()
    identity = world.upload(A, body)
    dated = {**record_of(A, body), "indexed_timestamp": 7}
    index = {"packages": {}, "packages.conda": {A: dated}}
    world.channel.upload(SUBDIR.file_key(REPODATA), json.dumps(index).encode())
    world.stage(rejected(A, identity=identity, extractor=NOT_EXTRACTED))
    world.merge()
    assert world.head().generation == 1
    world.add(A, body)
    world.merge()
    assert world.published() == {A: dated}
    assert world.entries()[A].extractor == EXTRACTOR_VERSION


def test_a_reject_that_a_record_there_makes_void_is_told_no_more() -> None:
    world = World()
    world.add_corrupt(A)
    world.merge()
    assert [reject["filename"] for reject in world.rejects()] == [A]
    world.tick()
    theirs = world.index_as_others_do(A)
    world.add(B)
    world.merge()
    assert world.published().keys() == {B, *theirs}
    assert world.rejects() == []


def test_rejects_that_came_first_do_not_keep_the_index_from_being_taken_over() -> None:
    world = World()
    theirs = world.index_as_others_do(B)
    world.add_corrupt(C)
    world.merge()
    assert world.head().generation == 1
    world.add(A)
    world.merge()
    assert world.published().keys() == {A, *theirs}
    assert [reject["filename"] for reject in world.rejects()] == [C]


def test_a_removal_that_was_consumed_before_the_take_over_is_not_undone_by_it() -> None:
    world = World()
    world.index_as_others_do(A, B)
    world.drop(A)
    world.merge()
    world.add(C)
    world.merge()
    assert world.published().keys() == {B, C}


def test_generations_go_on_above_those_of_an_index_whose_catalog_was_lost() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.add(B)
    world.merge()
    world.state.objects.clear()
    dates = {name: record["indexed_timestamp"] for name, record in world.published().items()}
    world.add(C)
    report = world.merge()
    assert (report.generation, report.foreign_overwritten) == (3, 0)
    published = world.published()
    assert published.keys() == {A, B, C}
    assert {name: published[name]["indexed_timestamp"] for name in dates} == dates


def test_what_the_catalog_knows_of_a_file_comes_before_what_another_index_says() -> None:
    world = World()
    world.add_corrupt(A, A.encode())
    world.merge()
    body = json.dumps(foreign_repodata({A: record_of(A, A.encode())}, subdir=SUBDIR.name))
    world.channel.upload(SUBDIR.file_key(REPODATA), body.encode())
    world.add(B)
    world.merge()
    assert world.published().keys() == {B}
    assert [reject["filename"] for reject in world.rejects()] == [A]


def test_the_shard_index_that_was_taken_over_is_kept_beside_the_catalog() -> None:
    world = World()
    world.index_as_others_do(B, shards=b"shards of theirs")
    world.add(A)
    world.merge()
    digest = world.commit().taken_over_shards
    assert digest
    assert world.state.body(SUBDIR.taken_over_key(digest)) == b"shards of theirs"


def test_a_merge_tells_how_much_of_an_index_it_took_over_and_how_much_it_had_to_leave_out() -> None:
    world = World()
    assert (world.merge().taken_over, world.merge().left_out) == (0, 0)
    for filename in (A, B, C):
        world.upload(filename, filename.encode())
    records = {A: {"sha256": "no hex"}, **{name: record_of(name, name.encode()) for name in (B, C)}}
    body = json.dumps(foreign_repodata(records, subdir=SUBDIR.name)).encode()
    world.channel.upload(SUBDIR.file_key(REPODATA), body)
    report = world.merge(create=True)
    assert (report.taken_over, report.left_out) == (2, 1)
    world.add(A)
    report = world.merge()
    assert (report.taken_over, report.left_out) == (0, 0)
    assert world.published().keys() == {A, B, C}


def test_a_merge_of_several_batches_tells_what_the_first_of_them_took_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice.merge.merge.MERGE_BATCH_RECORDS_MAX", 1)
    world = World()
    records = {A: {"sha256": "no hex"}, B: record_of(B, b"")}
    for filename in records:
        world.upload(filename)
    body = json.dumps(foreign_repodata(records, subdir=SUBDIR.name)).encode()
    world.channel.upload(SUBDIR.file_key(REPODATA), body)
    for filename in (C, "delta-1.0-0.conda", "epsilon-1.0-0.conda"):
        world.add(filename)
    report = world.merge()
    assert (report.staged, report.generation) == (3, 3)
    assert (report.taken_over, report.left_out) == (1, 1)


def test_rejects_alone_do_not_take_over_an_index_that_is_there() -> None:
    world = World()
    world.index_as_others_do(B)
    before = world.index_files()
    world.add_corrupt(C)
    assert world.merge().taken_over == 0
    assert not world.tree().public
    assert world.index_files() == before


def test_who_asks_to_adopt_takes_over_an_index_of_another_tool_as_well() -> None:
    world = World()
    theirs = world.index_as_others_do(A, B)
    report = world.merge(adopt=True)
    assert (report.taken_over, report.generation) == (2, 1)
    assert world.published().keys() == theirs.keys()


def test_to_adopt_what_is_published_by_ourselves_changes_nothing() -> None:
    world = World()
    world.add(A)
    world.merge()
    state, channel = dict(world.state.objects), dict(world.channel.objects)
    assert world.merge(adopt=True) == MergeReport(generation=1)
    assert (world.state.objects, world.channel.objects) == (state, channel)


def test_what_another_stack_publishes_is_not_taken_back_unasked() -> None:
    world = World()
    world.add(A)
    world.merge()
    ours, state = world.merger, dict(world.state.objects)
    world.state.objects, world.merger = {}, world.owned_by("another stack")
    world.add(B)
    world.merge(adopt=True)
    world.state.objects, world.merger = dict(state), ours
    with pytest.raises(ForeignOwner):
        world.merge()
    assert world.state.objects == state


def test_an_index_that_cannot_be_taken_over_stays_and_so_does_what_is_staged() -> None:
    world = World()
    world.channel.upload(SUBDIR.file_key(REPODATA), b"not json")
    world.add(A)
    with pytest.raises(Corrupt, match="cannot be read"):
        world.merge()
    assert world.body() == b"not json"
    assert read_head(world.state, SUBDIR) == BEFORE_FIRST
    assert len(world.staged()) == 1


@pytest.mark.parametrize("filename", ["alpha-1.0RC1-0.conda", "Alpha-1.0-0.tar.bz2"])
def test_what_another_tool_indexed_under_a_sloppier_name_stays_for_clients_of_shards_too(
    filename: str,
) -> None:
    world = World()
    world.upload(filename)
    index = foreign_repodata({filename: {**record_of(A, b""), "name": "alpha"}}, subdir=SUBDIR.name)
    world.channel.upload(SUBDIR.file_key(REPODATA), json.dumps(index).encode())
    world.add(B)
    world.merge()
    assert world.published().keys() == {filename, B}  # which insists that shards and index agree


# --- noarch ---------------------------------------------------------------------------------------


def test_the_first_package_of_a_channel_asks_for_noarch_before_its_head_is_swapped() -> None:
    world = World()
    world.add(A)
    world.state.before = at_request("PutObject", SUBDIR.head_key, kill_process)
    with pytest.raises(ProcessKilled):
        world.merge()
    (message,) = world.queue.messages
    window_ms = (DEBOUNCE_SECONDS - 2) * 1000
    not_before = (world.now_ms // window_ms + 1) * window_ms + 2000
    assert merge_request.parse_merge_request(message.body) == MergeRequest(
        NOARCH, not_before, create=True
    )


def test_the_request_makes_an_empty_valid_noarch_and_asks_for_nothing_more() -> None:
    world = World()
    world.add(A)
    world.merge()
    (request,) = world.deliver()
    assert request.subdir == NOARCH
    repodata = json.loads(world.channel.body(NOARCH.file_key(REPODATA)))
    assert repodata == {
        "info": {"subdir": "noarch"},
        "packages": {},
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
        "sluice": repodata["sluice"],
    }
    shards = msgpack.unpackb(unzstd(world.channel.body(NOARCH.file_key(SHARD_INDEX))))
    assert (shards["shards"], shards["version"]) == ({}, 1)
    assert NOARCH.file_key(REPODATA_ZST) in world.channel.objects


def test_only_the_first_package_of_a_subdir_asks_for_noarch() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.queue.messages.clear()
    world.tick(1000)
    world.add(B)
    world.drop(A)
    world.merge()
    assert world.queue.messages == []


def test_noarch_is_there_no_later_than_the_first_index_wherever_the_merge_is_killed() -> None:
    ours, noarch = SUBDIR.file_key(REPODATA), NOARCH.file_key(REPODATA)
    for number in range(1000):
        world, left = World(), [number]
        world.add(A)

        def before_each_request(
            _operation: str, _key: str, world: World = world, left: list[int] = left
        ) -> None:
            objects = world.channel.objects
            assert ours not in objects or noarch in objects
            if not left[0]:
                raise ProcessKilled
            left[0] -= 1

        world.channel.before = world.state.before = before_each_request
        try:
            world.merge()
        except ProcessKilled:
            continue
        break
    assert number > 20
    assert {ours, noarch} <= world.channel.objects.keys()


def test_an_index_is_published_also_if_its_noarch_cannot_be() -> None:
    world = World()

    def fails() -> None:
        raise Unavailable("S3 is down")

    world.state.before = at_request("GetObject", NOARCH.head_key, fails)
    world.add(A)
    world.merge()
    assert NOARCH.file_key(REPODATA) not in world.channel.objects
    assert world.published().keys() == {A}
    world.tick(DEBOUNCE_SECONDS)
    world.deliver()
    assert NOARCH.file_key(REPODATA) in world.channel.objects, "by the request"


def test_a_noarch_that_is_there_is_left_as_it_is() -> None:
    world = World()
    theirs = b"{}"
    world.channel.upload(NOARCH.file_key(REPODATA), theirs)
    world.add(A)
    world.merge()
    assert world.channel.body(NOARCH.file_key(REPODATA)) == theirs


def test_noarch_does_not_ask_for_itself() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.merge()
    assert world.queue.messages == []


def test_a_request_to_create_what_is_there_changes_nothing() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.merge()
    before = (dict(world.channel.objects), dict(world.state.objects))
    world.merge(create=True)
    assert (world.channel.objects, world.state.objects) == before


def test_a_request_to_create_takes_an_index_of_somebody_else_over() -> None:
    world = World(subdir=NOARCH)
    world.index_as_others_do(A)
    world.merge(create=True)
    assert world.published().keys() == {A}


def test_a_request_to_create_that_meets_rejects_only_makes_an_empty_index() -> None:
    world = World(subdir=NOARCH)
    world.add_corrupt(A)
    world.merge(create=True)
    assert world.published() == {}
    assert [reject["filename"] for reject in world.rejects()] == [A]
