"""``repodata.json``: rendered, read back and spliced, byte for byte."""

from __future__ import annotations

import msgspec
import pytest

from sluice.catalog.leaf import Entries, Record, Reject
from sluice.errors import Corrupt
from sluice.publish import repodata
from sluice.publish.fence import Stamp
from sluice.publish.repodata import Records
from tests.support.staged import A2, A, B, identity_of

STAMP = Stamp(3, "ab" * 32, "me")
REJECT = Reject(identity=identity_of(), extractor=1, code="c", sentence="s", at=1)


def record(**fields: object) -> Record:
    """An entry with these fields in its record."""
    return Record(identity=identity_of(), extractor=1, record=fields)


def raw(**records: str) -> Records:
    """Records as raw JSON."""
    return {name: msgspec.Raw(text.encode()) for name, text in records.items()}


def render(records: Records) -> bytes:
    """Render."""
    return repodata.render(records, subdir="linux-64", stamp=STAMP)


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


def test_records_are_read_back_as_they_stand() -> None:
    records = raw(a='{"b": "\\u00e9",  "a":1.50}', b='{"é":[]}')
    assert {name: bytes(text) for name, text in repodata.read(render(records)).items()} == {
        name: bytes(text) for name, text in records.items()
    }


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"packages":{}}', b'{"packages":{},"packages.conda":[]}', b"\xff"]
)
def test_what_is_not_such_an_index_is_corrupt(body: bytes) -> None:
    with pytest.raises(Corrupt, match="not a repodata"):
        repodata.read(body)


def test_a_record_is_serialised_with_sorted_keys_at_every_depth_and_rejects_are_left_out() -> None:
    entries: Entries = {B: record(b={"y": 1, "x": "é"}, a=[1]), A: REJECT}
    assert {name: bytes(text) for name, text in repodata.raw_records(entries).items()} == {
        B: '{"a":[1],"b":{"x":"é","y":1}}'.encode()
    }


def test_splicing_replaces_adds_and_drops_and_leaves_the_rest_alone() -> None:
    before: Entries = {A: record(n=1), A2: record(n=2)}
    after: Entries = {A: record(n=9), "alpha-3.0-0.conda": record(n=3), A2: REJECT}
    kept = repodata.raw_records({B: record(n=7)})
    records = {**repodata.raw_records(before), **kept}
    assert render(repodata.splice(records, [(before, after)])) == render(
        {**repodata.raw_records(after), **kept}
    )
    assert set(records) == {A, A2, B}


def test_splicing_nothing_changes_nothing() -> None:
    records = raw(a="{}")
    assert repodata.splice(records, []) == records
    assert repodata.splice(records, [({}, {})]) == records
