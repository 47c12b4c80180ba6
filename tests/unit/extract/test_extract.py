"""Extract: what is staged about an object, and that a merge is asked for after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from sluice.catalog.entry import NOT_EXTRACTED
from sluice.concurrency import in_order
from sluice.errors import LimitExceeded, Unavailable
from sluice.extract import extract, staging
from sluice.extract.extract import EXTRACTOR_VERSION, ExtractorContext
from sluice.extract.staging import Indexed, Rejected, Removed, StagingRecord
from sluice.layout import PackageKey
from sluice.limits import EXTRACT_ATTEMPTS_MAX, MIB
from sluice.messages import merge_request
from sluice.messages.merge_request import MergeRequest
from sluice.package.read_limits import FIRST_READ
from sluice.storage.object_id import ObjectId
from testkit.channel import conda, tar_bz2
from testkit.memory_store import LostAnswer
from tests.support.package_archives import Entry
from tests.support.package_archives import tar_bz2 as tar_bz2_of
from tests.support.staging_records import START_MS, SUBDIR
from tests.support.subdir_world import DEBOUNCE_SECONDS, World

INDEX = {
    "name": "alpha",
    "version": "1.0",
    "build": "0",
    "build_number": 0,
    "depends": ["python"],
    "subdir": "linux-64",
}
PACKAGE = conda(INDEX)
KEY = PackageKey(SUBDIR, PACKAGE.filename)
WINDOW_MS = (DEBOUNCE_SECONDS - 2) * 1000
RECEIVES_MAX = 5


def extractor(world: World) -> ExtractorContext:
    """What the extract function is wired to."""
    return ExtractorContext(
        channel=world.channel,
        state=world.state,
        merge_queue=world.queue,
        executor=in_order,
        clock=lambda: world.now_ms,
        new_id=world.new_id,
        debounce_seconds=DEBOUNCE_SECONDS,
        trust_uploader_digests=True,
        receives_max=RECEIVES_MAX,
    )


def run(world: World, *, received: int = 1, size_hint: int | None = None) -> StagingRecord:
    """Extract the package."""
    return extract.extract(extractor(world), KEY, size_hint=size_hint, receive_count=received)


def log(world: World) -> list[StagingRecord]:
    """What is staged, in the order in which it was."""
    keys = sorted(world.staged(), key=lambda key: key.rpartition("/")[2])
    return [staging.decode_staging_record(world.state.body(key)) for key in keys]


def test_a_good_package_is_staged_with_its_record_and_its_identity() -> None:
    world = World()
    info = world.channel.upload(KEY.key, PACKAGE.body)
    staged = run(world)
    assert isinstance(staged, Indexed)
    assert staged == Indexed(
        filename="alpha-1.0-0.conda",
        extractor=EXTRACTOR_VERSION,
        at=START_MS,
        identity=ObjectId.from_info(info),
        record={
            **INDEX,
            "constrains": [],
            "md5": staged.record["md5"],
            "sha256": staged.record["sha256"],
            "size": len(PACKAGE.body),
        },
        digests_from={"sha256": "read", "md5": "read"},
        channeldata=staged.channeldata,
    )
    assert staged.channeldata["summary"] == "The package alpha"
    assert log(world) == [staged]


def test_a_tar_bz2_is_read_as_well() -> None:
    world = World()
    package = tar_bz2(INDEX)
    world.channel.upload(SUBDIR.file_key(package.filename), package.body)
    staged = extract.extract(extractor(world), PackageKey(SUBDIR, package.filename))
    assert isinstance(staged, Indexed)
    assert staged.record["name"] == "alpha"


SLOW = tar_bz2_of(
    Entry("lib/zeros", bytes(FIRST_READ.index_bytes_max)),
    Entry("info/index.json", json.dumps(INDEX).encode()),
)
SLOW_KEY = PackageKey(SUBDIR, "alpha-1.0-0.tar.bz2")


def test_what_exceeds_the_limits_is_neither_judged_nor_staged() -> None:
    world = World()
    world.channel.upload(SLOW_KEY.key, SLOW)
    outcome = extract.extract_within(extractor(world), SLOW_KEY, limits=FIRST_READ)
    assert isinstance(outcome, LimitExceeded)
    assert (world.staged(), world.queue.messages) == ([], [])
    assert isinstance(extract.extract(extractor(world), SLOW_KEY), Indexed)


def test_what_does_not_exceed_the_limits_is_staged_as_ever() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)
    within = extract.extract_within(extractor(world), KEY, limits=FIRST_READ)
    assert within == run(world)
    assert log(world) == [within, within]


def test_a_bomb_is_a_reject_with_the_full_limits() -> None:
    world = World()
    bomb = tar_bz2_of(Entry("lib/zeros", bytes(65 * MIB)))
    world.channel.upload(SLOW_KEY.key, bomb)
    staged = extract.extract(extractor(world), SLOW_KEY)
    assert isinstance(staged, Rejected)
    assert staged.code == "info-too-large"


def test_what_is_not_there_is_a_removal_whatever_the_event_said() -> None:
    world = World()
    staged = run(world, size_hint=77)
    assert staged == Removed(filename=KEY.filename, extractor=EXTRACTOR_VERSION, at=START_MS)
    assert log(world) == [staged]


def test_what_is_no_package_is_a_reject_with_a_code_and_a_sentence() -> None:
    world = World()
    info = world.channel.upload(KEY.key, b"corrupt")
    staged = run(world)
    assert isinstance(staged, Rejected)
    assert (staged.identity, staged.code) == (ObjectId.from_info(info), "zip-invalid")
    assert staged.sentence.startswith("alpha-1.0-0.conda ")
    assert log(world) == [staged]


def test_a_package_of_another_name_is_a_reject() -> None:
    world = World()
    other = PackageKey(SUBDIR, "beta-1.0-0.tar.bz2")
    world.channel.upload(other.key, tar_bz2(INDEX).body)
    staged = extract.extract(extractor(world), other)
    assert isinstance(staged, Rejected)
    assert staged.filename == "beta-1.0-0.tar.bz2"


def test_every_event_is_staged_under_a_key_of_its_own() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)
    assert run(world) == run(world)
    assert len(world.staged()) == 2


def test_the_merge_is_asked_for_in_the_window_in_which_the_staging_put_ended() -> None:
    world = World()
    world.now_ms = 10 * WINDOW_MS - 1

    def take_a_moment(operation: str, _key: str) -> None:
        if operation == "PutObject":
            world.now_ms += 1

    world.state.after = take_a_moment
    run(world)
    (message,) = world.queue.messages
    assert merge_request.parse_merge_request(message.body) == MergeRequest(
        SUBDIR, not_before=11 * WINDOW_MS + 2000
    )


def test_no_merge_is_asked_for_what_could_not_be_staged() -> None:
    world = World()

    def fail(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise LostAnswer

    world.state.before = fail
    with pytest.raises(Unavailable):
        run(world)
    assert world.queue.messages == []


def test_what_was_staged_stays_where_the_merge_could_not_be_asked_for() -> None:
    world = World()

    def fail(_operation: str, _key: str) -> None:
        raise LostAnswer

    world.queue.before = fail
    with pytest.raises(Unavailable, match="SendMessage"):
        run(world)
    assert len(world.staged()) == 1


# --- overwritten while it is read -----------------------------------------------------------------


def overwriting(world: World, times: int) -> Callable[[str, str], None]:
    """Make a hook that overwrites the package after each of the first looks at it."""
    bodies = [conda(INDEX, payload=bytes([n]) * 9).body for n in range(times)]

    def hook(operation: str, key: str) -> None:
        if (operation, key) == ("HeadObject", KEY.key) and bodies:
            world.tick()
            world.channel.upload(KEY.key, bodies.pop(0))

    return hook


def test_a_package_overwritten_while_it_is_read_is_read_again() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)
    world.channel.after = overwriting(world, EXTRACT_ATTEMPTS_MAX - 1)
    staged = run(world)
    assert isinstance(staged, Indexed)
    assert staged.identity == ObjectId.from_info(world.channel.objects[KEY.key].info)


def test_a_package_overwritten_each_time_goes_back_to_the_queue() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)
    world.channel.after = overwriting(world, EXTRACT_ATTEMPTS_MAX)
    with pytest.raises(Unavailable, match=f"each of {EXTRACT_ATTEMPTS_MAX} times"):
        run(world)
    assert world.staged() == []


# --- the last try ---------------------------------------------------------------------------------


def test_before_its_last_try_a_package_is_rejected_and_a_success_comes_before_that() -> None:
    world = World()
    info = world.channel.upload(KEY.key, PACKAGE.body)
    staged = run(world, received=RECEIVES_MAX)
    given_up, success = log(world)
    assert given_up == Rejected(
        filename=KEY.filename,
        extractor=NOT_EXTRACTED,
        at=START_MS,
        identity=ObjectId.from_info(info),
        code="unreadable",
        sentence="alpha-1.0-0.conda could not be read in 4 attempts: reading it failed, or "
        "took more memory or time than the function has, or it is encrypted with a key that sluice "
        "is not allowed to use. Upload it again to retry.",
    )
    assert success == staged
    assert isinstance(staged, Indexed)
    world.merge()
    assert world.published().keys() == {KEY.filename}


def test_a_package_that_sluice_may_not_even_look_at_is_rejected_before_the_last_try() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)

    def refuse(operation: str, key: str) -> None:
        if key == KEY.key and operation in ("HeadObject", "GetObject"):
            raise Unavailable(f"{operation} {key}: 403")

    world.channel.before = refuse
    with pytest.raises(Unavailable):
        run(world, received=RECEIVES_MAX)
    world.merge()
    assert [reject["code"] for reject in world.rejects()] == ["unreadable"]


def test_a_last_try_that_ends_the_process_leaves_the_reject_and_a_request_for_a_merge() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)

    def out_of_memory(operation: str, _key: str) -> None:
        if operation == "GetObject":
            raise MemoryError

    world.channel.before = out_of_memory
    with pytest.raises(MemoryError):
        run(world, received=RECEIVES_MAX, size_hint=1)
    world.channel.before = lambda _operation, _key: None
    assert [
        merge_request.parse_merge_request(message.body).subdir for message in world.queue.messages
    ] == [SUBDIR]
    world.merge()
    assert [reject["code"] for reject in world.rejects()] == ["unreadable"]


@pytest.mark.parametrize("received", [1, RECEIVES_MAX - 1])
def test_before_that_nothing_is_given_up(received: int) -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)
    run(world, received=received)
    assert len(log(world)) == 1


def test_what_is_gone_on_its_last_try_is_not_rejected() -> None:
    world = World()
    run(world, received=RECEIVES_MAX)
    assert [type(record) for record in log(world)] == [Removed]


# --- from the package to the index ----------------------------------------------------------------


def test_what_was_extracted_is_what_is_published() -> None:
    world = World()
    world.channel.upload(KEY.key, PACKAGE.body)
    staged = run(world)
    world.merge()
    assert isinstance(staged, Indexed)
    assert world.published() == {KEY.filename: {**staged.record, "indexed_timestamp": world.now_ms}}


def test_a_record_survives_the_log_unchanged() -> None:
    world = World()
    odd = {**INDEX, "license": "é\u2028😀", "x-unknown": {"b": [1, 2.5, None, True], "a": ""}}
    package = conda(odd)
    world.channel.upload(KEY.key, package.body)
    staged = run(world)
    assert isinstance(staged, Indexed)
    assert msgspec.json.encode(staged.record["x-unknown"]) == b'{"b":[1,2.5,null,true],"a":""}'
    world.merge()
    published = world.published()[KEY.filename]
    assert {key: published[key] for key in odd} == json.loads(json.dumps(odd))


@pytest.mark.parametrize(("trusted", "source"), [(True, "uploader"), (False, "read")])
def test_digests_of_the_uploader_are_believed_only_while_they_are_trusted(
    monkeypatch: pytest.MonkeyPatch, *, trusted: bool, source: str
) -> None:
    monkeypatch.setattr("sluice.package.reader.SMALL_PACKAGE_BYTES_MAX", 0)
    world = World()
    claimed = {"package-sha256": "ab" * 32, "package-md5": "cd" * 16}
    world.channel.upload(KEY.key, PACKAGE.body, metadata=claimed)
    staged = extract.extract(replace(extractor(world), trust_uploader_digests=trusted), KEY)
    assert isinstance(staged, Indexed)
    assert staged.digests_from["sha256"] == source
    assert (staged.record["sha256"] == claimed["package-sha256"]) is trusted
