"""Indexing a channel without functions: what comes of it, and what it costs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from sluice.admin.history.rejects import rejects
from sluice.admin.session.progress import Step
from sluice.admin.standalone import index as index_module
from sluice.admin.standalone import listing
from sluice.admin.standalone.index import IndexOptions
from sluice.catalog.entry import ARCHIVED_CODE
from sluice.catalog.head import read_head
from sluice.extract import staging
from sluice.layout import REPODATA, SLUICE_TOML
from sluice.reconcile.misplaced_record import read_misplaced_record
from testkit.channel import Package
from testkit.memory_store import LostAnswer
from tests.support.request_hooks import at_request
from tests.support.staging_records import record_of, removed
from tests.support.standalone_channel import CHANNEL, LINUX, NOARCH, StandaloneChannel, package
from tests.support.subdir_world import foreign_repodata

A, B, C = package("alpha"), package("beta"), package("gamma", subdir="noarch", noarch="generic")


def test_a_first_run_indexes_every_subdir() -> None:
    world = StandaloneChannel()
    world.upload(A, B, C)
    report = world.index()
    assert (report.packages, report.read, report.failures) == (3, 3, [])
    assert [(one.subdir, one.added) for one in report.subdirs] == [("linux-64", 2), ("noarch", 1)]
    assert world.filenames(LINUX) == [A.filename, B.filename]
    assert world.filenames(NOARCH) == [C.filename]


@pytest.mark.parametrize("copied", [False, True])
def test_a_package_that_is_archived_is_rejected_with_a_way_out_and_comes_back(
    copied: bool,  # noqa: FBT001 - the two cases
) -> None:
    world = StandaloneChannel()
    world.upload(A, B)
    world.index()
    key = LINUX.file_key(A.filename)
    world.public.archive(key, "DEEP_ARCHIVE")
    assert world.index().read == 1
    assert world.filenames() == [B.filename]
    (reject,) = rejects(world.channel)
    assert (reject.file, reject.code) == (A.filename, ARCHIVED_CODE)
    assert "in the archive storage class DEEP_ARCHIVE, so clients get 403" in reject.sentence
    assert "restore-object" in reject.sentence
    assert world.index().read == 0
    if copied:
        world.tick()
        world.public.upload(key, A.body)
    else:
        world.public.restore(key)
    assert world.index().read == 1
    assert world.filenames() == [A.filename, B.filename]
    assert world.index().read == 0


def test_misplaced_files_are_reported_and_recorded_until_they_are_gone() -> None:
    world = StandaloneChannel()
    world.upload(A)
    keys = [
        f"{CHANNEL}/linux64/x.conda",
        f"{CHANNEL}/x.conda",
        f"{CHANNEL}/linux-64/old/x.conda",
        f"{CHANNEL}/linux-64/my x.conda",
    ]
    for key in [*keys, "elsewhere/x.conda"]:
        world.public.upload(key, b"")
    for _ in range(2):  # a first run, and one that lists in parts
        (files,) = world.index().misplaced
        assert (files.channel, files.count, files.more) == (CHANNEL, 4, False)
        assert sorted(example.key for example in files.examples) == sorted(keys)
        (recorded,) = read_misplaced_record(world.state).channels
        assert recorded == files
    for key in keys:
        world.public.remove(key)
    assert world.index(IndexOptions(subdirs=["linux-64"])).misplaced == []
    assert len(read_misplaced_record(world.state).channels) == 1, "it has not looked everywhere"
    assert world.index().misplaced == []
    assert read_misplaced_record(world.state).channels == []


def test_a_full_folder_is_counted_as_far_as_its_first_page_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "KEYS_PER_PAGE", 3)
    world = StandaloneChannel(page_size=3)
    world.upload(A)
    for number in range(9):
        world.public.upload(f"{CHANNEL}/linux64/x-{number}.conda", b"")
    (files,) = world.index().misplaced
    assert files.more
    assert 1 <= files.count <= 3


def test_a_channel_gets_a_noarch_that_has_no_package_for_it() -> None:
    world = StandaloneChannel()
    world.upload(A)
    world.index()
    assert world.filenames(NOARCH) == []


def test_a_second_run_reads_and_writes_nothing() -> None:
    world = StandaloneChannel()
    world.upload(A, B, C)
    world.index()
    world.index()  # notes which generation is published, for the collection of garbage
    before = dict(world.public.objects), dict(world.state.objects)
    world.public.requests.clear()
    report = world.index()
    assert (report.read, report.subdirs) == (0, [])
    assert (world.public.objects, world.state.objects) == before
    assert {operation for operation, _ in world.public.operations()} <= {
        "ListObjectsV2",
        "HeadObject",
    }


def test_what_comes_changes_and_goes_is_followed() -> None:
    world = StandaloneChannel()
    world.upload(A, B)
    world.index()
    other = package("beta", timestamp=1_700_000_000_000)
    world.upload(C, other, package("alpha", "2.0"))
    world.public.remove(f"{CHANNEL}/{A.path}")
    report = world.index()
    assert report.read == 3
    about = report.subdirs[0]
    assert (about.subdir, about.added, about.replaced, about.removed) == ("linux-64", 1, 1, 1)
    assert world.filenames() == ["alpha-2.0-0.conda", B.filename]


def test_nothing_is_left_in_the_staging_log() -> None:
    world = StandaloneChannel()
    world.upload(A, B, C)
    world.index()
    assert world.state.keys("staging/") == []


def test_what_functions_have_staged_is_taken_along() -> None:
    world = StandaloneChannel()
    world.upload(A, B)
    world.index()
    world.public.remove(f"{CHANNEL}/{A.path}")
    staging.write_staging_record(world.state, LINUX, removed(A.filename), unique_id="by-a-function")
    world.index()
    assert world.filenames() == [B.filename]
    assert world.state.keys("staging/") == []


def test_the_head_that_was_compared_with_is_the_one_that_is_swapped() -> None:
    world = StandaloneChannel()
    world.upload(A)
    world.index()
    world.upload(B)
    world.state.requests.clear()
    world.index()
    about_head = [name for name, key in world.state.operations() if key == LINUX.head_key]
    assert about_head == ["GetObject", "PutObject"]


def test_a_head_that_another_has_swapped_since_is_read_again() -> None:
    world = StandaloneChannel()
    world.upload(A)
    world.index()
    other = package("delta")

    def another() -> None:
        world.upload(other)
        world.index()

    world.upload(B)
    world.public.before = at_request("GetObject", f"{CHANNEL}/{B.path}", another)
    report = world.index()
    assert report.failures == []
    assert world.filenames() == [A.filename, B.filename, other.filename]
    assert world.state.keys("staging/") == []


def test_a_bad_package_is_rejected_and_hurts_nobody() -> None:
    world = StandaloneChannel()
    world.upload(A, Package("linux-64", B.filename, b"no zip"))
    report = world.index()
    assert (report.subdirs[0].added, report.subdirs[0].rejected) == (1, 1)
    assert world.filenames() == [A.filename]
    assert world.state.keys("rejects/")
    assert world.index().read == 0


def test_an_index_that_is_there_is_taken_over() -> None:
    world = StandaloneChannel()
    world.upload(A, B)
    old = {**record_of(A.filename, A.body), "indexed_timestamp": 1_600_000_000_000}
    body = json.dumps(foreign_repodata({A.filename: old}, subdir="linux-64")).encode()
    world.public.upload(LINUX.file_key(REPODATA), body)
    world.index()
    world.index()  # reads what another tool had indexed
    records = world.published().records
    assert records[A.filename]["indexed_timestamp"] == 1_600_000_000_000
    assert records[A.filename]["depends"] == []


def test_a_configuration_is_followed() -> None:
    world = StandaloneChannel()
    world.upload(A, C)
    world.index()
    world.tick()
    toml = b"[sluice]\nrun-exports = true\nchanneldata = true\n"
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", toml)
    world.index()
    assert LINUX.file_key("run_exports.json.zst") in world.public.objects
    assert f"{CHANNEL}/channeldata.json" in world.public.objects
    world.public.remove(f"{CHANNEL}/{SLUICE_TOML}")
    world.index()
    assert LINUX.file_key("run_exports.json.zst") not in world.public.objects


def test_what_a_run_that_died_noted_for_the_channel_is_published_by_the_next() -> None:
    world = StandaloneChannel()
    world.upload(A)
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", b"[sluice]\nchanneldata = true\n")
    world.index()
    world.upload(B)

    def die(operation: str, key: str) -> None:
        if (operation, key) == ("PutObject", f"{CHANNEL}/channeldata.json"):
            raise LostAnswer

    world.public.before = die
    world.index()
    world.public.before = lambda _operation, _key: None
    published = f"{CHANNEL}/channeldata.json"
    assert b"beta" not in world.public.body(published)
    world.index()
    assert b"beta" in world.public.body(published)
    assert world.state.keys("notes/") == []


def test_an_index_that_somebody_overwrites_is_written_again() -> None:
    world = StandaloneChannel()
    world.upload(A)
    world.index()
    world.tick()
    world.public.upload(LINUX.file_key(REPODATA), b"{}")
    world.index()
    assert world.filenames() == [A.filename]


def test_only_the_subdirs_that_were_asked_for_are_looked_at() -> None:
    world = StandaloneChannel()
    world.upload(A, C)
    report = world.index(IndexOptions(subdirs=["noarch"]))
    assert report.packages == 1
    assert LINUX.file_key(REPODATA) not in world.public.objects


def test_rejects_are_read_again_when_that_is_asked_for() -> None:
    world = StandaloneChannel()
    world.upload(A, Package("linux-64", B.filename, b"no zip"))
    world.index()
    assert world.index(IndexOptions(re_extract=True)).read == 1


def test_what_lies_in_other_folders_is_passed_over() -> None:
    world = StandaloneChannel(page_size=2)
    world.upload(A, B)
    for number in range(5):
        world.public.upload(f"{CHANNEL}/docs/{number}.html", b"")
    world.public.upload(f"{CHANNEL}/sub/linux-64/{B.filename}", B.body)  # another channel's
    report = world.index()
    assert report.packages == 2
    assert [one.subdir for one in report.subdirs] == ["linux-64", "noarch"]


def test_a_large_subdir_is_listed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_FILES_PER_PART", 3)
    world = StandaloneChannel(page_size=4)
    packages = [package(f"p{number}", version) for number in range(9) for version in "123"]
    world.upload(*packages)
    world.index()
    world.upload(package("a-new"), package("p4", "9"), package("z-new"))
    world.public.remove(f"{CHANNEL}/{packages[0].path}")
    report = world.index()
    assert (report.packages, report.read) == (29, 3)
    names = {one.filename for one in packages[1:]} | {
        "a-new-1.0-0.conda",
        "p4-9-0.conda",
        "z-new-1.0-0.conda",
    }
    assert set(world.filenames()) == names


def test_what_was_read_is_committed_on_the_way_and_published_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_module, "INDEX_COMMIT_RECORDS_MAX", 4)
    world = StandaloneChannel()
    world.upload(*(package("p", str(number)) for number in range(10)))
    seen: list[bool] = []

    def look(operation: str, key: str) -> None:
        if (
            operation == "PutObject"
            and key == LINUX.head_key
            and read_head(world.state, LINUX).value.tree
        ):
            seen.append(LINUX.file_key(REPODATA) in world.public.objects)

    world.state.after = look
    world.index()
    assert seen == [False, False, False]
    assert len(world.filenames()) == 10


def test_a_package_that_s3_does_not_give_is_told_of_and_tried_again() -> None:
    world = StandaloneChannel()
    world.upload(A, B)

    def refuse(operation: str, key: str) -> None:
        if operation == "GetObject" and key.endswith(B.filename):
            raise LostAnswer

    world.public.before = refuse
    report = world.index()
    assert [failure.object for failure in report.failures] == [f"{CHANNEL}/{B.path}"]
    assert world.filenames() == [A.filename]
    world.public.before = lambda _operation, _key: None
    world.tick(21 * 3600)  # as reconcile tries again what could not be read
    assert world.index().failures == []
    assert world.filenames() == [A.filename, B.filename]


def test_a_subdir_whose_catalog_is_damaged_does_not_stop_the_others() -> None:
    world = StandaloneChannel()
    world.upload(A, C)
    world.index()
    world.state.upload(LINUX.head_key, b"{}")
    world.upload(package("alpha", "2.0"), package("gamma", "2.0", subdir="noarch"))
    report = world.index()
    assert [failure.object for failure in report.failures] == ["linux-64"]
    assert "Corrupt" in report.failures[0].reason
    assert len(world.filenames(NOARCH)) == 2


def test_progress_is_told() -> None:
    told: Counter[tuple[str, Step]] = Counter()

    class Told:
        def expect(self, step: Step, count: int) -> None:
            told["expect", step] += count

        def done(self, step: Step, count: int) -> None:
            told["done", step] += count

    world = StandaloneChannel()
    world.upload(A, B)
    world.index(progress=Told())
    assert told["done", Step.LISTED] == 2
    assert told["expect", Step.READ] == told["done", Step.READ] == 2
    assert told["done", Step.COMMITTED] == 2


def test_two_owners_do_not_fight() -> None:
    world = StandaloneChannel()
    world.upload(A)
    world.index()
    other = StandaloneChannel()
    other.public = world.public
    other.channel = replace(other.channel, public=world.public, owner="another")
    other.now_ms = world.now_ms
    report = other.index()
    assert "not this state" in report.failures[0].reason
    assert world.filenames() == [A.filename]
    assert other.index(IndexOptions(adopt=True)).failures == []
