"""Retiring a channel: what goes, what stays, and what else may happen between any two requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from sluice.admin.changes.rebind import rebind
from sluice.admin.changes.retire import plan_retirement, retire
from sluice.admin.history.log import log
from sluice.admin.history.rejects import rejects
from sluice.admin.history.status import status
from sluice.admin.verify.verify import verify
from sluice.catalog.binding import binding_object
from sluice.catalog.head import read_head
from sluice.errors import Occupied, Unavailable, UnknownChannel, WrongState
from sluice.layout import REPODATA, SHARD_INDEX, SLUICE_TOML, Subdir
from sluice.merge.merge import merge
from sluice.messages.merge_request import MergeRequest
from testkit.memory_store import MemoryStore, ignore
from tests.support.admin_channel import admin_channel
from tests.support.packed import pack_each_leaf
from tests.support.reconcile_runs import ReconcileRuns, is_quiet
from tests.support.request_hooks import ProcessKilled, kill_process
from tests.support.staging_records import SUBDIR, A, removed
from tests.support.standalone_channel import CHANNEL, LINUX, NOARCH, StandaloneChannel, package
from tests.support.subdir_world import PLENTY_MS, World

ALPHA, BETA = package("alpha"), package("beta")
CONFIG = "[sluice]\npage = true\nrss = true\nchanneldata = true\n"
KEPT = (
    "heads/",
    "bindings/",
    "channels/",
    "unreadable/",
    "staging/",
    "probes/",
    "reconciliations/",
)
"""Kinds of private objects that a retirement leaves."""


@pytest.fixture(autouse=True, params=[False, True], ids=["leaves", "packs"])
def _in_packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for leaves in packs as well."""
    if request.param:
        pack_each_leaf(monkeypatch)


def emptied() -> StandaloneChannel:
    """A channel whose packages were deleted, of which its index knows."""
    world = StandaloneChannel()
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", CONFIG.encode())
    world.upload(ALPHA, package("pure", subdir="noarch"))
    world.index()
    world.tick()
    for path in (ALPHA.path, "noarch/pure-1.0-0.conda"):
        world.public.remove(f"{CHANNEL}/{path}")
    world.index()
    return world


def private_keys(world: StandaloneChannel) -> list[str]:
    return sorted(key for key in world.state.objects if not key.startswith(KEPT))


def public_keys(world: StandaloneChannel) -> list[str]:
    return sorted(world.public.objects)


def is_retired(world: StandaloneChannel) -> bool:
    return (
        private_keys(world) == []
        and public_keys(world) == [f"{CHANNEL}/{SLUICE_TOML}"]
        and all(read_head(world.state, subdir).value.is_tombstone for subdir in (LINUX, NOARCH))
        and binding_object(world.state, CHANNEL).read().value is None
    )


def assert_starts_anew(world: StandaloneChannel, *, after: int) -> None:
    """An upload leads to an index of its own, whose generations go on counting."""
    world.upload(BETA)
    report = world.index()
    assert report.failures == []
    assert world.filenames() == [BETA.filename]
    assert world.filenames(NOARCH) == []
    assert read_head(world.state, LINUX).value.generation > after
    assert verify(world.channel, deep=True).healthy
    world.index()
    assert status(world.channel).healthy


def test_an_empty_channel_stays_as_it_is_until_it_is_retired() -> None:
    world = emptied()
    before = dict(world.public.objects)
    for _ in range(3):
        world.tick(86_400)
        world.index()
    assert {key for key in before if REPODATA in key} <= world.public.objects.keys()
    assert status(world.channel).healthy


def test_a_retirement_shows_what_goes_and_removes_it() -> None:
    world = emptied()
    generation = read_head(world.state, LINUX).value.generation
    plan = plan_retirement(world.channel)
    linux, noarch = plan.subdirs
    assert (linux.subdir, linux.generation, plan.done) == ("linux-64", generation, False)
    assert REPODATA in linux.files
    assert linux.catalog_objects > 3
    assert noarch.files == linux.files
    assert f"{CHANNEL}/index.html" in plan.files
    done = retire(world.channel)
    assert (done.done, done.subdirs) == (True, plan.subdirs)
    assert is_retired(world)


