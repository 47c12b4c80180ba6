"""Moving a catalog to another bucket, or to a copy: pins, rejects and dates stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import md5

import pytest

from sluice.admin.changes.pins import pin, pins
from sluice.admin.changes.rebind import Rebinding, rebind
from sluice.admin.history.rejects import rejects
from sluice.admin.standalone.index import IndexOptions
from sluice.admin.standalone.merge_in_process import merge_in_process
from sluice.admin.verify.verify import verify
from sluice.catalog.binding import binding_object
from sluice.catalog.head import read_head
from sluice.errors import NotFound, Unavailable
from sluice.layout import CHANNELDATA, PAGE, PAGE_DATA, REPODATA, RSS, Subdir, channel_binding_key
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ETag
from testkit.memory_store import MemoryStore
from tests.support.request_hooks import at_request
from tests.support.standalone_channel import CHANNEL, LINUX, StandaloneChannel, package

NOARCH = Subdir(CHANNEL, "noarch")
BUCKET, OTHER = "channel-bucket", "restored-bucket"
KEPT_OUT = "beta-1.0-0.conda"

Copy = Callable[[StandaloneChannel], MemoryStore]


def with_history() -> StandaloneChannel:
    """Three packages, one of which is pinned out, and a reject."""
    world = StandaloneChannel()
    world.upload(package("alpha"), package("beta"), package("gamma"))
    world.public.upload(LINUX.file_key("bad-1-0.conda"), b"no package")
    world.index()
    world.tick()
    pin(world.channel, LINUX, [KEPT_OUT], reason="Crashes at start.")
    merge_in_process(world.channel, [LINUX])
    assert world.filenames() == ["alpha-1.0-0.conda", "gamma-1.0-0.conda"]
    return world


def plain_copy(world: StandaloneChannel) -> MemoryStore:
    """Every object copied: the same ETags, written an hour later."""
    return _copied(world, lambda body: f'"{md5(body, usedforsecurity=False).hexdigest()}"')


def multipart_copy(world: StandaloneChannel) -> MemoryStore:
    """Every object copied in parts, or under another key of KMS: other ETags."""
    return _copied(world, lambda body: f'"{md5(b"x" + body, usedforsecurity=False).hexdigest()}-2"')


def packages_alone(world: StandaloneChannel) -> MemoryStore:
    """Only the packages: neither an index nor shards."""
    copy = plain_copy(world)
    for key in list(copy.objects):
        if not key.endswith(".conda"):
            copy.remove(key)
    return copy


def _copied(world: StandaloneChannel, etag: Callable[[bytes], str]) -> MemoryStore:
    world.tick(3600)
    copy = MemoryStore(lambda: world.now_ms / 1000)
    for key, stored in world.public.objects.items():
        copy._write(key, stored.body, stored.headers, etag=ETag(etag(stored.body)))
    return copy


def led_to(world: StandaloneChannel, bucket: MemoryStore, name: str = OTHER) -> None:
    world.public = bucket
    world.channel = replace(world.channel, public=bucket, bucket=name)


def moved(world: StandaloneChannel, **more: str | bool | None) -> Rebinding:
    world.tick()
    return rebind(world.channel, max_age_seconds=60, brake_days=7, **more)  # type: ignore[arg-type]


def bound_to(world: StandaloneChannel) -> str | None:
    binding = binding_object(world.state, CHANNEL).read().value
    assert binding
    return binding.bucket


@pytest.mark.parametrize("copy", [plain_copy, multipart_copy, packages_alone])
def test_a_bucket_that_was_restored_as_a_copy_keeps_pins_rejects_and_dates(copy: Copy) -> None:
    world = with_history()
    before, kept_out = world.published().records, pins(world.channel)
    rejected = [(one.file, one.code) for one in rejects(world.channel)]
    assert len(rejected) == 1
    led_to(world, copy(world))
    assert [type_of(one.reason) for one in world.index().failures] == ["belongs"] * 2
    done = moved(world)
    assert (done.done, done.bound_to, done.bucket) == (True, BUCKET, OTHER)
    linux = done.subdirs[0]
    assert (linux.packages, linux.there, linux.pins, linux.lost_pins) == (2, 2, 1, [])
    assert bound_to(world) == OTHER
    for _ in range(2):
        assert world.published().records == before
        assert pins(world.channel) == kept_out
        assert [(one.file, one.code) for one in rejects(world.channel)] == rejected
        assert world.index().failures == []
    assert verify(world.channel, deep=True).findings == []


def type_of(reason: str) -> str:
    return "belongs" if "is bound to the bucket" in reason else reason


def test_a_pin_does_not_hold_on_another_package_of_the_same_size() -> None:
    world = with_history()
    copy = multipart_copy(world)
    body = copy.body(LINUX.file_key(KEPT_OUT))
    copy.upload(LINUX.file_key(KEPT_OUT), body[:-1] + bytes([body[-1] ^ 1]))
    led_to(world, copy)
    done = moved(world)
    assert done.subdirs[0].lost_pins == [KEPT_OUT]
    assert pins(world.channel) != []  # what becomes of it, the next comparison tells
    world.index()
    assert pins(world.channel) == []


def test_without_a_digest_a_pin_holds_on_the_size_alone() -> None:
    world = StandaloneChannel()
    world.upload(package("alpha"), package("beta"))
    pin_before_indexing = LINUX.file_key(KEPT_OUT)
    assert pin_before_indexing in world.public.objects
    world.index()
    world.tick()
    # Twice: the second pin is on an object of which the catalog has no record any more.
    pin(world.channel, LINUX, [KEPT_OUT], reason="x")
    world.upload(package("beta"))
    pin(world.channel, LINUX, [KEPT_OUT], reason="x")
    merge_in_process(world.channel, [LINUX])
    led_to(world, multipart_copy(world))
    moved(world)
    world.index()
    assert [one.file for one in pins(world.channel)] == [KEPT_OUT]


def test_the_published_files_are_of_a_later_generation_than_any_that_was_there() -> None:
    world = with_history()
    copy = plain_copy(world)
    key = LINUX.file_key(REPODATA)
    stored = copy.objects[key]
    newer = {**stored.headers.metadata, "sluice-generation": "70"}
    copy.put(key, stored.body, replace(stored.headers, metadata=newer))
    led_to(world, copy)
    moved(world)
    assert world.published().generation == 71


@pytest.mark.parametrize("page", [False, True])
def test_files_of_a_state_with_another_name_are_taken_over(*, page: bool) -> None:
    world = with_history()
    if page:
        world.public.upload(
            f"{CHANNEL}/sluice.toml", b"[sluice]\npage = true\nchanneldata = true\nrss = true\n"
        )
        world.index()
    led_to(world, plain_copy(world))
    world.channel = replace(world.channel, owner="restored-state")
    moved(world)
    files = [LINUX.file_key(REPODATA), NOARCH.file_key(REPODATA)]
    if page:
        files += [f"{CHANNEL}/{file}" for file in (CHANNELDATA, RSS, PAGE_DATA, PAGE)]
    owners = {}
    for key in files:
        info = world.public.head(key)
        assert info, key
        stamp = Stamp.parse(info.metadata)
        owners[key] = stamp and stamp.owner
    assert owners == dict.fromkeys(files, "restored-state")
    world.upload(package("later"))
    assert world.index().failures == []


def test_a_bucket_without_the_packages_needs_a_confirmation() -> None:
    world = with_history()
    led_to(world, MemoryStore(lambda: world.now_ms / 1000))
    before = dict(world.state.objects)
    refused = moved(world)
    assert (refused.done, refused.packages, refused.packages_present) == (False, 2, 0)
    assert moved(world, confirm="0" * 12).done is False
    assert (world.state.objects, world.public.objects) == (before, {})
    assert moved(world, confirm=refused.digest).done
    assert bound_to(world) == OTHER


def test_a_dry_run_compares_and_changes_nothing() -> None:
    world = with_history()
    led_to(world, plain_copy(world))
    before = dict(world.state.objects), dict(world.public.objects)
    found = moved(world, dry_run=True)
    assert (found.done, found.packages, found.packages_present) == (False, 2, 2)
    assert (world.state.objects, world.public.objects) == before


def test_a_catalog_without_a_binding_is_bound_by_it() -> None:
    world = with_history()
    world.state.remove(channel_binding_key(CHANNEL))
    led_to(world, plain_copy(world))
    assert "is not bound to a bucket" in world.index().failures[0].reason
    assert moved(world).bound_to is None
    assert bound_to(world) == OTHER
    assert world.index().failures == []


def test_it_may_be_repeated_and_goes_back_as_well() -> None:
    world = with_history()
    production, before = world.public, world.published().records
    led_to(world, plain_copy(world))
    moved(world)
    assert moved(world).done
    led_to(world, production, BUCKET)
    assert world.index().failures
    moved(world)
    assert world.index().failures == []
    assert world.published().records == before
    assert [one.file for one in pins(world.channel)] == [KEPT_OUT]


def test_a_state_that_knows_nothing_of_the_channel_says_so() -> None:
    world = StandaloneChannel()
    with pytest.raises(NotFound, match="no catalog of the channel"):
        moved(world)


def test_a_binding_that_a_killed_first_commit_has_left_can_be_moved() -> None:
    world = StandaloneChannel()
    world.channel.bucket_check.bind(CHANNEL)
    led_to(world, MemoryStore(lambda: world.now_ms / 1000))
    world.upload(package("alpha"))
    assert "is bound to the bucket" in world.index().failures[0].reason
    assert moved(world).done
    assert world.index().failures == []
    assert world.filenames() == ["alpha-1.0-0.conda"]


class Interrupted(Exception):
    pass


def test_killed_before_any_request_it_can_be_run_again_and_nobody_else_writes_meanwhile() -> None:
    begin = with_history()
    kept_out, before = pins(begin.channel), begin.published().records
    copied = plain_copy(begin)
    dies_before = 0
    while True:
        world = begin.copy()
        copy = MemoryStore(lambda world=world: world.now_ms / 1000)  # type: ignore[misc]
        copy.objects |= copied.objects
        led_to(world, copy)
        seen = 0

        def die(_operation: str, _key: str) -> None:
            nonlocal seen
            seen += 1
            if seen > dies_before:  # noqa: B023 - called in this round alone
                raise Interrupted

        for store in (world.state, world.public):
            store.before = die
        try:
            moved(world)
        except Interrupted:
            died = True
        else:
            died = False
        for store in (world.state, world.public):
            store.before = lambda _operation, _key: None
        world.index()  # refused, or it finds nothing to undo
        assert moved(world).done
        assert world.index().failures == []
        assert world.published().records == before
        assert pins(world.channel) == kept_out
        if not died:
            break
        dies_before += 1
    assert dies_before > 20


def test_while_it_is_under_way_every_other_writer_is_refused() -> None:
    world = with_history()
    led_to(world, plain_copy(world))
    refused: list[str] = []

    def index_meanwhile() -> None:
        refused.extend(one.reason for one in world.index().failures)

    world.state.before = at_request("PutObject", LINUX.head_key, index_meanwhile)
    moved(world)
    assert refused
    assert all("is being moved from channel-bucket to the bucket" in one for one in refused)
    assert [one.file for one in pins(world.channel)] == [KEPT_OUT]


def test_of_two_at_once_one_is_told_to_try_again() -> None:
    world = with_history()
    led_to(world, plain_copy(world))
    elsewhere = replace(world.channel, bucket="third-bucket")

    def rebind_elsewhere() -> None:
        rebind(elsewhere, max_age_seconds=60, brake_days=7)

    world.state.before = at_request("PutObject", LINUX.head_key, rebind_elsewhere)
    with pytest.raises(Unavailable, match="another rebind"):
        moved(world)
    assert bound_to(world) == "third-bucket"


def test_a_merge_of_the_old_bucket_that_has_begun_before_loses_its_head() -> None:
    world = with_history()
    world.upload(package("late"))
    old = world.copy()
    old.channel = replace(old.channel, state=world.state)
    led_to(world, plain_copy(world))
    generation = read_head(world.state, LINUX).value.generation

    def rebind_meanwhile() -> None:
        moved(world)

    old.state = world.state
    world.state.before = at_request("PutObject", LINUX.head_key, rebind_meanwhile)
    failures = [one.reason for one in old.index(IndexOptions()).failures]
    assert any("is bound to the bucket" in one for one in failures)
    head = read_head(world.state, LINUX).value
    assert head.generation == generation + 1
