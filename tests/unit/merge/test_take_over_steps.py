"""A take-over in steps: what comes of it is what one merge makes, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from itertools import chain, count, repeat

import msgpack
import msgspec
import pytest

from sluice import zstd
from sluice.catalog.tree import Node
from sluice.errors import TooNew, Unavailable
from sluice.layout import REPODATA, REPODATA_ZST, RUN_EXPORTS, SHARD_INDEX, Subdir
from sluice.limits import (
    INDEX_TIME_LEFT_MS,
    MERGE_TIME_RESERVE_MS,
    SWAP_SECONDS_MAX,
    TAKE_OVER_ATTEMPTS_MAX,
)
from sluice.merge import generation_writer, take_over_steps
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.merge.publishing import Scope
from sluice.merge.take_over_steps import TakeOverStep, publish_reserve_ms
from sluice.messages.merge_request import MergeRequest, parse_merge_request
from sluice.takeover.progress import TakeOverProgress, decode_progress, encode_progress
from testkit.memory_store import MemoryStore
from tests.support.garbage import DAY, RETENTION_DAYS, collect_garbage
from tests.support.packed import pack_each_leaf, pack_from, place_of
from tests.support.request_hooks import ProcessKilled, at_request
from tests.support.staging_records import SUBDIR, A, B, C, record_of
from tests.support.subdir_world import OWNER, PLENTY_MS, World, foreign_repodata, unzstd

D = "delta-1.0-0.conda"
THEIRS = (A, B, C, D)
"""In the index of another tool, each of a name of its own."""
NEW = "epsilon-1.0-0.conda"
"""Its upload begins the take-over."""
KEY = SUBDIR.take_over_key
IMMUTABLE = ("leaves/", "packs/", "trees/", "commits/")


@pytest.fixture(autouse=True, params=[False, True], ids=["leaves", "packs"])
def _in_packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for leaves in packs as well."""
    if request.param:
        pack_each_leaf(monkeypatch)


@pytest.fixture(autouse=True)
def _one_name_per_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_writer, "NAMES_AT_ONCE", 1)
    monkeypatch.setattr(take_over_steps, "TAKE_OVER_IN_STEPS_RECORDS_MIN", 2)


def world_of_others(*filenames: str) -> World:
    """Another tool's index is there, and a package was uploaded."""
    world = World()
    world.index_as_others_do(*(filenames or THEIRS))
    world.add(NEW)
    return world


def step(world: World) -> MergeReport:
    """One merge that has time for one name."""
    return world.merge(time_left_ms=lambda: 0)


def steps(world: World) -> list[MergeReport]:
    """All steps."""
    reports: list[MergeReport] = []
    while not reports or reports[-1].unfinished:
        reports.append(step(world))
        assert len(reports) < 50
    return reports


def progress(world: World) -> TakeOverProgress:
    """What is stored of the take-over."""
    stored = decode_progress(world.state.body(KEY), what=KEY)
    assert stored
    return stored


def public_files(world: World) -> dict[str, bytes]:
    """What clients can read by now, but for shards that no index names."""
    return {key: body for key, body in world.index_files().items() if "shards/" not in key}


def freeze_commit_time(world: World) -> None:
    """Let all commits have the same time, so that their objects can be compared."""
    frozen = world.now_ms + 100_000
    world.merger = replace(world.merger, clock=lambda: frozen)


def immutable(world: World) -> dict[str, bytes]:
    """Everything that is named by its content, and all that is published."""
    state = {
        key: world.state.body(key) for key in world.state.keys("") if key.startswith(IMMUTABLE)
    }
    return state | world.index_files()