def test_nothing_comes_back_after_that_and_commands_say_so() -> None:
    world = emptied()
    retire(world.channel)
    for _ in range(2):
        world.tick(86_400)
        report = world.index()
        assert report.empty is not None
        assert "it was retired" in report.empty
        assert report.failures == []
        assert is_retired(world)
    assert (status(world.channel).subdirs, status(world.channel).healthy) == ([], False)
    assert log(world.channel).newest == {}
    with pytest.raises(UnknownChannel, match="it was retired"):
        retire(world.channel)


def test_an_upload_after_that_starts_anew() -> None:
    world = emptied()
    generation = read_head(world.state, LINUX).value.generation
    retire(world.channel)
    assert_starts_anew(world, after=generation)
    assert [entry.commit.parent for entry in log(world.channel, "linux-64").generations] == [None]


def test_a_channel_with_packages_is_not_retired() -> None:
    world = StandaloneChannel()
    world.upload(ALPHA)
    world.index()
    before = dict(world.public.objects), dict(world.state.objects)
    for act in (plan_retirement, retire):
        with pytest.raises(Occupied, match=f"{CHANNEL}/linux-64/{ALPHA.filename}"):
            act(world.channel)
    assert (world.public.objects, world.state.objects) == before


def test_files_of_others_stay() -> None:
    world = emptied()
    world.public.upload(LINUX.file_key(REPODATA), b"{}")
    world.public.upload(f"{CHANNEL}/README.md", b"ours")
    shard = LINUX.shard_key("ab" * 32)
    world.public.upload(shard, b"of another tool")
    world.state.upload("unreadable/team/linux-64/x/1.json", b"?")
    retire(world.channel)
    left = {LINUX.file_key(REPODATA), f"{CHANNEL}/README.md", shard, f"{CHANNEL}/{SLUICE_TOML}"}
    assert left <= world.public.objects.keys()
    assert "unreadable/team/linux-64/x/1.json" in world.state.objects


def test_the_catalog_of_another_bucket_is_not_retired() -> None:
    world = emptied()
    elsewhere = replace(world.channel, bucket="another-bucket")
    with pytest.raises(WrongState, match="is bound to the bucket channel-bucket"):
        retire(elsewhere)


# --- between any two requests -------------------------------------------------------------------


def interrupted(world: StandaloneChannel, number: int, action: Callable[[], None]) -> bool:
    """Retire, with an action before one of its requests; whether there were so many."""
    seen = 0
    acted = False

    def hook(_operation: str, _key: str) -> None:
        nonlocal seen, acted
        if acted:
            return
        seen += 1
        if seen == number:
            acted = True
            action()

    stores: tuple[MemoryStore, ...] = (world.public, world.state)
    before = [store.before for store in stores]
    for store in stores:
        store.before = hook
    try:
        retire(world.channel)
    finally:
        for store, original in zip(stores, before, strict=True):
            store.before = original
    return acted


def each_request() -> Iterator[int]:
    yield from range(1, 400)


def test_killed_before_any_request_and_run_again_it_completes() -> None:
    whole = emptied()
    generation = read_head(whole.state, LINUX).value.generation
    for number in each_request():
        world = whole.copy()
        try:
            if not interrupted(world, number, kill_process):
                assert number > 40
                return
        except ProcessKilled:
            pass
        if not is_retired(world):
            retire(world.channel)
        assert is_retired(world), number
        assert_starts_anew(world, after=generation)
    pytest.fail("it never ends")


def test_a_killed_retirement_is_refused_to_everybody_else_until_it_is_completed() -> None:
    world = emptied()
    marks = 0

    def kill_after_mark(operation: str, key: str) -> None:
        nonlocal marks
        marks += operation == "PutObject" and key.startswith("bindings/")
        if marks and operation == "PutObject" and key.startswith("heads/"):
            kill_process()

    world.state.before = kill_after_mark
    with pytest.raises(ProcessKilled):
        retire(world.channel)
    world.state.before = lambda _operation, _key: None
    world.upload(BETA)
    report = world.index()
    assert any("is being retired" in failure.reason for failure in report.failures)
    with pytest.raises(Occupied):
        retire(world.channel)  # for there is a package now
    assert world.index().failures == []
    assert world.filenames() == [BETA.filename]


