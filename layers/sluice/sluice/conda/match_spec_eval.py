"""The evaluation of match specs for packages (CEP 29).  Pure.

``!=1.2`` excludes only that version, as in conda and rattler; the CEP excludes a series.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import IntEnum
from fnmatch import translate
from functools import partial
from typing import Any, Protocol

from sluice.conda.match_spec import MatchSpec
from sluice.conda.record_fields import is_string_list, is_version
from sluice.conda.version import Version


class Match(IntEnum):
    """Whether a package is one that a match spec asks for."""

    NO = 0
    MAYBE = 1
    """The spec asks for something that is not evaluated here, or that clients read differently."""
    YES = 2


class MatchCandidate(Protocol):
    """A package that a match spec may ask for."""

    @property
    def version(self) -> Version:
        """Its version."""

    @property
    def build(self) -> str:
        """Its build string."""

    def field(self, key: str) -> Any:
        """The value of any field of its record, and its filename as ``fn``; ``None`` if absent."""


Matcher = Callable[[MatchCandidate], Match]
_Test = Matcher
_VersionMatch = Callable[[Version], Match]

_NESTING_MAX = 16
"""Parentheses in parentheses that are evaluated."""
_STARS_MAX = 16
"""Asterisks of a glob that is evaluated: each one makes every comparison longer."""
_NO_GLOB = re.compile(r"[\[?]")
"""Special characters of ``fnmatch`` that match specs use literally."""
_CLAUSE = re.compile(r"(?P<operator>[=!<>~]=|[=<>]|)(?P<version>[^*]*)(?P<glob>\*?)")
_PARTS = re.compile(r"[^,|()]+|[,|()]")
_TEXT_FIELDS = ("fn", "license", "license_family", "md5", "sha256", "subdir")
_FEATURE_FIELDS = ("features", "track_features")


def spec_matcher(spec: MatchSpec, *, strict: bool = False) -> Matcher:
    """The matcher of ``spec``; it does not compare names.

    With ``strict`` it takes ``spec.stricter_version``.  Regular expressions and keys that are no
    fields of a package are not evaluated.
    """
    fields = dict(spec.fields)
    if strict and spec.stricter_version is not None:
        fields["version"] = spec.stricter_version
    tests = [_field_test(key, value) for key, value in fields.items()]
    if len(tests) == 1:
        return tests[0]
    return partial(_all_of, tests)


def _all_of(tests: list[_Test], candidate: MatchCandidate) -> Match:
    result = Match.YES
    for test in tests:
        match = test(candidate)
        if match is Match.NO:
            return match
        if match is Match.MAYBE:
            result = match
    return result


def _any_of(tests: list[_Test], candidate: MatchCandidate) -> Match:
    return max(test(candidate) for test in tests)


def _maybe(_candidate: MatchCandidate) -> Match:
    return Match.MAYBE


def _yes(_candidate: MatchCandidate) -> Match:
    return Match.YES


def _field_test(key: str, value: str) -> _Test:
    if key == "version":
        return _version_test(value)
    if key == "build":
        return _build_test(value)
    if key == "build_number":
        return _build_number_test(value)
    if key in _TEXT_FIELDS:
        return partial(_matches_text, key, _text_match(value))
    if key in _FEATURE_FIELDS:
        return partial(_has_features, key, frozenset(_features(value)))
    return partial(_has_filename_of, value) if key == "url" else _maybe


def _version_test(text: str) -> _Test:
    parts = _PARTS.findall(text)
    depth = deepest = 0
    for part in parts:
        depth += {"(": 1, ")": -1}.get(part, 0)
        deepest = max(deepest, depth)
    if "^" in text or deepest > _NESTING_MAX:
        return _maybe
    clauses = sum(part not in {",", "|", "(", ")"} for part in parts)
    return _alternatives(iter(parts), alone=clauses == 1)


def _alternatives(parts: Iterator[str], *, alone: bool) -> _Test:
    """The test of clauses up to the end, or to the parenthesis that closes them."""
    alternatives: list[list[_Test]] = [[]]
    for part in parts:
        if part == ")":
            break
        if part == "|":
            alternatives.append([])
        elif part == "(":
            alternatives[-1].append(_alternatives(parts, alone=alone))
        elif part != ",":
            alternatives[-1].append(_clause(part, alone=alone))
    together = [tests[0] if len(tests) == 1 else partial(_all_of, tests) for tests in alternatives]
    return together[0] if len(together) == 1 else partial(_any_of, together)


def _clause(text: str, *, alone: bool) -> _Test:
    if text == "*":
        return _yes
    if "*" in text.rstrip("*"):
        return _glob_clause(text)
    return partial(_matches_version, _version_match(text, alone=alone))


def _glob_clause(text: str) -> _Test:
    """``1.*.3`` is matched with the text of the version."""
    return _maybe if text[0] in "=!<>~" else partial(_matches_text, "version", _text_match(text))


def _matches_version(matches: _VersionMatch, candidate: MatchCandidate) -> Match:
    return matches(candidate.version)


def _version_match(text: str, *, alone: bool) -> _VersionMatch:
    match = _CLAUSE.fullmatch(text)
    literal = match["version"].lower() if match else ""
    has_dot, literal = literal.endswith("."), literal.removesuffix(".")
    literal = literal if "_" in literal else literal.replace("-", "_")  # as conda reads it
    if not match or not is_version(literal):
        return _any_version
    bound, operator, glob = Version(literal), match["operator"], match["glob"]
    if operator == "~=" and not glob:
        series = literal.rpartition(".")[0]
        return partial(_is_compatible, bound, Version(series) if is_version(series) else None)
    if glob and (operator in ("", "=") or (operator == "==" and alone)):
        return partial(_is_in_series, bound)
    if glob and (not has_dot or operator in ("==", "~=")):
        return _any_version  # clients disagree about these
    return partial((_COMPARE_SERIES if glob else _COMPARE)[operator or "=="], bound)


def _any_version(_version: Version) -> Match:
    return Match.MAYBE


def _is_in_series(series: Version, version: Version) -> Match:
    return _certain(version.starts_with(series))


def _is_compatible(minimum: Version, series: Version | None, version: Version) -> Match:
    return _certain(version >= minimum and (series is None or version.starts_with(series)))


def _certain(matches: bool) -> Match:  # noqa: FBT001 - the answer of a comparison
    return Match.YES if matches else Match.NO


_Compare = Callable[[Version, Version], Match]
_ORDER: dict[str, _Compare] = {
    ">=": lambda bound, version: _certain(version >= bound),
    "<=": lambda bound, version: _certain(version <= bound),
    ">": lambda bound, version: _certain(version > bound),
    "<": lambda bound, version: _certain(version < bound),
}
_COMPARE: dict[str, _Compare] = {
    **_ORDER,
    "=": _is_in_series,
    "==": lambda bound, version: _certain(version == bound),
    "!=": lambda bound, version: _certain(version != bound),
}
_COMPARE_SERIES: dict[str, _Compare] = {
    **_ORDER,
    "!=": lambda series, version: _certain(not version.starts_with(series)),
}
"""For a glob behind the operator: ``>=1.2.*`` is ``>=1.2``."""


def _text_match(expression: str) -> Callable[[str], Match]:
    """The match of a string (CEP 29); one that differs in case may match, for conda's does not."""
    if expression.startswith("^") or expression.count("*") > _STARS_MAX:
        return lambda _text: Match.MAYBE
    pattern = translate(_NO_GLOB.sub(r"[\g<0>]", expression))
    exact, folded = re.compile(pattern).match, re.compile(pattern, re.IGNORECASE).match

    def match(text: str) -> Match:
        if not folded(text):  # most do not match
            return Match.NO
        return Match.YES if exact(text) else Match.MAYBE

    return match


def _build_test(expression: str) -> _Test:
    match = _text_match(expression)
    return lambda candidate: match(candidate.build)


def _matches_text(key: str, match: Callable[[str], Match], candidate: MatchCandidate) -> Match:
    value = candidate.field(key)
    return match(value) if isinstance(value, str) else Match.NO


def _build_number_test(expression: str) -> _Test:
    clause = "".join(expression.split())
    match = _version_match(clause, alone=True) if clause != "*" else lambda _version: Match.YES

    def matches(candidate: MatchCandidate) -> Match:
        number = candidate.field("build_number")
        return match(Version(str(number if isinstance(number, int) else 0)))

    return matches


def _features(value: Any) -> list[str]:
    if is_string_list(value):
        return value
    return value.replace(",", " ").split() if isinstance(value, str) else []


def _has_features(key: str, features: frozenset[str], candidate: MatchCandidate) -> Match:
    return _certain(frozenset(_features(candidate.field(key))) == features)


def _has_filename_of(url: str, candidate: MatchCandidate) -> Match:
    if "*" in url or url.startswith("^"):
        return Match.MAYBE
    return _certain(url.rpartition("/")[2] == candidate.field("fn"))
