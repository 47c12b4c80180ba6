"""The comparison of a listing with the catalog, without any request."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import structs

from sluice.catalog import node
from sluice.catalog.entry import NOT_EXTRACTED, CarriedRecord, Entry, Pin, Record, Reject
from sluice.catalog.tree import EMPTY_TREE, Tree
from sluice.conda.names import package_name
from sluice.extract import extract
from sluice.reconcile.compare import (
    DiffKind,
    FileDifference,
    ReExtractCriteria,
    compare_files,
    suspect_names,
)
from sluice.reconcile.listing import Listing
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag, ObjectInfo
from tests.support.staging_records import A2, START_MS, A, B, C, identity_of

HOUR_MS = 3_600_000
NOW = ReExtractCriteria(START_MS, re_extract=False)
AGAIN = ReExtractCriteria(START_MS, re_extract=True)


def record(body: bytes = b"", *, extractor: int = extract.EXTRACTOR_VERSION) -> Record:
    identity = identity_of(body)
    return Record(identity=identity, extractor=extractor, record={"indexed_timestamp": 1})


def reject(*, extractor: int = extract.EXTRACTOR_VERSION, hours_ago: float = 0) -> Reject:
    at = START_MS - int(hours_ago * HOUR_MS)
    return Reject(identity=identity_of(), extractor=extractor, code="c", sentence="s", at=at)


def pin(*, there: bool = True, extractor: int = extract.EXTRACTOR_VERSION) -> Pin:
    identity = identity_of() if there else None
    return Pin(identity=identity, extractor=extractor, at=1, reason="r")


def kept() -> CarriedRecord:
    return CarriedRecord(identity=None, extractor=NOT_EXTRACTED, bucket="whl", record={})


def listing(files: Mapping[str, bytes]) -> Listing:
    found = Listing()
    for filename, body in files.items():
        one = identity_of(body)
        found.add(filename, ObjectInfo(filename, ETag(one.etag), one.size, one.modified))
    return found


def tree(entries: Mapping[str, Entry]) -> Tree:
    names: dict[str, dict[str, Entry]] = {}
    for filename, entry in entries.items():
        names.setdefault(package_name(filename), {})[filename] = entry
    nodes = {name: node.render_node(name, files, at=1).node for name, files in names.items()}
    return structs.replace(EMPTY_TREE, names=nodes)


def test_a_file_is_missing_changed_or_gone() -> None:
    new, other, same, gone, pinned = (
        f"{name}-1-0.conda" for name in ("new", "other", "same", "gone", "pinned")
    )
    there = {new: identity_of(b"n"), other: identity_of(b"2"), same: identity_of(b"s")}
    known: dict[str, Entry] = {
        other: record(b"1"),
        same: record(b"s"),
        gone: record(),
        pinned: pin(),
    }
    assert list(compare_files(there, known, NOW)) == [
        FileDifference(DiffKind.GONE, gone, None, known[gone]),
        FileDifference(DiffKind.MISSING, new, 1, None),
        FileDifference(DiffKind.CHANGED, other, 1, known[other]),
        FileDifference(DiffKind.GONE, pinned, None, known[pinned]),
    ]


def test_of_files_whose_names_cannot_be_parsed_only_known_ones_that_are_gone_differ() -> None:
    there = {"new.conda": identity_of(b"n"), "other.conda": identity_of(b"2")}
    known: dict[str, Entry] = {"other.conda": record(b"1"), "gone.conda": record()}
    assert list(compare_files(there, known, NOW)) == [
        FileDifference(DiffKind.GONE, "gone.conda", None, known["gone.conda"])
    ]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (identity_of(b"1"), None),
        (structs.replace(identity_of(b"1"), modified=7), None),  # as in the tree's digest
        (structs.replace(identity_of(b"1"), size=7), DiffKind.CHANGED),
        (structs.replace(identity_of(b"1"), etag='"7"'), DiffKind.CHANGED),
    ],
)
def test_an_object_is_another_by_its_etag_or_its_size(
    found: ObjectId, kind: DiffKind | None
) -> None:
    differences = list(compare_files({A: found}, {A: record(b"1")}, NOW))
    assert [one.kind for one in differences] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("entry", "by_itself", "when_asked"),
    [
        (record(), False, False),
        (record(extractor=extract.RECORDS_SINCE - 1), True, True),
        (record(extractor=extract.RECORDS_SINCE), False, False),
        (record(extractor=extract.EXTRACTOR_VERSION + 1), False, False),
        (record(extractor=NOT_EXTRACTED), True, True),
        (reject(), False, True),
        (reject(hours_ago=1000), False, True),
        (reject(extractor=extract.EXTRACTOR_VERSION - 1), True, True),
        (reject(extractor=extract.EXTRACTOR_VERSION + 1), False, True),
        (reject(extractor=NOT_EXTRACTED, hours_ago=0), False, True),
        (reject(extractor=NOT_EXTRACTED, hours_ago=20), False, True),
        (reject(extractor=NOT_EXTRACTED, hours_ago=20.000001), True, True),
        (pin(), False, False),
        (pin(extractor=NOT_EXTRACTED), False, False),
    ],
)
def test_a_verdict_is_passed_again_by_a_newer_extractor_or_when_asked(
    entry: Entry, *, by_itself: bool, when_asked: bool
) -> None:
    there = {A: identity_of()}
    outdated = [FileDifference(DiffKind.OUTDATED, A, 0, entry)]
    assert list(compare_files(there, {A: entry}, NOW)) == outdated * by_itself
    assert list(compare_files(there, {A: entry}, AGAIN)) == outdated * when_asked


def test_a_pin_on_a_file_that_is_not_there_is_no_difference_until_it_comes() -> None:
    known = {A: pin(there=False)}
    assert list(compare_files({}, known, NOW)) == []
    assert list(compare_files({A: identity_of()}, known, NOW)) == [
        FileDifference(DiffKind.CHANGED, A, 0, known[A])
    ]


def test_what_was_kept_of_another_index_is_no_difference_wherever_its_file_is() -> None:
    known: dict[str, Entry] = {"alpha-1.0-py3.whl": kept(), A: record()}
    assert list(compare_files({A: identity_of()}, known, NOW)) == []
    assert suspect_names(listing({A: b""}), tree(known), NOW) == []


def test_names_whose_files_are_as_the_catalog_knows_them_are_not_looked_at() -> None:
    known: dict[str, Entry] = {A: record(b"1"), A2: record(b"2"), B: reject(), C: pin(there=False)}
    same = {A: b"1", A2: b"2", B: b""}
    assert suspect_names(listing(same), tree(known), NOW) == []
    assert suspect_names(listing(same), tree(known), AGAIN) == ["beta"]
    assert suspect_names(listing({**same, A: b"3"}), tree(known), NOW) == ["alpha"]
    assert suspect_names(listing({A: b"1", B: b""}), tree(known), NOW) == ["alpha"]
    assert suspect_names(listing({A: b"1", A2: b"2"}), tree(known), NOW) == ["beta"]
    assert suspect_names(listing({**same, C: b""}), tree(known), NOW) == ["gamma_x"]
    assert suspect_names(listing({**same, "odd.conda": b""}), tree(known), NOW) == []
    assert suspect_names(listing({**same, "delta-1-0.conda": b""}), tree(known), NOW) == ["delta"]


def test_a_name_with_one_outdated_verdict_is_looked_at() -> None:
    known: dict[str, Entry] = {A: record(), A2: record(extractor=NOT_EXTRACTED)}
    assert suspect_names(listing({A: b"", A2: b""}), tree(known), NOW) == ["alpha"]


def test_of_an_older_extractors_names_those_with_rejects_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older = extract.EXTRACTOR_VERSION
    monkeypatch.setattr(extract, "EXTRACTOR_VERSION", older + 1)
    known: dict[str, Entry] = {A: record(extractor=older), B: reject(extractor=older)}
    assert suspect_names(listing({A: b"", B: b""}), tree(known), NOW) == ["beta"]


def test_of_an_empty_subdir_every_name_is_gone_and_of_an_unknown_one_missing() -> None:
    known = tree({A: record(), B: record()})
    assert suspect_names(Listing(), known, NOW) == ["alpha", "beta"]
    assert suspect_names(listing({B: b"", A: b""}), EMPTY_TREE, NOW) == ["alpha", "beta"]
    assert suspect_names(Listing(), EMPTY_TREE, NOW) == []


@pytest.mark.parametrize(
    ("entry", "archived", "kind"),
    [
        (record(), True, DiffKind.ARCHIVED),
        (record(), False, None),
        (structs.replace(reject(), code="archived"), True, None),
        (structs.replace(reject(), code="archived"), False, DiffKind.RESTORED),
        (reject(), True, None),
        (pin(), True, None),
        (record(b"another"), True, DiffKind.CHANGED),
    ],
)
def test_an_object_that_was_archived_or_restored_differs_though_it_is_the_same(
    entry: Entry,
    archived: bool,  # noqa: FBT001 - the two cases
    kind: DiffKind | None,
) -> None:
    objects = {A: identity_of()}
    differences = list(compare_files(objects, {A: entry}, NOW, {A} if archived else ()))
    assert [difference.kind for difference in differences] == ([kind] if kind else [])


@pytest.mark.parametrize("archived", [False, True])
def test_a_name_is_suspect_if_one_of_its_files_was_archived_or_restored(
    archived: bool,  # noqa: FBT001 - the two cases
) -> None:
    listed = Listing()
    one = identity_of()
    archive = "GLACIER" if archived else None
    listed.add(A, ObjectInfo(A, ETag(one.etag), one.size, one.modified, archive=archive))
    rejected = structs.replace(reject(), code="archived")
    assert suspect_names(listed, tree({A: record()}), NOW) == (["alpha"] if archived else [])
    assert suspect_names(listed, tree({A: rejected}), NOW) == ([] if archived else ["alpha"])
