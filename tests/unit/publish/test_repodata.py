"""``repodata.json``: rendered, read back and spliced, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from sluice.catalog.client_view import NO_RULES, render_view
from sluice.catalog.entry import CarriedRecord, Entries, Pin, Record, Reject
from sluice.errors import Corrupt
from sluice.publish import repodata
from sluice.publish.fence import Stamp
from sluice.publish.repodata import Records, RepodataContents
from tests.support.staging_records import A2, A, B, identity_of

STAMP = Stamp(3, "ab" * 32, "me")
REJECT = Reject(identity=identity_of(), extractor=1, code="c", sentence="s", at=1)
PIN = Pin(identity=None, extractor=0, at=1, reason="withdrawn")


def record(**fields: object) -> Record:
    """An entry with these fields in its record."""
    return Record(identity=identity_of(), extractor=1, record=fields)


def raw(**records: str) -> Records:
    """Records as raw JSON."""
    return {name: msgspec.Raw(text.encode()) for name, text in records.items()}


def render(records: Records, *removed: str, **info: Any) -> bytes:
    """Render."""
    contents = RepodataContents(records, set(removed))
    return repodata.render_repodata(contents, info=info, subdir="linux-64", stamp=STAMP)


def contents_of(leaves: Iterable[Entries]) -> RepodataContents:
    contents = RepodataContents()
    for entries in leaves:
        contents.add(render_view(entries, NO_RULES))
    return contents


def texts(contents: RepodataContents) -> dict[str, bytes]:
    """The records, to be compared."""
    return {name: bytes(text) for name, text in contents.records.items()}


def test_an_index_is_what_cep_36_says_with_the_stamp_in_a_key_that_clients_ignore() -> None:
    records = {B: msgspec.Raw(b'{"n":2}'), A2: msgspec.Raw(b'{"n":1}'), A: msgspec.Raw(b"{}")}
    assert render(records) == (
        b'{"info":{"subdir":"linux-64"},'
        b'"packages":{"alpha-2.0-0.tar.bz2":{"n":1}},'
        b'"packages.conda":{"alpha-1.0-0.conda":{},"beta-1.0-py312_0.conda":{"n":2}},'
        b'"removed":[],"repodata_version":1,'
        b'"sluice":{"generation":3,"tree":"' + b"ab" * 32 + b'"}}'
    )


def test_an_empty_index_is_valid() -> None:
    assert render({}).startswith(
        b'{"info":{"subdir":"linux-64"},"packages":{},"packages.conda":{},"removed":[],'
    )


def test_what_a_channel_says_of_itself_stands_in_info_sorted_at_every_depth() -> None:
    assert render({}, z={"b": 1, "a": [{"d": 2, "c": "é"}]}, subdir="ours comes first").startswith(
        '{"info":{"subdir":"linux-64","z":{"a":[{"c":"é","d":2}],"b":1}},'.encode()
    )
    assert b'"repodata_version":1,' in render({}, base_url="")


def test_an_index_with_a_base_url_is_of_version_2() -> None:
    """CEP 15."""
    body = render({}, base_url="https://cdn/")
    assert body.startswith(b'{"info":{"base_url":"https://cdn/","subdir":"linux-64"},')
    assert b'"repodata_version":2,' in body


def test_files_that_are_kept_out_on_purpose_are_listed_in_order() -> None:
    assert b'"removed":["alpha-1.0-0.conda","beta-1.0-py312_0.conda"],' in render({}, B, A)


def test_an_index_is_read_back_as_it_stands() -> None:
    records = raw(a='{"b": "\\u00e9",  "a":1.50}', b='{"é":[]}')
    found = repodata.decode_repodata(render(records, B))
    assert texts(found) == texts(RepodataContents(records, set()))
    assert found.removed == {B}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"packages":{},"removed":[]}',
        b'{"packages":{},"packages.conda":{}}',
        b'{"packages":{},"packages.conda":[],"removed":[]}',
        b"\xff",
    ],
)
def test_what_is_not_such_an_index_is_corrupt(body: bytes) -> None:
    with pytest.raises(Corrupt, match="not a repodata"):
        repodata.decode_repodata(body)


def test_a_record_is_serialised_with_sorted_keys_at_every_depth_and_rejects_are_left_out() -> None:
    contents = contents_of([{B: record(b={"y": 1, "x": "é"}, a=[1]), A: REJECT}])
    assert texts(contents) == {B: '{"a":[1],"b":{"x":"é","y":1}}'.encode()}
    assert contents.removed == set()


def test_pins_are_what_was_removed() -> None:
    assert contents_of([{A: PIN}, {B: PIN, A2: REJECT}]) == RepodataContents({}, {A, B})


def test_dropping_and_adding_leaves_all_other_names_alone() -> None:
    before: Entries = {A: record(n=1), A2: record(n=2), "alpha-4.0-0.conda": PIN}
    after: Entries = {A: record(n=9), "alpha-3.0-0.conda": PIN, A2: REJECT}
    rest: Entries = {B: record(n=7), "beta-2.0-0.conda": PIN}
    contents = contents_of([before, rest])
    contents.drop(before)
    contents.add(render_view(after, NO_RULES))
    expected = contents_of([after, rest])
    assert (texts(contents), contents.removed) == (texts(expected), expected.removed)


def test_records_of_revision_3_stand_in_their_buckets_and_leave_no_empty_one() -> None:
    new: Entries = {A: record(extra_depends={"gpu": ["cuda"]})}
    wheel: Entries = {
        "x-1-py3-none-any.whl": CarriedRecord(
            identity=None, extractor=0, bucket="whl", record={"name": "x"}
        )
    }
    contents = contents_of([new, wheel])
    assert {bucket: list(of) for bucket, of in contents.v3.items()} == {
        "conda": [A.removesuffix(".conda")],
        "whl": ["x-1-py3-none-any"],
    }
    read = repodata.decode_repodata(
        repodata.render_repodata(contents, info={}, subdir="noarch", stamp=STAMP)
    )
    assert (read.records, read.removed, read.v3) == (contents.records, set(), contents.v3)
    contents.drop(new)
    assert list(contents.v3) == ["whl"]
    contents.drop(wheel)
    assert b'"v3"' not in repodata.render_repodata(contents, info={}, subdir="noarch", stamp=STAMP)