def world_of_everything() -> World:
    """An index with all that an index can have: see ``test_take_over``."""
    world = World()
    records = world.index_as_others_do(*THEIRS, "removed-1.0-0.conda")
    del records["removed-1.0-0.conda"]
    world.upload("nodashes.conda")
    records["nodashes.conda"] = {}  # cannot be published
    records["gone-1.0-0.conda"] = record_of("gone-1.0-0.conda", b"")  # has no file
    records[B]["run_exports"] = {"weak": ["beta >=1"]}
    # Built after it was indexed, so that there is a warning.
    records[D] |= {"timestamp": 9_000_000_000_000, "indexed_timestamp": 1}
    flagged = {**records.pop(C), "flags": ["cuda"]}
    index: dict[str, object] = foreign_repodata(records, subdir=SUBDIR.name)
    wheel = {"name": "alpha", "url": "https://pypi.example/a.whl"}
    index |= {
        "removed": ["removed-1.0-0.conda"],
        "v3": {"conda": {C.removesuffix(".conda"): flagged}, "whl": {"alpha-1.0": wheel}},
        "info": {"subdir": SUBDIR.name, "base_url": "", "message": "hello"},
    }
    world.channel.upload(SUBDIR.file_key(REPODATA), json.dumps(index).encode())
    world.channel.upload(
        SUBDIR.file_key(RUN_EXPORTS),
        json.dumps({"packages.conda": {A: {"run_exports": {"strong": ["alpha"]}}}}).encode(),
    )
    world.add(NEW)
    return world


def world_of_shards() -> World:
    """An index in shards alone: sluice's own, of a state that was lost."""
    world = World()
    for filename in THEIRS:
        world.add(filename)
    world.merge()
    world.queue.messages.clear()
    world.state.objects.clear()
    for file in (REPODATA, REPODATA_ZST):
        world.channel.remove(SUBDIR.file_key(file))
    world.replace_execution_environment()
    world.add(NEW)
    return world


@pytest.mark.parametrize("begin", [world_of_others, world_of_everything, world_of_shards])
def test_the_result_of_many_steps_is_that_of_one_merge_byte_for_byte(
    begin: Callable[[], World],
) -> None:
    one, many = begin(), begin()
    for world in (one, many):
        freeze_commit_time(world)
    first = one.merge()
    assert not first.unfinished
    *before, last = steps(many)
    assert len(before) >= 3
    assert immutable(many) == immutable(one)
    assert many.head().tree == one.head().tree
    assert many.head().commit == one.head().commit
    assert last == replace(first, files_written=last.files_written)
    assert last.difference.added == [NEW]


def test_what_steps_count_is_what_one_merge_counts() -> None:
    *_, last = steps(world_of_everything())
    one = world_of_everything().merge()
    assert (one.taken_over, one.left_out) == (last.taken_over, last.left_out) == (5, 1)
    assert one.difference.rejects_changed
    assert last.difference.rejects_changed


def test_a_report_says_how_many_names_are_left() -> None:
    reports = steps(world_of_others())
    # The upload's own name is drafted in each step, and comes last here, where there is time.
    assert [report.names_left for report in reports] == [4, 3, 2, 0]


def test_before_the_last_step_nothing_is_published_consumed_or_committed() -> None:
    world = world_of_others()
    public, staged = public_files(world), world.staged()
    for _ in range(3):
        report = step(world)
        assert report.unfinished
        assert (report.generation, report.staged, report.files_written) == (0, 0, 0)
        assert public_files(world) == public
        assert world.staged() == staged
        assert SUBDIR.head_key not in world.state.objects
    assert not step(world).unfinished
    assert world.published().keys() == {*THEIRS, NEW}
    assert world.staged() == []


def test_each_step_writes_what_the_ones_before_it_have_not_written() -> None:
    world = world_of_others()
    steps(world)
    leaves = [
        key
        for operation, key in world.state.operations()
        if operation == "PutObject" and key.startswith(("leaves/", "packs/"))
    ]
    assert len(leaves) == len(set(leaves)) == len(THEIRS) + 1


def test_each_step_asks_for_the_next_one_and_the_last_for_none() -> None:
    world = world_of_others()
    for expected in (1, 1, 1, 0):
        world.queue.messages.clear()
        step(world)
        requests = [parse_merge_request(message.body) for message in world.queue.messages]
        assert sum(request.subdir == SUBDIR for request in requests) == expected
    assert world.queue.dropped == []


def test_the_requests_that_follow_finish_it_by_themselves() -> None:
    world = world_of_others()
    step(world)
    world.deliver()
    assert world.published().keys() == {*THEIRS, NEW}
    assert world.staged() == []


def test_a_request_to_create_is_carried_on_until_it_is_done() -> None:
    world = World()
    world.index_as_others_do(*THEIRS)
    report = world.merge(create=True, time_left_ms=lambda: 0)
    assert report.unfinished
    (message,) = world.queue.messages
    assert parse_merge_request(message.body).create
    world.deliver()
    assert world.published().keys() == {*THEIRS}


