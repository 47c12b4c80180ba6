"""Match specs as records of revision 3 say them: a name and keywords (CEP 48)."""

from __future__ import annotations

from time import process_time

import pytest

from sluice.conda.match_spec import (
    UNREADABLE,
    bracketed_spec,
    parse_match_spec,
    with_bracketed_specs,
)
from sluice.conda.match_spec_eval import spec_matcher


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("python", "python"),
        ("__unix", "__unix"),
        ("python >=3.11", 'python[version=">=3.11"]'),
        ("python>=3.11", 'python[version=">=3.11"]'),
        ("  r  >= 1 , <2 | 3 ", 'r[version=">=1,<2|==3"]'),
        ("a 1.0", 'a[version="==1.0"]'),
        ("a ==1.0", 'a[version="==1.0"]'),
        ("a=1.0", 'a[version="1.0.*"]'),
        ("a =1.0", 'a[version="1.0.*"]'),
        ("a=1.0.*", 'a[version="1.0.*"]'),
        ("a !=1.0", 'a[version="!=1.0"]'),
        ("a ~=1.0", 'a[version="~=1.0"]'),
        ("a *", 'a[version="*"]'),
        ("a 1!2.0+local", 'a[version="==1!2.0+local"]'),
        ("a 1.0 h0_0", 'a[version="==1.0",build="h0_0"]'),
        ("a ==1.0 h0_0", 'a[version="==1.0",build="h0_0"]'),
        ("a=1.0=h0_0", 'a[version="==1.0",build="h0_0"]'),
        ("a==1.0=h0_0", 'a[version="==1.0",build="h0_0"]'),
        ("a =1.0 h0_0", 'a[version="1.0.*",build="h0_0"]'),
        ("a=1.0.*=h0_*", 'a[version="1.0.*",build="h0_*"]'),
        ("a * *_cuda", 'a[version="*",build="*_cuda"]'),
    ],
)
def test_what_cep_29_lets_one_say_by_position_is_said_by_keyword(spec: str, expected: str) -> None:
    assert bracketed_spec(spec) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ('a >=1[when="__unix"]', 'a[version=">=1",when="__unix"]'),
        ("a 1.0 b[extras=[x, y]]", 'a[version="==1.0",build="b",extras=[x, y]]'),
        ("a [build_number=3]", "a[build_number=3]"),
        ("a >=1[build_number=3]", 'a[version=">=1",build_number=3]'),
        ("a[]", "a"),
        ("""a >=1[when="b, version='2'"]""", """a[version=">=1",when="b, version='2'"]"""),
    ],
)
def test_keywords_stay_behind_what_was_said_by_position(spec: str, expected: str) -> None:
    assert bracketed_spec(spec) == expected


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "*",
        "a*",
        "a[version='>=1']",
        "a >=1[version='>=2']",
        "a 1.0 b[build=c]",
        "a 1.0 b[license=d build=c]",
        "a 1.0 b[license='d' version='c']",
        "a=1.0 b",
        "a 1.0=b",
        "a==1.0.*=b",
        "a 1.0 b c",
        "a ^1.*$",
        "a =1.",
        "a 1.",
        "a =1.*.2",
        "a =1.2.*.",
        "a =*1",
        "a >=1; if __unix",
        "conda-forge::a >=1",
        "conda-forge/linux-64::a",
        'a >="1"',
        "a >=1[when=b",
        "a >=",
        "a >=1,",
        "a ,>=1",
        "a >=1,,<2",
        "a (>=1,<2)|3",
        "a >=1 (optional)",
        "a >=1 # comment",
        "a >=1[build=b] # comment",
        "a[build=b] # comment [x]",
        "a >=1 if b",
        "a[build=b] >=1",
        "space:a >=1",
        "a 1.*.2 b",
        "a >=1=b",
    ],
)
def test_what_cannot_be_said_otherwise_without_doubt_stays_as_it_is(spec: str) -> None:
    assert bracketed_spec(spec) == spec


