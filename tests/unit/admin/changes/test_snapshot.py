from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from sluice.admin.changes.pins import pin
from sluice.admin.changes.snapshot import Snapshot, snapshot
from sluice.catalog.head import BEFORE_FIRST, head_object, read_head
from sluice.errors import ForeignOwner, Misused, NotFound, Occupied
from sluice.layout import REPODATA, SHARD_INDEX, Subdir
from tests.support.admin_channel import admin_channel
from tests.support.packed import pack_from
from tests.support.reconcile_runs import ReconcileRuns, is_quiet
from tests.support.staging_records import NOARCH, SUBDIR, A, B, C
from tests.support.subdir_world import World

INTO = "Conda/2025-06"


def taken(world: World, at: datetime, *, into: str = INTO, **options: Any) -> Snapshot:
    channel = admin_channel(world)
    return snapshot(channel, replace(channel, name=into), at, **options)


def seen(world: World, subdir: str = "linux-64", *, into: str = INTO) -> World:
    """The world as a client sees the snapshot."""
    there = World(subdir=Subdir(into, subdir))
    there.channel, there.state = world.channel, world.state
    return there


def moment(world: World) -> datetime:
    """The time of the last commit."""
    return datetime.fromtimestamp(world.commit().at / 1000, UTC)


def changed() -> tuple[World, datetime, dict[str, Any]]:
    """A and B, and when that was all; then B is gone, and C new."""
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    at, before = moment(world), world.published()
    world.tick(3600)
    world.add(C)
    world.merge()
    return world, at, before


def test_it_is_the_index_as_it_was_with_packages_where_they_are() -> None:
    world, at, before = changed()
    done = taken(world, at)
    there = seen(world)
    assert there.published() == before
    repodata = json.loads(there.body())
    assert repodata["info"] == {
        "base_url": "s3://channels/Conda/Default/linux-64/",
        "subdir": "linux-64",
    }
    assert repodata["repodata_version"] == 2
    assert (done.url, done.of) == ("s3://channels/Conda/2025-06", "s3://channels/Conda/Default")
    (linux, noarch) = done.subdirs
    assert (linux.subdir, linux.generation, linux.packages) == ("linux-64", 1, 2)
    assert (noarch.subdir, noarch.generation, noarch.packages) == ("noarch", 1, 0)
    assert seen(world, "noarch").published() == {}


def test_leaves_in_packs_are_in_a_snapshot_as_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pack_from(monkeypatch, 1)
    world, at, before = changed()
    assert world.state.keys("leaves/") == []
    taken(world, at)
    assert seen(world).published() == before


def test_a_subdir_of_which_nothing_was_ever_committed_is_not_in_it() -> None:
    """A merge that only consumes what is staged leaves a head without a commit."""
    world, at, before = changed()
    empty = Subdir(SUBDIR.channel, "win-64")
    head = BEFORE_FIRST.value.next_epoch("somebody")
    head_object(world.state, empty).swap(head, expected=None)
    done = taken(world, at)
    assert [subdir.subdir for subdir in done.subdirs] == ["linux-64", "noarch"]
    assert seen(world).published() == before


def test_no_package_is_copied_and_the_channel_stays_as_it_is() -> None:
    world, at, _ = changed()
    before = dict(world.channel.objects)
    state = dict(world.state.objects)
    taken(world, at)
    assert before.items() <= world.channel.objects.items()
    new = world.channel.objects.keys() - before.keys()
    assert not [key for key in new if key.endswith((".conda", ".tar.bz2"))]
    assert all(key.startswith(f"{INTO}/") for key in new)
    assert world.state.objects == state


def test_what_is_gone_or_holds_something_else_is_left_out_and_named() -> None:
    world, at, _ = changed()
    world.drop(A)
    world.add(B, b"other")
    world.merge()
    (linux, _) = taken(world, at).subdirs
    assert (linux.gone, linux.changed, linux.packages) == ([A], [B], 0)
    assert seen(world).published() == {}


def test_what_was_pinned_then_is_told_to_be_removed() -> None:
    world, _, _ = changed()
    world.tick()
    pin(admin_channel(world), SUBDIR, [C], reason="x")
    world.merge()
    taken(world, moment(world))
    repodata = json.loads(seen(world).body())
    assert repodata["removed"] == [C]
    assert sorted(repodata["packages.conda"]) == [A, B]


def test_it_has_the_files_that_the_channel_had_under_its_configuration() -> None:
    world, _, _ = changed()
    world.configure(
        "[index-config]\nwrite-shards = false\n"
        '[index-config.channel-relations]\nbase = "../conda-forge"\n'
        "[sluice]\nrun-exports = true\ncurrent-repodata = true\n"
    )
    world.merge()
    world.tick(60)
    at = datetime.fromtimestamp(world.now_ms / 1000, UTC)
    world.configure("")
    world.merge()
    taken(world, at, into="old/Conda/x")
    there = seen(world, into="old/Conda/x")
    assert sorted(there.index_files()) == [
        "current_repodata.json",
        "current_repodata.json.zst",
        "repodata.json",
        "repodata.json.zst",
        "run_exports.json",
        "run_exports.json.zst",
        *sorted(file for file in there.index_files() if file.startswith("shards/")),
    ]
    assert json.loads(there.body())["info"]["channel_relations"] == {
        "base": "../../../Conda/conda-forge"
    }