def test_the_progress_goes_with_the_staging_records_in_one_request() -> None:
    world = world_of_others()
    steps(world)
    assert KEY not in world.state.objects
    deletes = [key for operation, key in world.state.operations() if operation == "DeleteObjects"]
    assert len(deletes) == 1


def test_a_take_over_that_is_done_at_once_stores_no_progress() -> None:
    world = world_of_others()
    world.merge()
    requests = [one for one in world.state.operations() if one[1] == KEY]
    assert requests == [("GetObject", KEY)]


def test_a_small_index_is_not_taken_over_in_steps_and_costs_no_request_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(take_over_steps, "TAKE_OVER_IN_STEPS_RECORDS_MIN", len(THEIRS) + 1)
    world = world_of_others()
    assert not step(world).unfinished
    assert KEY not in {key for _, key in world.state.operations()}


# --- time -----------------------------------------------------------------------------------------


@pytest.fixture
def _publishing_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take_over_steps, "PUBLISHED_NAMES_PER_SECOND", 1)


@pytest.mark.usefixtures("_publishing_takes_long")
def test_what_is_written_is_committed_only_where_there_is_time_to_publish_it() -> None:
    world = world_of_others()
    needed = publish_reserve_ms(len(THEIRS) + 1, len(THEIRS) + 1)
    assert world.merge(time_left_ms=lambda: needed - 1).unfinished
    assert len(progress(world).names) == len(THEIRS)
    assert not world.merge(time_left_ms=lambda: needed).unfinished


@pytest.mark.usefixtures("_publishing_takes_long")
def test_a_step_that_finds_everything_written_commits_however_late_it_is() -> None:
    world = world_of_others()
    assert world.merge(time_left_ms=lambda: publish_reserve_ms(5, 5) - 1).unfinished
    assert not world.merge(time_left_ms=lambda: 0).unfinished


@pytest.mark.parametrize("names", [0, 1000, 27_000, 1_000_000])
@pytest.mark.parametrize("files", [0, 1000, 500_000, 10_000_000])
def test_publishing_more_takes_longer_but_leaves_some_of_the_time(names: int, files: int) -> None:
    reserve_ms = publish_reserve_ms(names, files)
    assert MERGE_TIME_RESERVE_MS <= reserve_ms <= 200_000
    assert reserve_ms <= publish_reserve_ms(2 * names, files)
    assert reserve_ms <= publish_reserve_ms(names, 2 * files)


def test_progress_that_is_too_old_is_not_used() -> None:
    """Garbage collection may soon delete what it refers to."""
    world = world_of_others()
    step(world)
    before = progress(world)
    world.tick(SWAP_SECONDS_MAX + 1)
    report = step(world)
    assert report.names_left == 4
    after = progress(world)
    assert after.not_after_ms > before.not_after_ms
    assert not {one.node for one in before.names.values()} & {
        one.node for one in after.names.values()
    }
    steps(world)
    assert world.published().keys() == {*THEIRS, NEW}


def one_step_an_hour(world: World) -> MergeReport:
    """A step of a function that is much too slow."""
    world.tick(SWAP_SECONDS_MAX)
    return step(world)


def test_a_take_over_that_never_ends_is_given_up_and_tried_again_a_day_later() -> None:
    world = world_of_others()
    for attempt in range(1, TAKE_OVER_ATTEMPTS_MAX + 1):
        assert one_step_an_hour(world).unfinished
        assert (progress(world).attempt or 1) == attempt
    public, stored = public_files(world), world.state.body(KEY)
    for _ in range(3):
        world.queue.messages.clear()
        with pytest.raises(Unavailable, match="MergeMemorySize"):
            one_step_an_hour(world)
        assert world.queue.messages == []  # the chain ends
    assert public_files(world) == public
    assert world.state.body(KEY) == stored
    assert world.staged()
    world.tick(DAY)
    assert step(world).unfinished
    assert not progress(world).attempt
    steps(world)
    assert world.published().keys() == {*THEIRS, NEW}


def test_attempts_are_counted_anew_for_other_rules() -> None:
    world = world_of_others()
    for _ in range(TAKE_OVER_ATTEMPTS_MAX):
        one_step_an_hour(world)
    configure(world)
    one_step_an_hour(world)
    assert not progress(world).attempt