@pytest.mark.parametrize("uploads", [False, True])
def test_an_index_run_between_any_two_requests_loses_nothing(uploads: bool) -> None:  # noqa: FBT001
    """Merges, removals and uploads beside it: the index is that of the packages, or retired."""
    whole = emptied()
    generation = read_head(whole.state, LINUX).value.generation
    for number in each_request():
        world = whole.copy()

        def beside(world: StandaloneChannel = world) -> None:
            if uploads:
                world.upload(BETA)
            world.index()

        try:
            was_beside = interrupted(world, number, beside)
        except (Occupied, WrongState):
            was_beside = True
        if not was_beside:
            return
        if not uploads:
            if not is_retired(world):  # nothing was done, or something was written behind it
                retire(world.channel)
            assert is_retired(world), number
            assert_starts_anew(world, after=generation)
            continue
        world.index()
        assert world.filenames() == [BETA.filename], number
        assert world.index().failures == []
        assert verify(world.channel, deep=True).healthy, number
    pytest.fail("it never ends")


def merge_with_retirement_at(
    world: StandaloneChannel, operation: str, key_part: str, store: MemoryStore
) -> bool:
    """Index, with a whole retirement just before one of its requests."""
    acted = False

    def hook(actual: str, key: str) -> None:
        nonlocal acted
        if not acted and actual == operation and key_part in key:
            acted = True
            retire(world.channel)

    store.before = hook
    world.index()
    store.before = lambda _operation, _key: None
    return acted


def with_unmerged_removal() -> StandaloneChannel:
    """A channel whose packages are gone, of which its index does not know yet."""
    world = StandaloneChannel()
    world.upload(ALPHA, package("pure", subdir="noarch"))
    world.index()
    for path in (ALPHA.path, "noarch/pure-1.0-0.conda"):
        world.public.remove(f"{CHANNEL}/{path}")
    return world


@pytest.mark.parametrize(
    ("operation", "key_part", "is_public"),
    [
        ("PutObject", "heads/", False),
        ("PutObject", "trees/", False),
        ("PutObject", "commits/", False),
        ("PutObject", "repodata_shards.msgpack.zst", True),
        ("PutObject", "repodata.json", True),
    ],
)
def test_a_merge_that_sleeps_through_a_retirement_brings_nothing_back(
    operation: str,
    key_part: str,
    is_public: bool,  # noqa: FBT001
) -> None:
    world = with_unmerged_removal()
    generation = read_head(world.state, LINUX).value.generation
    store = world.public if is_public else world.state
    assert merge_with_retirement_at(world, operation, key_part, store)
    for subdir in (LINUX, NOARCH):
        assert read_head(world.state, subdir).value.is_tombstone
    left = [key for key in public_keys(world) if key.endswith((".json", ".zst"))]
    if left:  # a late index file: running it again removes it
        retire(world.channel)
    assert [key for key in public_keys(world) if key.endswith((".json", ".zst"))] == []
    assert_starts_anew(world, after=generation)


def test_a_late_index_file_of_the_old_catalog_does_not_block_the_new_one() -> None:
    """Why heads stay: with generations from 1 on, the fence would take it for a newer one."""
    world = emptied()
    key = LINUX.file_key(REPODATA)
    late = world.public.objects[key]
    generation = read_head(world.state, LINUX).value.generation
    retire(world.channel)
    world.public.objects[key] = late
    assert_starts_anew(world, after=generation)
    assert retired_again(world)


def retired_again(world: StandaloneChannel) -> bool:
    """A channel that was started anew can be retired anew."""
    world.public.remove(f"{CHANNEL}/{BETA.path}")
    world.index()
    retire(world.channel)
    return is_retired(world)


