"""Moving a catalog that is older, smaller or damaged: nothing that is published gets lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from sluice.admin.changes.pins import pin, pins, unpin
from sluice.admin.changes.rebind import rebind
from sluice.admin.history.status import status
from sluice.admin.standalone.index import IndexOptions
from sluice.admin.standalone.merge_in_process import merge_in_process
from sluice.admin.verify.findings import Defect
from sluice.admin.verify.repair import repair
from sluice.admin.verify.verify import verify
from sluice.catalog.binding import binding_object
from sluice.catalog.head import read_head
from sluice.catalog.leaf_reader import stored_key
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order
from sluice.errors import TooNew
from sluice.layout import (
    CHANNELDATA,
    REPODATA,
    REPODATA_ZST,
    RSS,
    SHARD_INDEX,
    Subdir,
    channel_binding_key,
)
from sluice.limits import EVIDENCE_PACKAGES_MAX
from sluice.publish.fence import Stamp
from testkit.memory_store import MemoryStore
from tests.support.request_hooks import at_request
from tests.support.standalone_channel import CHANNEL, LINUX, StandaloneChannel, package
from tests.unit.admin.changes.test_rebind import (
    BUCKET,
    KEPT_OUT,
    NOARCH,
    OTHER,
    bound_to,
    led_to,
    moved,
    multipart_copy,
    plain_copy,
    with_history,
)

EXTRA = Subdir(CHANNEL, "osx-arm64")


def restored_backup() -> StandaloneChannel:
    """The state as it was with one package; two are published, the second one for a day."""
    world = StandaloneChannel()
    world.upload(package("alpha"))
    world.index()
    backup = dict(world.state.objects)
    world.tick(3600)
    world.upload(package("beta"))
    world.index()
    world.tick(24 * 3600)
    world.state.objects.clear()
    world.state.objects.update(backup)
    return world


@pytest.mark.parametrize("copy", [None, plain_copy, multipart_copy])
def test_what_the_index_knows_and_a_backup_of_the_state_does_not_keeps_its_place_and_its_date(
    copy: Callable[[StandaloneChannel], MemoryStore] | None,
) -> None:
    world = restored_backup()
    before = world.published()
    if copy:
        led_to(world, copy(world))
    done = moved(world)
    assert done.done
    assert done.doubts == []
    assert [(one.packages, one.taken_over) for one in done.subdirs if one.subdir == "linux-64"] == [
        (1, 1)
    ]
    for _ in range(2):
        assert world.published().records == before.records
        assert world.published().generation > before.generation
        assert world.index().failures == []
    assert verify(world.channel, deep=True).findings == []


def test_a_package_that_the_backup_knows_as_another_object_keeps_the_date_of_the_new_one() -> None:
    world = StandaloneChannel()
    world.upload(package("alpha"))
    world.index()
    backup = dict(world.state.objects)
    world.tick(3600)
    world.upload(package("alpha", summary="built again"))
    world.index()
    before = world.published().records
    world.state.objects.clear()
    world.state.objects.update(backup)
    led_to(world, plain_copy(world))
    moved(world)
    assert world.published().records == before
    world.index()
    assert world.published().records == before


@pytest.mark.parametrize("stamped", [True, False])
def test_an_index_of_another_tool_or_of_before_brings_nothing_back(*, stamped: bool) -> None:
    world = StandaloneChannel()
    world.upload(package("alpha"), package("beta"))
    world.index()
    files = [LINUX.file_key(file) for file in (REPODATA, REPODATA_ZST, SHARD_INDEX)]
    with_beta = {key: world.public.objects[key] for key in files}
    pin(world.channel, LINUX, [KEPT_OUT], reason="x")
    merge_in_process(world.channel, [LINUX])
    unpin(world.channel, LINUX, [KEPT_OUT])  # the catalog has no entry of it for now
    led_to(world, plain_copy(world))
    for key, stored in with_beta.items():
        metadata = stored.headers.metadata if stamped else {}
        world.public.put(key, stored.body, replace(stored.headers, metadata=metadata))
    done = moved(world)
    assert [one.taken_over for one in done.subdirs] == [0, 0]
    assert world.filenames() == ["alpha-1.0-0.conda"]


def damage(world: StandaloneChannel, key: str, body: bytes = b"damaged") -> None:
    assert key in world.state.objects
    world.state.upload(key, body)


def leaf_of(world: StandaloneChannel, name: str) -> str:
    tree = CatalogReader(world.state, LINUX, in_order).tree(
        read_head(world.state, LINUX).value.tree
    )
    return stored_key(LINUX, tree.names[name])


def test_a_damaged_leaf_leaves_doubts_and_costs_no_other_pin() -> None:
    world = with_history()
    damage(world, leaf_of(world, "gamma"))
    led_to(world, multipart_copy(world))
    before = dict(world.state.objects)
    refused = moved(world)
    assert refused.done is False
    assert [one.object for one in refused.failures] == ["linux-64, package gamma"]
    assert world.state.objects == before
    done = moved(world, confirm=refused.digest)
    assert done.done
    assert [one.object for one in done.failures] == ["linux-64, package gamma"]
    assert bound_to(world) == OTHER
    found = verify(world.channel, deep=True).findings
    assert {one.name for one in found if one.kind is Defect.LEAF_DAMAGED} == {"gamma"}
    repair(world.channel, found, **world.one_reader())
    assert [one.file for one in pins(world.channel)] == [KEPT_OUT]
    assert world.filenames() == ["alpha-1.0-0.conda", "gamma-1.0-0.conda"]


def test_a_damaged_head_leaves_doubts_and_the_other_subdirs_move() -> None:
    world = with_history()
    world.upload(package("delta", subdir="osx-arm64"))
    world.index()
    damage(world, EXTRA.head_key)
    led_to(world, plain_copy(world))
    refused = moved(world)
    assert (refused.done, [one.object for one in refused.failures]) == (False, ["osx-arm64"])
    done = moved(world, confirm=refused.digest)
    assert done.done
    assert [one.subdir for one in done.subdirs] == ["linux-64", "noarch"]
    assert bound_to(world) == OTHER


def test_a_catalog_of_a_later_sluice_is_not_moved() -> None:
    world = with_history()
    damage(world, LINUX.head_key, b'{"format": 99, "generation": 3}')
    led_to(world, plain_copy(world))
    before = dict(world.state.objects)
    with pytest.raises(TooNew):
        moved(world)
    assert world.state.objects == before


def test_a_subdir_that_is_born_meanwhile_is_moved_as_well() -> None:
    world = with_history()
    old = world.copy()
    old.state = world.state
    old.channel = replace(old.channel, state=world.state)
    led_to(world, plain_copy(world))

    def born() -> None:
        old.upload(package("delta", subdir="osx-arm64"))
        old.index()

    # Just before the binding is marked as moving: the last moment at which it may.
    world.state.before = at_request("PutObject", channel_binding_key(CHANNEL), born)
    done = moved(world)
    assert [one.subdir for one in done.subdirs] == ["linux-64", "noarch", "osx-arm64"]
    assert bound_to(world) == OTHER
    # Its package is not in this bucket: the comparison takes the record out as any that is gone.
    assert world.index().failures == []
    assert world.filenames() == ["alpha-1.0-0.conda", "gamma-1.0-0.conda"]


def test_a_file_that_is_kept_out_and_not_there_yet_needs_a_confirmation() -> None:
    world = with_history()
    copy = plain_copy(world)
    copy.remove(LINUX.file_key(KEPT_OUT))
    led_to(world, copy)
    refused = moved(world)
    assert refused.done is False
    assert refused.subdirs[0].missing_pins == [KEPT_OUT]
    (doubt,) = refused.doubts
    assert doubt.startswith(f"linux-64: pinned files are missing from the bucket: {KEPT_OUT}. ")
    assert moved(world, confirm=refused.digest).done


def test_half_of_a_subdir_is_missing_though_most_of_the_channel_is_there() -> None:
    world = StandaloneChannel()
    world.upload(*(package(f"big{number}") for number in range(9)))
    world.upload(package("delta", subdir="osx-arm64"))
    world.index()
    copy = plain_copy(world)
    copy.remove(EXTRA.file_key("delta-1.0-0.conda"))
    led_to(world, copy)
    refused = moved(world)
    assert (refused.done, refused.packages_present, refused.packages) == (False, 9, 10)
    assert refused.doubts == ["osx-arm64: the bucket has only 0 of 1 packages"]


def test_an_empty_catalog_over_a_full_bucket_needs_a_confirmation() -> None:
    world = StandaloneChannel()
    world.upload(package("alpha"))
    world.index()
    world.public.remove(f"{CHANNEL}/{package('alpha').path}")
    world.index(IndexOptions(brake_days=0))
    assert world.filenames() == []
    full = StandaloneChannel()
    full.upload(package("beta"), package("gamma"))
    led_to(world, full.public)
    refused = moved(world)
    assert refused.doubts == ["the catalog knows none of the 2 packages in the bucket"]
    assert refused.done is False


@pytest.mark.parametrize("damage_to", [b"{}", b"no json", b'{"format": 1, "bucket": 7}'])
def test_a_damaged_binding_says_how_to_write_it_again_and_can_be(damage_to: bytes) -> None:
    world = with_history()
    damage(world, channel_binding_key(CHANNEL), damage_to)
    failures = [one.reason for one in world.index().failures]
    assert failures
    assert all(f"sluice rebind s3://{BUCKET}/{CHANNEL}" in reason for reason in failures)
    assert moved(world).done
    assert bound_to(world) == BUCKET
    assert world.index().failures == []


def test_files_of_the_channel_are_published_over_later_ones() -> None:
    world = with_history()
    world.public.upload(f"{CHANNEL}/sluice.toml", b"[sluice]\nchanneldata = true\nrss = true\n")
    world.index()
    copy = plain_copy(world)
    files = [f"{CHANNEL}/{file}" for file in (CHANNELDATA, RSS)]
    for key in files:
        stored = copy.objects[key]
        later = {**stored.headers.metadata, "sluice-generation": "70"}
        copy.put(key, b"of another history", replace(stored.headers, metadata=later))
    led_to(world, copy)
    moved(world)
    for key in files:
        assert world.public.body(key) != b"of another history", key
    assert verify(world.channel, deep=True).findings == []


def test_where_the_catalog_is_moved_on_meanwhile_nothing_more_is_published() -> None:
    world = with_history()
    here, third = plain_copy(world), plain_copy(world)
    led_to(world, here)
    elsewhere = replace(world.channel, public=third, bucket="third-bucket")

    def move_on() -> None:
        done = rebind(elsewhere, max_age_seconds=60, brake_days=7)
        assert done.done

    writes: list[str] = []

    def note(operation: str, key: str) -> None:
        if operation == "PutObject" and key == channel_binding_key(CHANNEL):
            writes.append(key)
            if len(writes) == 2:  # the final one: both are about to be written by now

                def after(_operation: str, _key: str) -> None:
                    world.state.before = lambda _operation, _key: None
                    move_on()

                world.state.before = after

    world.state.before = note
    generation = Stamp.parse(here.objects[LINUX.file_key(REPODATA)].headers.metadata)
    with pytest.raises(Exception, match="is bound to the bucket third-bucket"):
        moved(world)
    assert bound_to(world) == "third-bucket"
    after = Stamp.parse(here.objects[LINUX.file_key(REPODATA)].headers.metadata)
    assert after == generation


def test_the_evidence_costs_few_requests_however_many_files_a_name_has() -> None:
    world = StandaloneChannel()
    world.upload(*(package("alpha", f"1.{number}") for number in range(3 * EVIDENCE_PACKAGES_MAX)))
    world.index()
    world.state.remove(channel_binding_key(CHANNEL))
    led_to(world, multipart_copy(world))
    world.public.requests.clear()
    refused = world.index()
    assert refused.failures
    files = [key for _, key in world.public.operations() if key.endswith(".conda")]
    assert 0 < len(files) <= 2 * EVIDENCE_PACKAGES_MAX  # once for each subdir that is indexed


def test_the_status_tells_where_to_a_catalog_is_being_moved() -> None:
    world = with_history()
    led_to(world, plain_copy(world))
    seen: list[tuple[str | None, str | None, bool]] = []

    def look() -> None:
        found = status(world.channel)
        seen.append((found.bound_to, found.moving_to, found.healthy))

    world.state.before = at_request("PutObject", NOARCH.head_key, look)
    moved(world)
    assert seen == [(BUCKET, OTHER, False)]
    found = status(world.channel)
    assert (found.bound_to, found.moving_to) == (OTHER, None)


def test_the_binding_of_a_moved_catalog_tells_of_no_move() -> None:
    world = with_history()
    led_to(world, plain_copy(world))
    moved(world)
    binding = binding_object(world.state, CHANNEL).read().value
    assert binding
    assert binding.moving_to is msgspec.UNSET