def test_a_process_that_nobody_stops_takes_over_what_functions_have_given_up() -> None:
    world = world_of_others()
    for _ in range(TAKE_OVER_ATTEMPTS_MAX):
        one_step_an_hour(world)
    world.tick(SWAP_SECONDS_MAX)
    assert not world.merge(time_left_ms=lambda: INDEX_TIME_LEFT_MS).unfinished
    assert world.published().keys() == {*THEIRS, NEW}
    assert KEY not in world.state.objects


def test_who_deletes_the_progress_need_not_wait() -> None:
    world = world_of_others()
    for _ in range(TAKE_OVER_ATTEMPTS_MAX):
        one_step_an_hour(world)
    world.tick(SWAP_SECONDS_MAX)
    lose_progress(world)
    steps(world)
    assert world.published().keys() == {*THEIRS, NEW}


def test_the_deadline_counts_from_the_first_write_of_the_first_step() -> None:
    world = world_of_others()
    step(world)
    first = progress(world).not_after_ms
    world.tick(SWAP_SECONDS_MAX // 2)
    step(world)
    assert progress(world).not_after_ms == first


def test_a_swap_behind_the_deadline_begins_again_and_refers_to_nothing_old() -> None:
    world = world_of_others()
    for _ in range(3):
        step(world)
    old = {one.node.leaf.hex() for one in progress(world).names.values() if one.node}
    tree_prefix = SUBDIR.trees.prefix

    def sleep(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith(tree_prefix):
            world.state.before = lambda *_: None
            world.tick(SWAP_SECONDS_MAX)

    world.state.before = sleep
    world.merge()
    assert world.published().keys() == {*THEIRS, NEW}
    assert not old & {node.leaf.hex() for node in world.tree().names.values()}


def test_names_with_many_files_are_not_all_written_in_one_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time is looked at between rounds, and a round is in memory as a whole."""
    monkeypatch.setattr(generation_writer, "NAMES_AT_ONCE", 256)
    assert not step(world_of_others()).unfinished
    monkeypatch.setattr(generation_writer, "FILES_AT_ONCE", 1)
    assert step(world_of_others()).unfinished


# --- what happens between two steps ---------------------------------------------------------------


def replace_index(world: World) -> None:
    """Another tool writes a new index: a record changes, one goes, one comes."""
    world.upload("zeta-1.0-0.conda", b"zeta")
    records = {
        name: {**record_of(name, name.encode()), "license": "changed"} if name == A else
        record_of(name, name.encode())
        for name in (A, C, D, "zeta-1.0-0.conda")
    }  # fmt: skip
    body = json.dumps(foreign_repodata(records, subdir=SUBDIR.name)).encode()
    world.channel.upload(SUBDIR.file_key(REPODATA), body)


def upload_to_finished_name(world: World) -> None:
    """A package of a name that is written already is uploaded, and its event has come."""
    world.add("alpha-9.0-0.conda")


def overwrite_unheard(world: World) -> None:
    """A package is overwritten, and its event has not come yet."""
    world.upload(A, b"other content")


def remove_unheard(world: World) -> None:
    """A package is deleted, and its event has not come yet."""
    world.remove(B)


def remove_heard(world: World) -> None:
    """A package is deleted, and its event has come."""
    world.drop(B)


def overwrite_heard(world: World) -> None:
    """A package is overwritten, and its event has come."""
    world.add(A, b"other content")


def reject_heard(world: World) -> None:
    """A package is overwritten by garbage, and its event has come."""
    world.add_corrupt(C)


def configure(world: World) -> None:
    """The channel gets rules under which its shards look different."""
    world.configure('[sluice]\ntimestamps = "reject"\n')
    assert world.merger.defaults.timestamps != "reject"


def damage_progress(world: World) -> None:
    """The progress is damaged."""
    if KEY in world.state.objects:
        world.state.upload(KEY, b"?")


def lose_progress(world: World) -> None:
    """The progress is deleted."""
    world.state.objects.pop(KEY, None)


def wait_too_long(world: World) -> None:
    """Nothing happens for hours."""
    world.tick(2 * SWAP_SECONDS_MAX)


EVENTS = [
    replace_index,
    upload_to_finished_name,
    overwrite_unheard,
    overwrite_heard,
    remove_unheard,
    remove_heard,
    reject_heard,
    configure,
    damage_progress,
    lose_progress,
    wait_too_long,
]


def test_new_rules_count_for_names_that_are_written_already() -> None:
    world = world_of_everything()  # one of its packages was built after it was indexed
    step(world)
    step(world)
    step(world)
    assert "delta" in progress(world).names
    configure(world)
    steps(world)
    assert D not in world.published()


def seen(world: World) -> object:
    """What clients and people see, but for times."""
    records = {
        name: {key: value for key, value in record.items() if key != "indexed_timestamp"}
        for name, record in world.published().items()
    }
    entries = {
        name: (type(entry), entry.identity and (entry.identity.etag, entry.identity.size))
        for name, entry in world.entries().items()
    }
    rejects = world.rejects() if world.tree().rejects_generation else []
    return records, entries, [(reject["filename"], reject["code"]) for reject in rejects]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("after", range(4))
def test_what_happens_between_steps_counts_as_if_it_had_happened_before(
    event: Callable[[World], None], after: int
) -> None:
    one, many = world_of_others(), world_of_others()
    for _ in range(after):
        step(many)
    for world in (one, many):
        event(world)
    one.merge()
    steps(many)
    assert seen(many) == seen(one)
    assert many.staged() == []


def test_a_package_that_is_uploaded_meanwhile_is_not_dated_before_its_upload() -> None:
    """CEP 47: it would look as if it had been indexed before it was built."""
    world = world_of_others()
    step(world)
    world.tick(600)
    world.add("alpha-9.0-0.conda")
    steps(world)
    uploaded = world.channel.objects[SUBDIR.file_key("alpha-9.0-0.conda")].info.modified
    assert world.published()["alpha-9.0-0.conda"]["indexed_timestamp"] >= uploaded * 1000


def test_dates_of_the_index_stay() -> None:
    world = world_of_others()
    modified = {
        name: world.channel.objects[SUBDIR.file_key(name)].info.modified * 1000 for name in THEIRS
    }
    steps(world)
    published = world.published()
    assert {name: published[name]["indexed_timestamp"] for name in THEIRS} == modified


def test_names_whose_records_are_still_the_same_need_not_be_written_again() -> None:
    """A tool that goes on writing its index must not make the take-over begin again for ever."""
    world = world_of_others()
    for _ in range(3):
        step(world)
    before = progress(world).names
    assert before.keys() == {"alpha", "beta", "delta"}
    replace_index(world)
    step(world)
    after = progress(world).names
    assert after["delta"] == before["delta"]
    assert after["alpha"] != before["alpha"]


def test_progress_for_another_bucket_is_not_used() -> None:
    """Its shards are not there."""
    world = world_of_others()
    for _ in range(3):
        step(world)
    old = {one.node.leaf.hex() for one in progress(world).names.values() if one.node}
    world.merger = replace(world.merger, bucket="copy")
    steps(world)
    assert not old & {node.leaf.hex() for node in world.tree().names.values()}


def test_progress_of_a_newer_sluice_is_refused_and_left_alone() -> None:
    world = world_of_others()
    step(world)
    plain = msgspec.msgpack.decode(zstd.decompress(world.state.body(KEY)))
    newer = zstd.compress(msgspec.msgpack.encode({**plain, "format": 99}))
    world.state.upload(KEY, newer)
    with pytest.raises(TooNew, match=f"{KEY} has format 99"):
        step(world)
    assert world.state.body(KEY) == newer
    assert world.staged()


def test_rejects_that_came_before_the_take_over_do_not_make_it_begin_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of_others()
    for _ in range(2):
        step(world)
    before = progress(world).names
    world.add_corrupt("aaa-1.0-0.conda")
    monkeypatch.setattr("sluice.merge.isolation.MERGE_BATCH_RECORDS_MAX", 1)
    world.merger = replace(world.merger, batch_records=1)  # it is committed by itself
    report = step(world)
    assert report.unfinished
    after = progress(world).names
    assert before.items() <= after.items()
    steps(world)
    assert world.published().keys() == {*THEIRS, NEW}
    assert [one["filename"] for one in world.rejects()] == ["aaa-1.0-0.conda"]


# --- another stack's channel ----------------------------------------------------------------------


def world_of_another_stack() -> World:
    """Another stack has published what is there, after this state had known all of it."""
    world = World()
    for filename in THEIRS:
        world.add(filename)
    world.merge()
    other = replace(world.owned_by("other"))
    merge(other, MergeRequest(SUBDIR, 0, adopt=True), time_left_ms=lambda: PLENTY_MS)
    for number in range(3):  # this state is ahead of what is published
        world.add(f"alpha-1.{number}-0.conda")
        request = MergeRequest(SUBDIR, 0)
        merge(world.merger, request, time_left_ms=lambda: PLENTY_MS, scope=Scope.NOTHING)
    world.queue.messages.clear()
    world.replace_execution_environment()
    return world


def test_a_channel_of_another_stack_is_adopted_in_steps_and_stays_as_it_is_until_then() -> None:
    world = world_of_another_stack()
    public, head = public_files(world), world.head()
    report = world.merge(adopt=True, time_left_ms=lambda: 0)
    while report.unfinished:
        assert public_files(world) == public
        assert world.head() == head
        (message,) = world.queue.messages
        world.queue.messages.clear()
        assert parse_merge_request(message.body).adopt
        report = world.merge(adopt=True, time_left_ms=lambda: 0)
    assert public_files(world) != public
    assert world.published().keys() > {*THEIRS}
    assert world.head().generation > head.generation


def test_a_stack_that_publishes_between_two_batches_is_not_overwritten_by_less() -> None:
    world = World()
    for filename in THEIRS:
        world.add(filename)
    world.merge()
    world.queue.messages.clear()
    world.add("alpha-1.1-0.conda")
    world.add("beta-1.1-0.conda")
    world.merger = replace(world.merger, batch_records=1)
    files = [SUBDIR.file_key(file) for file in (REPODATA, REPODATA_ZST, SHARD_INDEX)]

    def publish_elsewhere() -> None:
        """Let another stack publish an index that has a package more."""
        for key in files:
            stored = world.channel.objects[key]
            stamp = {name: "other" if value == OWNER else value for name, value in
                     stored.info.metadata.items()}  # fmt: skip
            world.channel.upload(key, stored.body, metadata=stamp)

    world.state.after = at_request("PutObject", SUBDIR.head_key, publish_elsewhere)
    times = chain([MERGE_TIME_RESERVE_MS], repeat(0))  # enough for one more batch to begin
    report = world.merge(adopt=True, time_left_ms=lambda: next(times))
    assert report.unfinished
    assert report.staged == 1
    owners = {world.channel.objects[key].info.metadata["sluice-owner"] for key in files}
    assert owners == {"other"}


# --- kills, and two at once -----------------------------------------------------------------------


def kill_at(world: World, number: int, *, landed: bool) -> None:
    """Kill whoever makes the request of that number, before or after it takes effect."""
    made = count()

    def die(_operation: str, _key: str) -> None:
        if next(made) == number:
            for store in (world.state, world.channel):
                store.before = store.after = lambda *_: None
            world.queue.before = world.queue.after = lambda *_: None
            raise ProcessKilled

    for store in (world.state, world.channel, world.queue):
        if landed:
            store.after = die
        else:
            store.before = die


def steps_with_a_kill(world: World) -> bool:
    """All steps; what is killed is tried again.  Returns whether anything was killed."""
    killed = False
    while True:
        try:
            if not step(world).unfinished:
                return killed
        except ProcessKilled:
            killed = True


@pytest.mark.parametrize("landed", [False, True])
def test_steps_that_are_killed_at_any_request_come_to_the_same_index(*, landed: bool) -> None:
    expected = world_of_others()
    steps(expected)
    for number in count():
        world = world_of_others()
        kill_at(world, number, landed=landed)
        killed = steps_with_a_kill(world)
        if not killed:
            break
        for store in (world.state, world.channel):
            store.before = store.after = lambda *_: None
        # What a death between commit and publication leaves, the request that comes back does.
        world.deliver()
        assert seen(world) == seen(expected)
        assert world.staged() == []
    assert number > 50


def test_what_a_kill_after_the_commit_leaves_of_the_progress_is_collected_after_a_day() -> None:
    world = world_of_others()
    for _ in range(3):
        step(world)

    def die() -> None:
        raise ProcessKilled

    world.channel.before = at_request("PutObject", SUBDIR.file_key(REPODATA), die)
    with pytest.raises(ProcessKilled):
        step(world)
    assert KEY in world.state.objects
    world.merge()
    assert KEY in world.state.objects
    collect_garbage(world)
    world.tick(DAY // 2)
    collect_garbage(world)
    assert KEY in world.state.objects
    world.tick(RETENTION_DAYS * DAY)
    assert collect_garbage(world, dry_run=True).objects
    assert KEY in world.state.objects
    collect_garbage(world)
    assert KEY not in world.state.objects
    assert world.published().keys() == {*THEIRS, NEW}


def requests_of_a_step(begin: Callable[[], World]) -> Iterator[tuple[str, str, str]]:
    """Each request of one step."""
    world = begin()
    before = len(world.state.requests), len(world.channel.requests)
    step(world)
    for name, store, skipped in zip(
        ("state", "channel"), (world.state, world.channel), before, strict=True
    ):
        for operation, key in store.operations()[skipped:]:
            yield name, operation, key


@pytest.mark.parametrize("steps_before", range(4))
def test_two_at_once_come_to_the_same_index_wherever_they_meet(steps_before: int) -> None:
    expected = world_of_others()
    steps(expected)

    def begin() -> World:
        world = world_of_others()
        for _ in range(steps_before):
            step(world)
        return world

    for name, operation, key in list(requests_of_a_step(begin)):
        for finish in (False, True):
            world = begin()
            store: MemoryStore = getattr(world, name)
            other = steps if finish else step
            store.before = at_request(operation, key, partial(_run, other, world))
            report = step(world)
            assert report.unfinished or not world.staged()
            steps(world)
            assert seen(world) == seen(expected)
            head = world.head()
            assert head.generation == 1  # one commit


def _run(other: Callable[[World], object], world: World) -> None:
    other(world)


def test_a_subdir_has_its_own_progress() -> None:
    keys = {Subdir(*one).take_over_key for one in (("a", "noarch"), ("a", "linux-64"), ("", "b"))}
    assert len(keys) == 3
    encoded = encode_progress(TakeOverProgress(made_for="x", not_after_ms=1, names={}))
    assert decode_progress(encoded, what="x") == TakeOverProgress(
        made_for="x", not_after_ms=1, names={}
    )


def test_names_whose_pack_is_not_full_when_a_step_ends_are_written_by_that_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So no later step writes them again, nor refers to a pack that is not there."""
    pack_from(monkeypatch, 1, pack_bytes=100_000)
    world = world_of_others()
    reports = steps(world)
    assert [report.names_left for report in reports] == [4, 3, 2, 0]
    assert world.published().keys() == {*THEIRS, NEW}
    written = [
        key
        for operation, key in world.state.operations()
        if operation == "PutObject" and key.startswith("packs/")
    ]
    assert len(written) == len(set(written)) == len(reports)
    assert set(written) == {
        SUBDIR.pack_key(place_of(node).pack.hex()) for node in world.tree().names.values()
    }


def test_a_name_is_finished_when_its_pack_is_written_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generation_writer, "NAMES_AT_ONCE", 1)
    pack_from(monkeypatch, 1, pack_bytes=100_000)
    world = world_of_others()
    confirmed: list[set[str]] = []
    plain = TakeOverStep.confirm

    def confirm(step: TakeOverStep, unwritten: AbstractSet[str] = frozenset()) -> None:
        plain(step, unwritten)
        for finished in step._progress.names.values():
            place = finished.node.place if finished.node else None
            assert place
            assert SUBDIR.pack_key(place.pack.hex()) in world.state.objects
        confirmed.append(set(step._progress.names))

    monkeypatch.setattr(TakeOverStep, "confirm", confirm)
    rounds = iter([10**6] * 3)  # time for three rounds
    world.merge(time_left_ms=lambda: next(rounds, 0))
    *during, at_the_end = confirmed
    assert during
    assert all(names == set() for names in during)
    assert at_the_end == {"alpha", "beta", "delta"}  # not the name that was uploaded
    assert progress(world).format == 2


def test_progress_without_packs_is_stored_as_it_was_before_there_were_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pack_from(monkeypatch, 100)
    world = world_of_others()
    step(world)
    stored = msgpack.unpackb(unzstd(world.state.body(KEY)))
    assert stored["format"] == 1
    assert {len(finished[1]) for finished in stored["names"].values()} == {
        Node.__struct_fields__.index("place")
    }
