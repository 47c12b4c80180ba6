"""Channels and subdirs that somebody moves away or deletes, index files and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sluice.admin.changes.retire import retire
from sluice.admin.history.status import status
from sluice.admin.verify.findings import Defect
from sluice.admin.verify.verify import verify
from sluice.layout import CHANNELDATA, REPODATA, SLUICE_TOML, Subdir
from sluice.merge.merge import merge
from sluice.messages.merge_request import MergeRequest
from tests.support.admin_channel import admin_channel
from tests.support.reconcile_runs import ReconcileRuns, is_quiet
from tests.support.staging_records import SUBDIR, A, removed
from tests.support.standalone_channel import CHANNEL, LINUX, NOARCH, StandaloneChannel, package
from tests.support.subdir_world import PLENTY_MS, World

ALPHA, BETA, PURE = package("alpha"), package("beta"), package("pure", subdir="noarch")
CONFIG = "[sluice]\npage = true\nrss = true\nchanneldata = true\n"


def channel_of_two_subdirs() -> StandaloneChannel:
    world = StandaloneChannel()
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", CONFIG.encode())
    world.upload(ALPHA, PURE)
    world.index()
    return world


def keys_in(world: StandaloneChannel, folder: str = f"{CHANNEL}/") -> list[str]:
    return [key for key in sorted(world.public.objects) if key.startswith(folder)]


def move_away(world: StandaloneChannel, folder: str = f"{CHANNEL}/") -> None:
    """Move all that is in a folder, as aws s3 mv --recursive does."""
    for key in keys_in(world, folder):
        world.public.objects[f"crew/{key}"] = world.public.objects.pop(key)


def remove_index(world: StandaloneChannel, subdir: Subdir) -> None:
    for key in keys_in(world, subdir.prefix):
        if not key.endswith(".conda") and "/shards/" not in key:
            world.public.remove(key)


def remove_package(world: StandaloneChannel, path: str) -> None:
    world.public.remove(f"{CHANNEL}/{path}")
    world.index()


def assert_is_channel(world: StandaloneChannel) -> None:
    """Clients see a channel, with all that belongs to it."""
    assert status(world.channel).healthy
    assert verify(world.channel, deep=True).healthy
    assert world.public.body(NOARCH.file_key(REPODATA))


def assert_starts_anew(world: StandaloneChannel) -> None:
    world.upload(BETA)
    assert world.index().failures == []
    assert world.filenames() == [BETA.filename]
    assert world.filenames(NOARCH) == []
    assert_is_channel(world)


def test_a_channel_that_was_moved_away_does_not_come_back() -> None:
    world = channel_of_two_subdirs()
    move_away(world)
    for _ in range(3):
        world.tick(86_400)
        assert world.index().failures == []
        assert keys_in(world) == []
    seen = status(world.channel)
    assert (seen.healthy, [one.moved_away for one in seen.subdirs]) == (True, [True, True])
    assert verify(world.channel, deep=True).healthy
    retire(world.channel)
    assert_starts_anew(world)


def test_it_comes_back_whole_with_its_next_package() -> None:
    world = channel_of_two_subdirs()
    world.upload(package("other", subdir="osx-arm64"))
    world.index()
    move_away(world)
    world.index()
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", CONFIG.encode())
    assert_starts_anew(world)
    assert world.public.body(f"{CHANNEL}/{CHANNELDATA}")
    assert keys_in(world, f"{CHANNEL}/osx-arm64/") == []  # has no package, and clients need none


def test_an_empty_channel_whose_files_are_there_stays() -> None:
    world = channel_of_two_subdirs()
    for path in (ALPHA.path, PURE.path):
        remove_package(world, path)
    for _ in range(2):
        world.tick(86_400)
        world.index()
        assert (world.filenames(), world.filenames(NOARCH)) == ([], [])
        assert_is_channel(world)


@pytest.mark.parametrize("subdir", [LINUX, NOARCH])
def test_the_index_of_a_subdir_with_packages_is_written_again(subdir: Subdir) -> None:
    world = channel_of_two_subdirs()
    remove_index(world, subdir)
    assert not status(world.channel).healthy
    world.index()
    assert (world.filenames(), world.filenames(NOARCH)) == ([ALPHA.filename], [PURE.filename])
    assert_is_channel(world)


@pytest.mark.parametrize("file", ["repodata.json", "repodata.json.zst"])
def test_one_missing_file_of_an_empty_subdir_is_written_again(file: str) -> None:
    world = channel_of_two_subdirs()
    remove_package(world, ALPHA.path)
    world.public.remove(LINUX.file_key(file))
    assert not status(world.channel).healthy
    world.index()
    assert_is_channel(world)


def test_a_platform_that_was_deleted_beside_others_does_not_come_back() -> None:
    world = channel_of_two_subdirs()
    for key in keys_in(world, LINUX.prefix):
        world.public.remove(key)
    for _ in range(2):
        world.index()
        assert keys_in(world, LINUX.prefix) == []
        assert_is_channel(world)


def test_an_empty_noarch_that_was_deleted_beside_packages_is_written_again() -> None:
    world = channel_of_two_subdirs()
    remove_package(world, PURE.path)
    remove_index(world, NOARCH)
    report = verify(world.channel)
    assert {finding.kind for finding in report.findings} == {Defect.FILE_MISSING}
    assert not status(world.channel).healthy
    world.index()
    assert world.filenames(NOARCH) == []
    assert_is_channel(world)


def test_a_noarch_that_was_deleted_with_its_packages_is_written_again() -> None:
    world = channel_of_two_subdirs()
    for key in keys_in(world, NOARCH.prefix):
        world.public.remove(key)
    world.index()
    assert world.filenames(NOARCH) == []
    assert_is_channel(world)


# --- between any two requests -------------------------------------------------------------------


def with_action(world: StandaloneChannel, number: int, action: Callable[[], None]) -> bool:
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


def each_request() -> Iterator[int]:
    yield from range(1, 400)


def removed_unmerged() -> StandaloneChannel:
    world = channel_of_two_subdirs()
    for path in (ALPHA.path, PURE.path):
        world.public.remove(f"{CHANNEL}/{path}")
    return world


@pytest.mark.parametrize("begin", [channel_of_two_subdirs, removed_unmerged])
def test_moved_between_any_two_requests_it_is_a_whole_channel_or_none(
    begin: Callable[[], StandaloneChannel],
) -> None:
    whole = begin()
    for number in each_request():
        world = whole.copy()

        def action(world: StandaloneChannel = world) -> None:
            move_away(world)

        if not with_action(world, number, action):
            assert number > 10
            return
        for _ in range(2):
            world.tick(86_400)
            assert world.index().failures == []
        if any(key.endswith(REPODATA) for key in keys_in(world)):
            assert_is_channel(world)
        assert status(world.channel).healthy, number
        assert_starts_anew(world)
    pytest.fail("it never ends")


def test_an_upload_between_any_two_requests_after_the_move_starts_the_channel_anew() -> None:
    whole = channel_of_two_subdirs()
    move_away(whole)
    for number in each_request():
        world = whole.copy()

        def action(world: StandaloneChannel = world) -> None:
            world.upload(BETA)

        if not with_action(world, number, action):
            assert number > 10
            return
        assert_starts_anew(world)
        assert is_quiet_index(world)
    pytest.fail("it never ends")


def is_quiet_index(world: StandaloneChannel) -> bool:
    before = {key: one.info.etag for key, one in world.public.objects.items()}
    world.index()
    return before == {key: one.info.etag for key, one in world.public.objects.items()}


# --- of a stack ---------------------------------------------------------------------------------


def moved_away_of_a_stack() -> World:
    """A channel of a stack whose removals are merged after everything was moved."""
    world = World()
    world.add(A)
    world.merge()
    world.deliver()
    world.channel.objects.clear()
    world.stage(removed(A, at=world.now_ms))
    world.tick(60)
    world.merge()
    world.deliver()
    return world


def test_a_channel_of_a_stack_that_was_moved_away_does_not_come_back() -> None:
    world = moved_away_of_a_stack()
    runs = ReconcileRuns(world)
    for _ in range(3):
        world.tick(86_400)
        report = runs.run()
        runs.handle_requests()
        world.deliver()
        assert (report.counts.repairs, report.counts.failed) == (0, 0)
        assert world.channel.objects == {}
    assert status(admin_channel(world)).healthy


@pytest.mark.parametrize("removal_is_merged", [True, False])
def test_events_alone_bring_it_back_with_its_noarch(removal_is_merged: bool) -> None:  # noqa: FBT001
    """Also where the removal and the next upload are merged together."""
    if removal_is_merged:
        world = moved_away_of_a_stack()
    else:
        world = World()
        world.add(A)
        world.merge()
        world.deliver()
        world.channel.objects.clear()
    world.tick(60)
    world.add(A)
    world.merge()
    assert list(world.published()) == [A]
    assert world.channel.body(Subdir(SUBDIR.channel, "noarch").file_key(REPODATA))
    world.deliver()
    assert is_quiet(ReconcileRuns(world).run())


def test_a_request_to_create_brings_it_back() -> None:
    world = moved_away_of_a_stack()
    noarch = Subdir(SUBDIR.channel, "noarch")
    request = MergeRequest(noarch, not_before=0, create=True)
    merge(world.merger, request, time_left_ms=lambda: PLENTY_MS)
    assert world.channel.body(noarch.file_key(REPODATA))