def test_a_retired_channel_can_be_bound_to_another_bucket() -> None:
    world = emptied()
    retire(world.channel)
    elsewhere = replace(world.channel, bucket="another-bucket")
    rebound = rebind(elsewhere, max_age_seconds=60, brake_days=3)
    assert rebound.done
    world.channel = elsewhere
    assert world.index().failures == []


def test_two_retirements_at_once_end_retired() -> None:
    whole = emptied()
    for number in each_request():
        world = whole.copy()

        def other(world: StandaloneChannel = world) -> None:
            retire(world.channel)

        try:
            if not interrupted(world, number, other):
                return
        except (Unavailable, UnknownChannel):
            pass  # the other one has taken over, or is done
        assert is_retired(world), number
    pytest.fail("it never ends")


@pytest.mark.parametrize("was_retired", [True, False])
def test_retired_between_any_two_requests_of_a_first_commit_the_next_upload_starts_anew(
    was_retired: bool,  # noqa: FBT001
) -> None:
    """The commit may have bound the channel, and must not go on without that binding."""
    whole = emptied() if was_retired else StandaloneChannel()
    if was_retired:
        retire(whole.channel)
    whole.upload(BETA)
    for number in each_request():
        world = whole.copy()

        def beside(world: StandaloneChannel = world) -> None:
            world.public.remove(f"{CHANNEL}/{BETA.path}")
            with suppress(UnknownChannel):
                retire(world.channel)

        if not with_action_before(world, number, beside):
            assert number > 20
            return
        world.tick()
        assert_starts_anew(world, after=0)
    pytest.fail("it never ends")