def test_every_list_of_a_record_is_rewritten_and_nothing_else() -> None:
    record = {
        "name": "a",
        "depends": ["b 1.0", 5],
        "constrains": ["c >=2"],
        "extra_depends": {"test": ["d 1.*"]},
        "summary": "a 1.0",
    }
    assert with_bracketed_specs(record) == {
        "name": "a",
        "depends": ['b[version="==1.0"]', 5],
        "constrains": ['c[version=">=2"]'],
        "extra_depends": {"test": ['d[version="1.*"]']},
        "summary": "a 1.0",
    }
    assert with_bracketed_specs({"depends": None, "extra_depends": []}) == {
        "depends": None,
        "extra_depends": [],
    }


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("a", {}),
        ("a 1.0 b", {"version": "==1.0", "build": "b"}),
        ("a >=2[version='<1']", {"version": "<1"}),
        ("a 1.0 b[build=c]", {"version": "==1.0", "build": "c"}),
        ("a[build=c] 1.0", {"version": "==1.0", "build": "c"}),
        ("a[name=b,channel=c,optional=1,when='x y']", {}),
        ("c::a 1.0", {"version": "==1.0"}),
        ("c/my-label::a", {}),
        ("c/linux-64::a", {"subdir": "linux-64"}),
        ("c/linux-64::a[subdir=noarch]", {"subdir": "noarch"}),
        ("c/linux-64::a[channel=d]", {"subdir": "linux-64"}),
        ("a[channel=d/noarch]", {"subdir": "noarch"}),
        ("a[version='( >= 1 | =0.5 ),!=2']", {"version": "(>=1|0.5.*),!=2"}),
        ("a (1|2) b", {"version": "(==1|==2)", "build": "b"}),
        (r"a[license='it\'s, \"so\"']", {"license": 'it\'s, "so"'}),
        ("a[flags=[x, y], build=b]", {"flags": "[x, y]", "build": "b"}),
        ("a[license='x # y'] # z", {"license": "x # y"}),
        ("a <1 # [version='2']", {"version": "<1"}),
        ("a[build=b and more]", {"build": "b", UNREADABLE: "and more"}),
        ("a[build='b]", {UNREADABLE: "build='b"}),
        ("a ^1.*$ b", {"version": "^1.*$", "build": "b"}),
    ],
)
def test_what_a_spec_asks_of_a_package_is_known_by_field(spec: str, fields: dict[str, str]) -> None:
    parsed = parse_match_spec(spec)
    assert parsed
    assert parsed.name == "a"
    assert parsed.fields == fields


@pytest.mark.parametrize(
    "spec",
    [
        *("", "[version=1]", "c::", "a[version='<1'", "a 1 b c", "a <>1", "a ~~1", "a 1,", "a |1"),
        *("a (1", "a 1)", "a ()", "a (1)(2)", "a[version='1 |']", "a 1/2", "mkl@"),
    ],
)
def test_what_no_client_reads_is_no_spec(spec: str) -> None:
    assert parse_match_spec(spec) is None


@pytest.mark.parametrize(
    "spec",
    [
        *("a " + 100_000 * part for part in ("(", " ", "= ", "1|", "1,(", "'", "#", " if ", ":")),
        *("a[" + 100_000 * part + "]" for part in ("[", "'", '"', "b=", "b=c ", " ", "\\", "x='")),
        *("a " + 100_000 * part for part in ("(optional", "=1", "1 ", "*", "1.*", "[", "]")),
        "a " + "(" * 100_000 + "1" + ")" * 100_000,
        "a[" + "b='c', " * 100_000 + "]",
    ],
    ids=range(26),
)
def test_a_long_spec_is_read_in_one_go(spec: str) -> None:
    started = process_time()
    parsed = parse_match_spec(spec)
    if parsed:
        spec_matcher(parsed)
    assert process_time() - started < 2