@pytest.mark.parametrize(
    ("base_url", "told"),
    [
        ("https://cdn.example/conda/", "https://cdn.example/conda/linux-64/"),
        ("../Default", "../../Default/linux-64/"),
        (None, "s3://channels/Conda/Default/linux-64/"),
    ],
)
def test_the_packages_are_where_it_is_said(base_url: str | None, told: str) -> None:
    world, at, _ = changed()
    taken(world, at, base_url=base_url)
    assert json.loads(seen(world).body())["info"]["base_url"] == told


def test_a_time_before_the_channel_is_refused() -> None:
    world, at, _ = changed()
    with pytest.raises(NotFound, match="had no index 2020-01-01 00:00:00 UTC"):
        taken(world, datetime(2020, 1, 1, tzinfo=UTC))
    commit = world.commit().parent
    assert commit
    world.state.remove(world.subdir.commit_key(commit))
    with pytest.raises(NotFound, match="goes back only to 2025-06-15 16:06"):
        taken(world, at)
    assert not world.channel.keys(f"{INTO}/")


def test_a_channel_is_never_overwritten() -> None:
    world, at, _ = changed()
    with pytest.raises(Occupied, match="is a channel that sluice indexes"):
        taken(world, at, into=SUBDIR.channel)
    with pytest.raises(Misused, match="root"):
        taken(world, at, into="")
    world.channel.upload(f"{INTO}/win-64/{A}", b"")
    with pytest.raises(Occupied, match=f"and has {INTO}/win-64/{A}"):
        taken(world, at)


def test_it_can_be_begun_again_but_another_one_needs_another_place() -> None:
    world, at, before = changed()
    first = taken(world, at)
    objects = {key: stored.body for key, stored in world.channel.objects.items()}
    assert taken(world, at) == first
    assert {key: stored.body for key, stored in world.channel.objects.items()} == objects
    with pytest.raises(Occupied, match="must be empty"):
        taken(world, moment(world))
    assert seen(world).published() == before


def test_one_that_was_interrupted_is_finished_by_beginning_again() -> None:
    world, at, before = changed()
    keys: list[str] = []

    class Interrupted(Exception):
        pass

    def interrupt(operation: str, key: str) -> None:
        if operation == "PutObject" and key.endswith(REPODATA):
            keys.append(key)
            raise Interrupted

    world.channel.before = interrupt
    with pytest.raises(Interrupted):
        taken(world, at)
    world.channel.before = lambda _operation, _key: None
    assert keys
    assert world.channel.keys(f"{INTO}/")
    taken(world, at)
    assert seen(world).published() == before


def test_reconcile_leaves_it_alone_and_outlives_collection() -> None:
    world, at, before = changed()
    world.deliver()
    runs = ReconcileRuns(world)
    runs.run()
    runs.handle_requests()
    taken(world, at)
    frozen = {key: s for key, s in world.channel.objects.items() if key.startswith(INTO)}
    assert is_quiet(runs.run())
    for _ in range(3):
        world.tick(9 * 86_400)
        runs.run()
    gone = world.state.keys(f"trees/{SUBDIR.component}/")
    assert len(gone) == 1, "the old generation was collected"
    now = {key: s for key, s in world.channel.objects.items() if key.startswith(INTO)}
    assert now == frozen
    assert seen(world).published() == before


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("subdir", ["linux-64", "noarch"])
def test_an_upload_into_it_is_refused_and_changes_nothing(subdir: str, *, adopt: bool) -> None:
    world, at, _ = changed()
    taken(world, at)
    there = seen(world, subdir)
    frozen = there.index_files()
    there.add("stray-1-0.conda")
    there.merger = replace(
        there.merger,
        channel=world.channel,
        state=world.state,
        publisher=replace(there.merger.publisher, channel=world.channel, state=world.state),
    )
    says = "is a snapshot of channels/Conda%2FDefault at 2025-06-15T15:06:43.000000Z, which never"
    with pytest.raises(ForeignOwner, match=says):
        there.merge(adopt=adopt)
    assert there.index_files() == frozen
    assert there.subdir.head_key not in world.state.objects


def test_all_subdirs_are_of_one_time() -> None:
    world, _, _ = changed()
    other = World(subdir=NOARCH)
    other.channel, other.state, other.now_ms = world.channel, world.state, world.now_ms
    other.merger = replace(world.merger, clock=lambda: other.now_ms)
    other.add("late-1-0.conda")
    other.merge()
    later = moment(other)
    done = taken(world, moment(world))
    assert [(one.subdir, one.packages) for one in done.subdirs] == [("linux-64", 3), ("noarch", 0)]
    done = taken(world, later, into="later")
    assert [(one.subdir, one.packages) for one in done.subdirs] == [("linux-64", 3), ("noarch", 1)]
    assert SHARD_INDEX in seen(world, "noarch", into="later").index_files()


def test_a_subdir_that_was_retired_is_not_in_a_snapshot_of_a_later_time() -> None:
    world, before_retirement, _ = changed()
    other = World(subdir=Subdir(SUBDIR.channel, "osx-arm64"))
    other.system = world.system
    other.channel, other.state, other.new_id = world.channel, world.state, world.new_id
    world.tick(3600)
    head = read_head(world.state, SUBDIR)
    tombstone = msgspec.structs.replace(head.value, commit=None, tree=None, writer="retirement")
    head_object(world.state, SUBDIR).swap(tombstone, expected=head.etag)
    other.add(A)
    other.merge()
    world.now_ms = other.now_ms
    taken(world, moment(other))
    assert seen(world, "osx-arm64").published().keys() == {A}
    assert not world.channel.keys(f"{INTO}/linux-64/")
    with pytest.raises(NotFound, match=r"linux-64/ was retired at 2025-06-15 .* deleted"):
        taken(world, before_retirement, into="another")
