"""Match specs as records of revision 3 say them: a name and keywords (CEP 48)."""

from __future__ import annotations

import pytest

from sluice.conda.match_spec import bracketed_spec, with_bracketed_specs


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
