"""A match spec asks for the versions and builds that rattler finds it to ask for."""

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
