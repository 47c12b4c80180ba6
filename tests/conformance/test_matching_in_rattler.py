"""A match spec asks for the packages that rattler finds it to ask for, however it is written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rattler import MatchSpec, PackageRecord
from rattler.package import BuildString

from sluice.conda.match_spec_eval import Match
from tests.support.candidate import MadeUpCandidate, match_of

VERSIONS = ("1", "1.0", "1.2", "1.2.1", "1.2rc1", "1.20", "2.0a1", "2", "1!1", "1.2+a", "1.2.post1")
OPERATORS = ("", "==", "!=", ">=", "<=", "<", ">")
clauses = st.one_of(
    st.builds("{}{}".format, st.sampled_from(OPERATORS), st.sampled_from(VERSIONS)),
    st.builds("{}{}.*".format, st.sampled_from(("", "!=")), st.sampled_from(VERSIONS)),
    st.sampled_from(("*", "~=1.2.1", "~=1.2", "=1.2")),
)
specs = st.lists(
    st.lists(clauses, min_size=1, max_size=2).map(",".join), min_size=1, max_size=2
).map("|".join)
builds = st.sampled_from(("", " h0_0", " *_0", " h*"))


@given(specs, builds, st.sampled_from(VERSIONS), st.sampled_from(("h0_0", "h0_1", "g_0")))
def test_a_spec_asks_for_what_rattler_finds(
    versions: str, build: str, version: str, of_build: str
) -> None:
    fuzzy = build and versions.startswith("=1")  # rattler takes it for exact then
    spec = f"a {'1.2.*' if fuzzy else versions}{build}"
    record = PackageRecord("a", version, BuildString(of_build), 0, "linux-64")
    found = match_of(spec, MadeUpCandidate(version, of_build))
    assert found == (Match.YES if MatchSpec(spec).matches(record) else Match.NO), spec


BRACKETED = (
    *("[version='{0}']", '[version="{0}"]', "[ version = '{0}' ]", " >=2[version='{0}']"),
    *(" 7 x[version='{0}', build=*]", "[build='*',version='{0}']", " ({0})", " ({0}) h*"),
    *(" {0} # comment", "[version='{0}'] # [x]", "[version='({0}),*']", " ({0}),(*|1)"),
)
PREFIXES = ("", "conda-forge::", "conda-forge/linux-64::", "https://example.com/c::", "ns:")


@given(st.sampled_from(PREFIXES), st.sampled_from(BRACKETED), specs, st.sampled_from(VERSIONS))
def test_so_it_does_in_brackets_in_parentheses_and_behind_a_channel(
    prefix: str, form: str, versions: str, version: str
) -> None:
    spec = f"{prefix}a{form.format(versions)}"
    record = PackageRecord("a", version, BuildString("h0_0"), 0, "linux-64")
    found = match_of(spec, MadeUpCandidate(version, subdir="linux-64"))
    assert found == (Match.YES if MatchSpec(spec).matches(record) else Match.NO), spec


@given(
    st.sampled_from(("a {0}={1}", "a={0}={1}", "a=={0}={1}", "a[version='=={0}',build='{1}']")),
    st.sampled_from(VERSIONS),
    st.sampled_from(("h0_0", "*_0", "h*", "*")),
    st.sampled_from(VERSIONS),
    st.sampled_from(("h0_0", "h0_1", "g_0")),
)
def test_so_it_does_with_a_build(
    form: str, of_spec: str, build: str, version: str, of_build: str
) -> None:
    spec = form.format(of_spec, build)
    record = PackageRecord("a", version, BuildString(of_build), 0, "linux-64")
    found = match_of(spec, MadeUpCandidate(version, of_build))
    assert found == (Match.YES if MatchSpec(spec).matches(record) else Match.NO), spec


@given(
    st.sampled_from(("", "==", "!=", ">=", "<=", ">", "<")), st.integers(0, 3), st.integers(0, 3)
)
def test_so_it_does_with_a_build_number(operator: str, asked: int, number: int) -> None:
    spec = f"a[build_number='{operator}{asked}']"
    record = PackageRecord("a", "1", BuildString("h0_0"), number, "linux-64")
    found = match_of(spec, MadeUpCandidate("1", build_number=number))
    assert found == (Match.YES if MatchSpec(spec).matches(record) else Match.NO), spec
