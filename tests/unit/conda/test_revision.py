"""Which records only revision 3 of repodata can hold (CEP 43, 44, 45, 48)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.conda.revision import LEGACY, V3, has_old_condition, required_revision, v3_fields
from sluice.limits import RECORD_BYTES_MAX


@pytest.mark.parametrize(
    "spec",
    [
        "demo[extras=[test]]",
        "demo[extras=test]",
        "demo[ extras = [test] ]",
        'demo[version=">=1", flags=[cuda]]',
        'demo >=2.0[when="python <3"]',
        "demo[when='python <3']",
        "demo[build='^py[0-9]+$',when=x]",
        r'demo[build="a\"]b", when="x"]',
        'demo[flags=[cuda, "blas:*"], version="1"]',
        "demo[version=1,\nwhen=x]",
        "demo; if python <3",
        "demo >=1 ;if python",
    ],
)
@pytest.mark.parametrize("key", ["depends", "constrains"])
def test_a_match_spec_with_a_key_that_older_clients_do_not_know_needs_it(
    key: str, spec: str
) -> None:
    assert required_revision({key: ["python", spec]}) == V3


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "demo",
        "demo >=1,<2 py_*",
        "when =1",
        "extras[version='1']",
        "demo[version='>=1',build=*_cuda]",
        "demo[build='when=1']",
        'demo[build=", flags="]',
        "demo[not-when=x]",
        "conda-forge::demo[flagship=1]",
        "demo;iffy",
        "demo[url='x; if y']",
        "demo[version='1, when=x",
    ],
)
def test_any_other_match_spec_does_not(spec: str) -> None:
    assert required_revision({"depends": [spec], "constrains": [spec]}) == LEGACY


@pytest.mark.parametrize(
    ("record", "revision"),
    [
        ({}, LEGACY),
        ({"extra_depends": {}, "flags": []}, LEGACY),
        ({"extra_depends": {"test": []}}, V3),
        ({"flags": ["cuda"]}, V3),
        ({"repodata_revision": 3}, V3),
        ({"repodata_revision": 0, "schema_version": 2}, LEGACY),
        ({"repodata_revision": 0, "flags": ["cuda"]}, V3),
        ({"schema_version": 3}, V3),
        ({"schema_version": 4}, 4),
        ({"repodata_revision": 7, "schema_version": 3}, 7),
        ({"repodata_revision": None, "schema_version": "3"}, LEGACY),
    ],
)
def test_a_record_needs_what_it_asks_for_or_what_its_fields_need(
    record: dict[str, Any], revision: int
) -> None:
    assert required_revision(record) == revision


def test_the_fields_that_need_it_are_told() -> None:
    record = {
        "constrains": ["a[when=b]"],
        "depends": ["a[extras=b]"],
        "extra_depends": {"a": []},
        "flags": ["a"],
    }
    assert list(v3_fields(record)) == ["extra_depends", "flags", "depends", "constrains"]
    assert not list(v3_fields({"depends": ["a; if b"], "flags": []}))


def test_a_condition_as_it_was_before_is_told_from_what_is_quoted() -> None:
    assert has_old_condition({"depends": ["a", "b >=1; if c"]})
    assert not has_old_condition(
        {"depends": ["a[url='b; if c']", "a; iff", "a;"], "constrains": [7]}
    )


@pytest.mark.parametrize("quote", ['"', "'", '\\"', "\"'", ",", ", ", "[", "; ", ";if", "when "])
def test_a_long_match_spec_is_read_in_one_go(quote: str) -> None:
    for spec in ("demo[x=" + quote * (RECORD_BYTES_MAX // len(quote)), quote * 10_000 + "\\"):
        assert required_revision({"depends": [spec]}) == LEGACY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "constrains",
                "depends",
                "extra_depends",
                "flags",
                "repodata_revision",
                "schema_version",
            ]
        ),
        JSON,
    )
)
def test_a_record_of_any_form_needs_some_revision(record: dict[str, Any]) -> None:
    revision = required_revision(record)
    assert revision == LEGACY or revision >= V3
    assert required_revision(json.loads(json.dumps(record))) == revision
