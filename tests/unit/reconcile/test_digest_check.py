"""Packages whose digests are their uploaders' are hashed, some a day; those that lie leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import md5, sha256
from itertools import count
from typing import Any
from unittest import mock

import pytest

from sluice.catalog.entry import DIGESTS_FALSE, NEVER_OUTDATED, Entry, Record, Reject
from sluice.catalog.head import read_head
from sluice.catalog.reader import CatalogReader
from sluice.concurrency import in_order, in_threads
from sluice.errors import Unavailable
from sluice.extract import extract
from sluice.layout import Subdir
from sluice.limits import RECONCILE_TIME_RESERVE_MS
from sluice.package import reader
from sluice.reconcile import digest_check, digest_progress
from sluice.reconcile.digest_progress import DAY_MS
from sluice.reconcile.report import ReconcileReport
from sluice.reconcile.run import ReconcileRequest, run_step, start_run
from testkit.channel import conda, tar_bz2
from testkit.memory_store import LostAnswer, ignore
from testkit.system import System
from tests.support.request_hooks import ProcessKilled

SUBDIR = Subdir("team", "linux-64")
START_MS = 20_000 * DAY_MS
FALSE = "0" * 64
A, B, C, D = (f"{name}-1.0-0.conda" for name in ("alpha", "beta", "gamma", "delta"))
ALL = (A, B, C, D)


@pytest.fixture(autouse=True)
def _every_package_is_large() -> Iterator[None]:
    with (
        mock.patch.object(reader, "SMALL_PACKAGE_BYTES_MAX", 0),
        mock.patch.object(digest_progress, "SMALL_PACKAGE_BYTES_MAX", 0),
    ):
        yield


@pytest.fixture
def system() -> System:
    return System(START_MS)


def build(filename: str, payload: bytes = b"") -> bytes:
    stem = filename.removesuffix(".conda").removesuffix(".tar.bz2")
    name, version, build_string = stem.split("-")
    index: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": build_string,
        "build_number": 0,
        "depends": [],
        "subdir": SUBDIR.name,
    }
    make = conda if filename.endswith(".conda") else tar_bz2
    return make(index, payload=payload).body


def upload(
    system: System,
    filename: str,
    body: bytes | None = None,
    *,
    parts: int = 1,
    stated: str | None = None,
    stated_md5: str | None = None,
) -> bytes:
    """Put a package there a second later, with its digest in its metadata, or with another."""
    system.tick()
    body = build(filename) if body is None else body
    metadata = {"package-sha256": stated or sha256(body).hexdigest()}
    if stated_md5 is not None:
        metadata["package-md5"] = stated_md5
    system.channel.upload(SUBDIR.file_key(filename), body, metadata=metadata, parts=parts)
    return body


def index(system: System, *filenames: str) -> None:
    """Have packages indexed as they are."""
    system.notify(*map(SUBDIR.file_key, filenames))
    system.run_until_idle()


def entries(system: System) -> Mapping[str, Entry]:
    catalog = CatalogReader(system.state, SUBDIR, in_order)
    tree = catalog.tree(read_head(system.state, SUBDIR).value.tree)
    return {
        file: one for leaf in catalog.entries(tree.names.values()) for file, one in leaf.items()
    }


def indexed(system: System) -> set[str]:
    return {file for file, entry in entries(system).items() if isinstance(entry, Record)}


def hashed(system: System, during: Callable[[], object]) -> list[str]:
    """The packages that are read from beginning to end meanwhile, in order."""
    system.channel.requests.clear()
    during()
    return [
        request.key.removeprefix(SUBDIR.prefix)
        for request in system.channel.requests
        if request.operation == "GetObject"
        and request.key in map(SUBDIR.file_key, system_files(system))
        and request.received == len(system.channel.body(request.key))
    ]


def system_files(system: System) -> list[str]:
    return [
        key.removeprefix(SUBDIR.prefix)
        for key in system.channel.keys(SUBDIR.prefix)
        if key.endswith((".conda", ".tar.bz2"))
    ]


# --- what is found --------------------------------------------------------------------------


@pytest.mark.parametrize("filename", [A, "alpha-1.0-0.tar.bz2"])
def test_a_package_with_a_false_digest_is_rejected_and_the_sentence_says_what_it_has(
    system: System, filename: str
) -> None:
    body = upload(system, filename, stated=FALSE)
    upload(system, B)
    index(system, filename, B)
    assert indexed(system) == {filename, B}
    report = system.reconcile()
    assert (report.counts.digests_checked, report.counts.digests_false) == (2, 1)
    (about,) = report.steps["1"].subdirs
    assert about.examples["digests_false"] == [filename]
    reject = entries(system)[filename]
    assert isinstance(reject, Reject)
    assert reject.code == DIGESTS_FALSE
    for part in (filename, FALSE, sha256(body).hexdigest(), "Upload it again"):
        assert part in reject.sentence
    assert indexed(system) == {B}
    assert filename not in system.index(SUBDIR).records


def test_a_false_md5_is_found_as_well(system: System) -> None:
    body = upload(system, A, parts=2, stated_md5="1" * 32)
    index(system, A)
    system.reconcile()
    reject = entries(system)[A]
    assert isinstance(reject, Reject)
    assert md5(body, usedforsecurity=False).hexdigest() in reject.sentence
    assert "package-md5" in reject.sentence


def test_only_packages_whose_digests_are_the_uploaders_are_hashed(system: System) -> None:
    upload(system, A)
    system.channel.upload(SUBDIR.file_key(B), build(B))  # no metadata: extract has read it whole
    system.channel.upload(SUBDIR.file_key(C), build(C), checksum=True)  # S3 has hashed it
    system.channel.upload(SUBDIR.file_key(D), b"no package", metadata={"package-sha256": FALSE})
    index(system, *ALL)
    assert hashed(system, system.reconcile) == [A]


def test_without_trust_nothing_is_checked_and_nothing_asked_for(system: System) -> None:
    upload(system, A, stated=FALSE)
    index(system, A)
    system.reconciler = replace(system.reconciler, checks_digests=False)
    system.state.requests.clear()
    assert hashed(system, system.reconcile) == []
    assert not [one for one in system.state.requests if one.key.startswith("digests/")]


def test_a_dry_run_hashes_nothing(system: System) -> None:
    upload(system, A, stated=FALSE)
    index(system, A)
    assert hashed(system, lambda: system.reconcile(ReconcileRequest(dry_run=True))) == []
    assert system.state.keys("digests/") == []


def test_small_packages_cost_no_request(system: System) -> None:
    upload(system, A)
    index(system, A)
    with mock.patch.object(digest_progress, "SMALL_PACKAGE_BYTES_MAX", 1 << 20):
        system.state.requests.clear()
        system.reconcile()
    assert not [one for one in system.state.requests if one.key.startswith("digests/")]


# --- it does not come back ------------------------------------------------------------------


@pytest.mark.parametrize("newer", [0, 1])
def test_a_liar_does_not_come_back_by_being_read_again_as_it_is(
    system: System, monkeypatch: pytest.MonkeyPatch, newer: int
) -> None:
    upload(system, A, stated=FALSE)
    index(system, A)
    system.reconcile()
    monkeypatch.setattr(extract, "EXTRACTOR_VERSION", extract.EXTRACTOR_VERSION + newer)
    monkeypatch.setattr(extract, "RECORDS_SINCE", extract.EXTRACTOR_VERSION)
    for request in (ReconcileRequest(), ReconcileRequest(re_extract=True)):
        system.reconcile(request)
        index(system, A)  # an event that comes late, or twice
        assert indexed(system) == set()
    assert system.reconcile().counts.fed == 0


@pytest.mark.parametrize("order", [0, 1], ids=["the reject first", "the record first"])
def test_a_liar_that_is_read_while_its_reject_waits_stays_out(system: System, order: int) -> None:
    upload(system, A, stated=FALSE)
    index(system, A)
    steps: list[Callable[[], object]] = [
        lambda: start_run(system.reconciler, ReconcileRequest(), time_left_ms=lambda: 900_000),
        lambda: system.extract(SUBDIR.file_key(A)),
    ]
    for step in steps if order == 0 else reversed(steps):
        step()
    system.run_until_idle()
    assert indexed(system) == set()


def test_a_package_that_is_uploaded_again_with_true_metadata_is_back(system: System) -> None:
    body = upload(system, A, stated=FALSE)
    index(system, A)
    system.reconcile()
    upload(system, A, body)
    index(system, A)
    assert indexed(system) == {A}
    system.tick(2 * 86_400)
    assert system.reconcile().counts.digests_false == 0
    assert indexed(system) == {A}


def test_a_liar_that_is_uploaded_again_is_found_again(system: System) -> None:
    body = upload(system, A, stated=FALSE)
    index(system, A)
    system.reconcile()
    upload(system, A, body, stated=FALSE)
    index(system, A)
    system.tick(86_400)
    assert system.reconcile().counts.digests_false == 1
    assert indexed(system) == set()


def test_a_verdict_outranks_every_extractor() -> None:
    assert extract.EXTRACTOR_VERSION < NEVER_OUTDATED


# --- what comes in between ------------------------------------------------------------------


@pytest.mark.parametrize("lies_after", [False, True])
@pytest.mark.parametrize("heard", [False, True])
def test_an_upload_while_the_old_object_is_hashed_is_judged_by_itself(
    system: System, *, lies_after: bool, heard: bool
) -> None:
    upload(system, A, stated=FALSE)
    index(system, A)
    other = build(A, b"other")

    def overwrite(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith("staging/"):
            system.state.before = ignore
            upload(system, A, other, stated=FALSE if lies_after else None)
            if heard:
                system.notify(SUBDIR.file_key(A))

    system.state.before = overwrite
    system.reconcile()
    for _ in range(2):
        system.tick(86_400)
        system.reconcile()
    assert indexed(system) == (set() if lies_after else {A})


@pytest.mark.parametrize("heard", [False, True])
def test_the_same_content_with_other_metadata_is_read_again_first(
    system: System, *, heard: bool
) -> None:
    body = upload(system, A, stated=FALSE)
    index(system, A)
    upload(system, A, body)  # mended; by ETag and size nothing has changed
    if heard:
        index(system, A)
    for _ in range(2):
        assert system.reconcile().counts.digests_false == 0
        system.tick(86_400)
    assert indexed(system) == {A}
    record = entries(system)[A]
    assert isinstance(record, Record)
    assert record.record["sha256"] == sha256(body).hexdigest()
    assert system.reconcile().counts.fed == 0


def test_a_file_that_is_deleted_meanwhile_is_only_gone(system: System) -> None:
    upload(system, A, stated=FALSE)
    index(system, A)

    def delete(operation: str, key: str) -> None:
        if operation == "GetObject" and key == SUBDIR.file_key(A):
            system.channel.before = ignore
            system.channel.remove(key)

    system.channel.before = delete
    assert system.reconcile().counts.digests_checked == 0
    system.reconcile()
    assert entries(system) == {}


# --- how much -------------------------------------------------------------------------------


def test_so_many_are_hashed_a_day_the_oldest_first_and_each_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_progress, "DIGEST_CHECK_PACKAGES_MAX", 2)
    for filename in (C, A, D, B):
        upload(system, filename)
    index(system, *ALL)
    assert hashed(system, system.reconcile) == [C, A]
    assert hashed(system, system.reconcile) == []  # again on that day
    system.tick(86_400)
    assert hashed(system, system.reconcile) == [D, B]
    system.tick(86_400)
    assert hashed(system, system.reconcile) == []
    upload(system, "new-1.0-0.conda", stated=FALSE)
    index(system, "new-1.0-0.conda")
    assert system.reconcile().counts.digests_false == 1


def test_so_many_bytes_are_hashed_a_day_but_one_package_at_least(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for filename in (A, B, C):
        upload(system, filename, build(filename, b"x" * (10 if filename == B else 0)))
    index(system, A, B, C)
    size = len(system.channel.body(SUBDIR.file_key(A)))
    monkeypatch.setattr(digest_progress, "DIGEST_CHECK_BYTES_MAX", size)
    for expected in ([A], [B], [C], []):
        assert hashed(system, system.reconcile) == expected
        assert hashed(system, system.reconcile) == []
        system.tick(86_400)


def test_an_upload_that_began_long_ago_is_checked_as_well(system: System) -> None:
    # LastModified of a multipart upload is when it began.
    before = System(START_MS - 30 * DAY_MS)
    upload(system, A)
    index(system, A)
    system.reconcile()
    upload(before, B, stated=FALSE, parts=3)
    system.channel.objects |= before.channel.objects
    index(system, B)
    assert system.reconcile().counts.digests_false == 1


def test_a_package_that_is_too_large_is_told_of_once_and_stops_no_other(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(system, A, build(A, b"x" * 99), stated=FALSE)
    upload(system, B)
    index(system, A, B)
    size = len(system.channel.body(SUBDIR.file_key(B)))
    monkeypatch.setattr(digest_check, "DIGEST_CHECK_PACKAGE_BYTES_MAX", size)
    report = system.reconcile()
    assert (report.counts.digests_checked, report.counts.digests_unchecked) == (1, 1)
    assert system.reconcile().counts.digests_unchecked == 0


def test_a_package_that_cannot_be_read_comes_after_all_others(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_progress, "DIGEST_CHECK_PACKAGES_MAX", 1)
    for filename in (A, B):
        upload(system, filename)
    index(system, A, B)

    def refuse(_operation: str, key: str) -> None:
        if key == SUBDIR.file_key(A):
            raise Unavailable("403")

    system.channel.before = refuse
    for expected in ((0, 1), (1, 0), (0, 1)):
        counts = system.reconcile().counts
        assert (counts.digests_checked, counts.digests_unchecked) == expected
        assert counts.failed == 0
        system.tick(86_400)
    system.channel.before = ignore
    assert system.reconcile().counts.digests_checked == 1


def test_packages_are_looked_at_within_bounds(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_check, "DIGEST_LOOKS_MAX", 2)
    for filename in (A, B, C):
        system.tick()
        system.channel.upload(SUBDIR.file_key(filename), build(filename))
    upload(system, D)
    index(system, *ALL)
    assert hashed(system, system.reconcile) == []
    assert hashed(system, system.reconcile) == [D]


def test_a_check_stops_when_time_is_short(system: System) -> None:
    for filename in ALL:
        upload(system, filename)
    index(system, *ALL)
    left = [RECONCILE_TIME_RESERVE_MS + 1]
    stop = iter([*left * 3, *[RECONCILE_TIME_RESERVE_MS // 2 - 1] * 1000])
    report = start_run(system.reconciler, ReconcileRequest(), time_left_ms=lambda: next(stop))
    assert report.counts.digests_checked < len(ALL)
    system.run_until_idle()
    system.tick(86_400)
    system.reconcile()
    system.tick(86_400)
    assert system.reconcile().counts.digests_checked == 0


def test_what_is_remembered_is_bounded_by_what_is_there(system: System) -> None:
    for filename in ALL:
        upload(system, filename)
    index(system, *ALL)
    system.reconcile()
    key = SUBDIR.digest_checks_key
    stored = digest_progress.decode_digest_progress(system.state.body(key), what=key)
    assert len(stored.done) == 8 * len(ALL)
    system.remove(*(SUBDIR.file_key(filename) for filename in (A, B)))
    system.reconcile()
    stored = digest_progress.decode_digest_progress(system.state.body(key), what=key)
    assert len(stored.done) == 8 * 2


def test_a_record_of_checks_that_is_lost_has_everything_checked_again(system: System) -> None:
    upload(system, A)
    index(system, A)
    system.reconcile()
    system.state.remove(SUBDIR.digest_checks_key)
    assert hashed(system, system.reconcile) == [A]


# --- two at once, and steps that die --------------------------------------------------------


def test_a_second_run_in_between_hashes_no_more_than_a_day_allows(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_progress, "DIGEST_CHECK_PACKAGES_MAX", 2)
    monkeypatch.setattr(digest_check, "DIGEST_CHECKS_AT_ONCE", 1)
    for filename in ALL:
        upload(system, filename)
    index(system, *ALL)
    for at in count():
        copy = System(system.now_ms)
        copy.resume(system)
        happened: list[bool] = []
        met = hashed(copy, partial(reconcile_with_another, copy, at, happened))
        assert len(met) <= 2, f"request {at}: {met}"
        if not happened:
            break
    assert at > 10


def reconcile_with_another(system: System, at: int, happened: list[bool]) -> None:
    """Run reconcile, and another before its request of that number."""
    numbers = count()

    def hook(_operation: str, _key: str) -> None:
        if next(numbers) == at:
            happened.append(True)
            system.state.before = system.channel.before = ignore
            system.reconcile()

    system.state.before = system.channel.before = hook
    system.reconcile()
    system.state.before = system.channel.before = ignore


def step_of(system: System) -> str:
    """The message of the first step of a run, which starts at the subdir."""
    report: ReconcileReport = start_run(
        system.reconciler, ReconcileRequest(), time_left_ms=lambda: 0
    )
    assert report.steps["1"].next is not None
    return system.steps.messages.pop(0).body


@pytest.mark.parametrize("death", [ProcessKilled, LostAnswer])
def test_a_step_that_dies_anywhere_ends_when_it_is_delivered_again_and_the_liar_goes(
    death: type[BaseException],
) -> None:
    for at in count():
        system = System(START_MS)
        for filename in (A, B):
            upload(system, filename, stated=FALSE if filename == A else None)
        index(system, A, B)
        system.tick(60)
        body = step_of(system)
        if not dies(system, body, at, death):
            break
        run_step(system.reconciler, body, time_left_ms=lambda: 900_000)
        system.run_until_idle()
        for _ in range(2):
            system.tick(86_400)
            system.reconcile()
        assert indexed(system) == {B}, f"request {at}"
        assert system.reconcile().counts.digests_checked == 0
    assert at > 5


def dies(system: System, body: str, at: int, death: type[BaseException]) -> bool:
    """Run a step that dies at its request of that number; tells whether it made so many."""
    numbers = count()
    died: list[bool] = []

    def hook(_operation: str, _key: str) -> None:
        if next(numbers) == at:
            died.append(True)
            raise death

    system.state.before = system.channel.before = hook
    with suppress(ProcessKilled, Unavailable):
        run_step(system.reconciler, body, time_left_ms=lambda: 900_000)
    system.state.before = system.channel.before = ignore
    return bool(died)


def test_packages_are_hashed_side_by_side(system: System) -> None:
    for filename in ALL:
        upload(system, filename, stated=FALSE if filename in (A, C) else None)
    index(system, *ALL)
    system.reconciler = replace(system.reconciler, executor=in_threads(4))
    assert system.reconcile().counts.digests_false == 2
    assert indexed(system) == {B, D}