def with_action_before(world: StandaloneChannel, number: int, action: Callable[[], None]) -> bool:
    """Index, with an action before one of its requests; whether there were so many."""
    seen = 0

    def hook(_operation: str, _key: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            action()

    for store in (world.public, world.state):
        store.before = hook
    world.index()
    for store in (world.public, world.state):
        store.before = lambda _operation, _key: None
    return seen >= number


def test_a_channel_at_the_root_can_be_retired() -> None:
    world = StandaloneChannel()
    world.channel = replace(world.channel, name="")
    world.public.upload(ALPHA.path, ALPHA.body)
    world.index()
    world.public.remove(ALPHA.path)
    world.index()
    retire(world.channel)
    assert public_keys(world) == []
    assert read_head(world.state, Subdir("", "linux-64")).value.is_tombstone


# --- beside a stack -----------------------------------------------------------------------------


def retired_of_a_stack() -> World:
    """A channel of a stack, retired, with requests of before left in its queue."""
    world = World()
    world.add(A)
    world.merge()
    world.deliver()
    world.drop(A)
    world.merge()
    world.deliver()
    retire(admin_channel(world))
    return world


def test_reconcile_finds_nothing_to_do_in_a_retired_channel() -> None:
    world = retired_of_a_stack()
    assert world.channel.objects == {}
    runs = ReconcileRuns(world)
    for _ in range(3):
        world.tick(86_400)
        report = runs.run()
        runs.handle_requests()
        world.deliver()
        assert (report.counts.repairs, report.counts.failed, report.counts.wrong_state) == (0, 0, 0)
        assert world.channel.objects == {}
        assert binding_object(world.state, SUBDIR.channel).read().value is None


@pytest.mark.parametrize("warm", [True, False])
def test_requests_of_before_bring_nothing_back(warm: bool) -> None:  # noqa: FBT001 - of the test
    """Also a request for the channel's noarch, which its first publication sent twice."""
    world = retired_of_a_stack()
    noarch = Subdir(SUBDIR.channel, "noarch")
    for subdir in (SUBDIR, noarch):
        for create in (True, False):
            if not warm:
                world.replace_execution_environment()
            request = MergeRequest(subdir, not_before=world.merger.clock(), create=create)
            merge(world.merger, request, time_left_ms=lambda: PLENTY_MS)
    world.stage(removed(A, at=world.now_ms))  # an event that comes late
    world.merge()
    world.deliver()
    assert world.channel.objects == {}
    assert read_head(world.state, SUBDIR).value.is_tombstone
    assert read_head(world.state, noarch).value.is_tombstone


def test_an_upload_into_a_retired_channel_of_a_stack_starts_anew() -> None:
    world = retired_of_a_stack()
    generation = world.head().generation
    world.tick(60)
    world.add(A)
    world.merge()
    world.deliver()
    assert list(world.published()) == [A]
    assert world.head().generation > generation
    assert world.channel.body(Subdir(SUBDIR.channel, "noarch").file_key(REPODATA))
    assert is_quiet(ReconcileRuns(world).run())


def test_a_retirement_that_is_given_up_leaves_no_rejects_of_before() -> None:
    """Heads are tombstones then, and the catalog of before is gone for all who read it."""
    world = StandaloneChannel()
    corrupt = f"{CHANNEL}/linux-64/corrupt-1-0.conda"
    world.public.upload(corrupt, b"no package")
    world.upload(ALPHA)
    world.index()
    assert [one.file for one in rejects(world.channel)] == ["corrupt-1-0.conda"]
    for key in (corrupt, f"{CHANNEL}/{ALPHA.path}"):
        world.public.remove(key)
    world.state.before = kill_behind_first_head
    with pytest.raises(ProcessKilled):
        retire(world.channel)
    world.state.before = lambda _operation, _key: None
    assert read_head(world.state, LINUX).value.is_tombstone
    world.upload(BETA)
    with pytest.raises(Occupied):
        retire(world.channel)
    world.index()
    assert world.filenames() == [BETA.filename]
    assert rejects(world.channel) == []
    assert verify(world.channel, deep=True).healthy


def kill_behind_first_head(operation: str, key: str) -> None:
    if operation == "PutObject" and key == NOARCH.head_key:
        kill_process()


def test_a_binding_without_a_catalog_goes_as_well() -> None:
    world = emptied()
    retire(world.channel)
    world.channel.bucket_check.bind(CHANNEL)  # by a first commit that was killed, say
    assert retire(world.channel).done
    assert is_retired(world)


def test_an_index_file_that_is_written_after_the_retirement_is_deleted_by_the_next_run() -> None:
    world = emptied()
    late = {
        key: world.public.objects[key]
        for key in (LINUX.file_key(SHARD_INDEX), NOARCH.file_key(REPODATA))
    }
    retire(world.channel)
    foreign = LINUX.file_key(REPODATA)
    world.public.upload(foreign, b"{}")  # another tool's
    for key, stored in late.items():
        world.public.upload(key, stored.body, metadata=stored.info.metadata)
    world.tick(86_400)
    world.index()
    assert late.keys().isdisjoint(world.public.objects)
    assert foreign in world.public.objects


def test_a_merge_that_sleeps_through_a_retirement_deletes_what_it_writes_afterwards() -> None:
    world = World()
    world.add(A)
    world.state.requests.clear()
    channel = replace(admin_channel(world), merges=None)
    slept = False

    def sleep(operation: str, key: str) -> None:
        nonlocal slept
        if operation == "PutObject" and key == SUBDIR.file_key(SHARD_INDEX) and not slept:
            slept = True
            world.remove(A)
            retire(channel)

    world.channel.before = sleep
    world.merge()
    assert slept
    assert not [key for key in world.channel.objects if key.startswith(SUBDIR.prefix)]


def test_a_retirement_that_sleeps_before_its_end_leaves_the_next_life_bound() -> None:
    world = emptied()
    writes_of_binding = 0

    def sleep_before_release(operation: str, key: str) -> None:
        nonlocal writes_of_binding
        writes_of_binding += operation == "PutObject" and key.startswith("bindings/")
        if writes_of_binding == 2:
            world.state.before = ignore
            retire(world.channel)
            world.upload(BETA)
            world.index()

    world.state.before = sleep_before_release
    retire(world.channel)
    assert writes_of_binding == 2
    assert binding_object(world.state, CHANNEL).read().value is not None
    assert world.filenames() == [BETA.filename]
    world.upload(ALPHA)
    assert world.index().failures == []
    assert sorted(world.filenames()) == sorted([ALPHA.filename, BETA.filename])
