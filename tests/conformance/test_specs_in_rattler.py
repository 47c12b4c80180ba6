"""Match specs mean the same to rattler after they were rewritten for revision 3 (CEP 48)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rattler import MatchSpec

from sluice.conda.match_spec import bracketed_spec

VERSIONS = st.sampled_from(("1", "1.2", "1.2.*", "2.0a1", "1!3", "*", "2.0+cpu", "1.2_3"))
OPERATORS = st.sampled_from(("", "==", "!=", ">=", "<=", "<", ">", "~=", "="))
BUILDS = st.sampled_from(("h0_0", "*_cuda", "py312*", "*", "3"))
KEYWORDS = st.sampled_from(("", "[build_number=3]", '[build_number=">=2"]'))
SPACE = st.sampled_from(("", " ", "  "))


@st.composite
def clauses(draw: st.DrawFn) -> str:
    version = draw(VERSIONS)
    operator = draw(OPERATORS) if version[-1] != "*" else ""
    return operator + draw(SPACE) * bool(operator) + version


@st.composite
def specs(draw: st.DrawFn) -> str:
    name, keywords = draw(st.sampled_from(("python", "_a.b-c"))), draw(KEYWORDS)
    kind = draw(st.sampled_from(("name", "spaces", "equals")))
    if kind == "name":
        return name + keywords
    if kind == "equals":
        version = draw(VERSIONS)
        between = "=" if "*" in version else draw(st.sampled_from(("=", "==")))
        return f"{name}{between}{version}={draw(BUILDS)}{keywords}"
    version = draw(clauses())
    for one in draw(st.lists(clauses(), max_size=2)):
        version += draw(SPACE) + draw(st.sampled_from((",", "|"))) + draw(SPACE) + one
    # CEP 29: with a build behind it, "=1" is 1.*; rattler takes it for exact.
    fuzzy = version.startswith("=") and not version.startswith("==")
    build = "" if fuzzy else draw(st.one_of(st.just(""), BUILDS.map(" {}".format)))
    return f"{name} {version}{build}{keywords}"


@given(specs())
def test_a_rewritten_spec_means_what_it_meant(spec: str) -> None:
    rewritten = bracketed_spec(spec)
    assert rewritten.isalnum() or rewritten == "_a.b-c" or rewritten.endswith("]")
    assert str(MatchSpec(rewritten)) == str(MatchSpec(spec))
    assert bracketed_spec(rewritten) == rewritten


def test_rattler_takes_a_fuzzy_version_with_a_build_for_exact() -> None:
    """Once this fails, rattler does as CEP 29 says, and nothing is left out above."""
    assert str(MatchSpec("python =1.2 b")) == str(MatchSpec("python ==1.2 b"))
