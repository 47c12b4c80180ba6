"""Which versions and builds a match spec asks for."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.conda.match_spec_eval import Match
from tests.support.candidate import MadeUpCandidate, match_of


def matches(spec: str, version: str, build: str = "h0_0") -> bool:
    return match_of(spec, MadeUpCandidate(version, build)) is not Match.NO


@pytest.mark.parametrize(
    ("spec", "those", "not_those"),
    [
        ("a", "0 1 2rc1", ""),
        ("a *", "0 1 2rc1", ""),
        ("a 1.2", "1.2 1.2.0", "1.2.1 1.2rc1"),
        ("a =1.2", "1.2 1.2.9 1.2rc1", "1.20 1.3"),
        ("a 1.2.*", "1.2 1.2.9", "1.20 1.3"),
        ("a 1.2*", "1.2 1.2.9", "1.3"),
        ("a !=1.2", "1.2.1 1.3", "1.2 1.2.0"),
        ("a !=1.2.*", "1.3 1.1", "1.2 1.2.1"),
        ("a >=1.2", "1.2 1.10", "1.1 1.2rc1"),
        ("a >=1.2.*", "1.2 1.10", "1.1"),
        ("a >1.2", "1.2.1", "1.2"),
        ("a <=1.2", "1.2 1.2rc1", "1.2.1"),
        ("a <1.2", "1.1 1.2rc1", "1.2"),
        ("a ~=1.2.3", "1.2.3 1.2.9", "1.2.2 1.3"),
        ("a ~=1", "1 2", "0.9"),
        ("a >=1,<2|3.*", "1 1.9 3.1", "0 2 4"),
        ("a 1!1", "1!1", "1"),
    ],
)
def test_versions_are_asked_for_as_clients_ask(spec: str, those: str, not_those: str) -> None:
    assert [version for version in those.split() if not matches(spec, version)] == []
    assert [version for version in not_those.split() if matches(spec, version)] == []


@pytest.mark.parametrize(
    ("build", "those", "not_those"),
    [
        ("h0_0", "h0_0 H0_0", "h0_1"),
        ("*_cuda", "0_cuda", "0_cuda1"),
        ("py3*_1", "py311_1", "py311_0"),
        ("a?c", "a?c", "abc"),
        ("^h.*$", "anything", ""),
    ],
)
def test_builds_are_asked_for_by_name_or_glob(build: str, those: str, not_those: str) -> None:
    spec = f"a 1.* {build}"
    assert [one for one in those.split() if not matches(spec, "1", one)] == []
    assert [one for one in not_those.split() if matches(spec, "1", one)] == []


@pytest.mark.parametrize("spec", ["a >=" + "9" * 5000, "a ~=1_x"])
def test_a_version_that_cannot_be_read_asks_for_any(spec: str) -> None:
    assert matches(spec, "7")


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("a 1.2 h0_0", Match.YES),
        ("a 1.2 H0_0", Match.MAYBE),  # conda compares case
        ("a 1.2 g*", Match.NO),
        ("a (1.2|3),<2", Match.YES),
        ("a (1.3|3),<2", Match.NO),
        ("a 1.2|^3$", Match.MAYBE),
        ("a 1.3[build='^h.*$']", Match.NO),
        ("a[build='^h.*$']", Match.MAYBE),
        ("a 1.*.3", Match.NO),
        ("a 1*2", Match.YES),
        ("a >=1,==1.2.*", Match.MAYBE),  # exact in conda
        ("a <1.2*", Match.MAYBE),
        ("a 1.0.0.*", Match.NO),
        ("a 1.2.0.0.*", Match.YES),
        ("a =1-2", Match.YES),
        ("a =1-3", Match.NO),
        ("a ^(1|2)$|3", Match.MAYBE),
        ("a " + "1*" * 17, Match.MAYBE),
        ("a * " + "h*" * 17, Match.MAYBE),
        ("a[build_number=3]", Match.YES),
        ("a[build_number='>3']", Match.NO),
        ("a[build_number='*']", Match.YES),
        ("a[license='bsd*']", Match.MAYBE),
        ("a[license=MIT]", Match.NO),
        ("a[md5=ab]", Match.NO),
        ("a[track_features='y x']", Match.YES),
        ("a[track_features=x]", Match.NO),
        ("a[features=x]", Match.NO),
        ("a[fn=a-1.2-h0_0.conda]", Match.YES),
        ("a[url='https://example.com/a-1.2-h0_0.conda']", Match.YES),
        ("a[url='https://example.com/a-1.3-h0_0.conda']", Match.NO),
        ("a[url='https://*']", Match.MAYBE),
        ("a[nobody=knows]", Match.MAYBE),
        ("a 7[nobody=knows]", Match.NO),
        ("a " + "(" * 17 + "1.2" + ")" * 17, Match.MAYBE),
        ("a " + "(" * 16 + "1.2" + ")" * 16, Match.YES),
    ],
)
def test_every_field_that_a_spec_names_is_compared(spec: str, match: Match) -> None:
    fields: dict[str, Any] = {
        "build_number": 3,
        "license": "BSD-3-Clause",
        "track_features": ["x", "y"],
    }
    package = MadeUpCandidate("1.2", fn="a-1.2-h0_0.conda", **fields)
    assert match_of(spec, package) is match
