from __future__ import annotations

import pytest

from sluice.admin.history.status import SubdirStatus, status
from sluice.layout import REPODATA
from sluice.limits import PUBLISHING_SECONDS_MAX
from sluice.merge.merge import merge
from sluice.merge.publishing import Scope
from sluice.messages.merge_request import MergeRequest
from tests.support.admin_channel import admin_channel
from tests.support.reconcile_runs import ReconcileRuns
from tests.support.staging_records import NOARCH, A, B, indexed
from tests.support.subdir_world import PLENTY_MS, World


def _one(world: World) -> SubdirStatus:
    """The status of the world's subdir; there may be an empty noarch beside it."""
    subdirs = status(admin_channel(world)).subdirs
    (found,) = [one for one in subdirs if one.subdir == world.subdir.name]
    return found


def test_a_channel_that_sluice_does_not_know_has_no_subdirs() -> None:
    found = status(admin_channel(World()))
    assert found.subdirs == []
    assert found.queues is None


def test_it_tells_what_is_published() -> None:
    world = World()
    world.add(A)
    world.add_corrupt(B)
    world.merge()
    found = _one(world)
    assert (found.subdir, found.generation, found.packages, found.rejects) == ("linux-64", 1, 1, 1)
    assert found.committed_at == world.commit().at
    assert found.published_generation == 1
    assert found.index_bytes == sum(
        len(body) for file, body in world.index_files().items() if "/" not in file
    )
    assert (found.staged, found.behind, found.oldest_invisible_at) == (0, [], None)
    assert found.healthy


def test_it_tells_the_misplaced_files_in_the_channel_s_folder_and_stays_healthy() -> None:
    world = World()
    world.add(A)
    world.merge()
    for key in (f"{world.subdir.channel}/linux64/{A}", f"other/{A}", A):
        world.channel.upload(key, b"")
    ReconcileRuns(world).run()
    world.deliver()
    found = status(admin_channel(world))
    (files,) = found.misplaced
    assert (files.channel, files.count) == (world.subdir.channel, 1)
    assert found.misplaced_at is not None
    assert found.healthy


def test_what_is_staged_is_not_visible_yet() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.add(B)
    oldest = world.now_ms
    world.tick(5)
    world.add("beta-2.0-0.conda")
    found = _one(world)
    assert found.staged == 2
    assert (found.oldest_invisible_at, found.newest_invisible_at) == (oldest, world.now_ms)
    assert found.healthy, "a merge is on its way"


def test_a_subdir_with_nothing_but_staging_is_found() -> None:
    world = World()
    world.add(A)
    found = _one(world)
    assert (found.generation, found.committed_at, found.staged) == (0, None, 1)


def test_a_published_file_that_is_gone_is_behind() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.channel.remove(world.subdir.file_key(REPODATA))
    found = _one(world)
    assert found.behind == [REPODATA]
    assert found.oldest_invisible_at == world.commit().at
    assert not found.healthy


def test_a_file_of_another_tool_is_behind() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.channel.upload(world.subdir.file_key(REPODATA), b"{}")
    assert _one(world).behind == [REPODATA]


def test_another_stack_that_publishes_is_named() -> None:
    world = World()
    world.add(A)
    world.merger = world.owned_by("another-state")
    world.merge()
    found = _one(world)
    assert found.foreign_owner == "another-state"
    assert not found.healthy


def test_a_rejects_document_that_is_gone_is_behind() -> None:
    world = World()
    world.add_corrupt(A)
    world.merge()
    world.state.remove(world.subdir.rejects_key)
    assert _one(world).behind == ["rejects"]


def test_a_configuration_that_cannot_be_used_is_told_in_noarch() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.configure("nonsense = 1")
    world.merge()
    found = _one(world)
    assert not found.healthy
    assert "sluice.toml is invalid" in found.problems[0]


def test_a_key_of_the_configuration_that_nobody_knows_is_a_warning_and_healthy() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.configure("[index-config]\nsign-repodata = true\n")
    world.merge()
    report = status(admin_channel(world))
    (subdir,) = report.subdirs
    (warning,) = subdir.channel_warnings
    assert "'sign-repodata'" in warning
    assert (subdir.rejects, subdir.warnings, subdir.problems) == (0, 1, [])
    assert subdir.healthy


def test_what_the_configuration_rejects_is_counted_as_rejected() -> None:
    world = World()
    staged = indexed(A, identity=world.upload(A), at=world.now_ms)
    staged.record["flags"] = ["cuda"]
    world.stage(staged)
    world.merge()
    subdir = _one(world)
    assert (subdir.packages, subdir.rejects, subdir.warnings) == (1, 0, 0)
    world.configure('[sluice]\npackage-revisions = "legacy"\n')
    world.merge()
    subdir = _one(world)
    assert (subdir.packages, subdir.rejects, subdir.warnings) == (0, 1, 0)


def test_files_behind_are_being_published_while_their_merge_is_under_way() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.add(B)
    request = MergeRequest(world.subdir, not_before=world.now_ms)
    merge(world.merger, request, time_left_ms=lambda: PLENTY_MS, scope=Scope.SHARDS)
    world.tick(PUBLISHING_SECONDS_MAX - 1)
    found = _one(world)
    assert REPODATA in found.behind
    assert found.publishing
    assert found.healthy


@pytest.mark.parametrize("scope", [None, Scope.SHARDS], ids=["staged", "merged early"])
def test_what_is_not_published_within_15_minutes_needs_attention(scope: Scope | None) -> None:
    world = World()
    world.add(A)
    world.merge()
    world.add(B)
    if scope:
        request = MergeRequest(world.subdir, not_before=world.now_ms)
        merge(world.merger, request, time_left_ms=lambda: PLENTY_MS, scope=scope)
    world.tick(PUBLISHING_SECONDS_MAX)
    found = _one(world)
    assert not found.publishing
    assert not found.healthy


def test_files_behind_without_anything_staged_need_attention_at_once() -> None:
    world = World()
    world.add(A)
    world.merge()
    world.channel.remove(world.subdir.file_key(REPODATA))
    found = _one(world)
    assert (found.publishing, found.healthy) == (False, False)
