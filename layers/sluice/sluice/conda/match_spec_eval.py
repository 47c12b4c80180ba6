"""The evaluation of match specs for versions and builds (CEP 29).  Pure.

``!=1.2`` excludes only that version, as in conda and rattler; the CEP excludes a series.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial

from sluice.conda.match_spec import MatchSpec
from sluice.conda.record_fields import is_version
from sluice.conda.version import Version

Matcher = Callable[[Version, str], bool]
"""Returns whether a version and a build match."""
_VersionTest = Callable[[Version], bool]

_NO_GLOB = re.compile(r"[\[?]")
"""Special characters of ``fnmatch`` that match specs use literally."""
_CLAUSE = re.compile(r"(?P<operator>[=!<>~]=|[<>]|)(?P<version>[^*]*)(?P<glob>\*?)")


def spec_matcher(spec: MatchSpec) -> Matcher:
    """The matcher of ``spec`` for versions and builds.

    Keywords in brackets, regular expressions, and a ``*`` within a version are not evaluated.
    """
    alternatives = [
        [_clause(clause) for clause in clauses.split(",")]
        for clauses in (spec.version or "*").split("|")
    ]
    build = (spec.build or "*").lower()
    if build.startswith("^"):
        build = "*"
    pattern = _NO_GLOB.sub(r"[\g<0>]", build)

    def matches(version: Version, of_build: str) -> bool:
        return fnmatchcase(of_build.lower(), pattern) and any(
            all(clause(version) for clause in together) for together in alternatives
        )

    return matches


def _clause(text: str) -> _VersionTest:
    match = _CLAUSE.fullmatch(text)
    literal = match["version"].removesuffix(".").lower() if match else ""
    if not match or not is_version(literal):
        return _any_version
    bound, operator = Version(literal), match["operator"]
    if match["glob"] and operator in ("", "==", "!="):
        return partial(_is_in_series, bound, expected=operator != "!=")
    if operator == "~=":
        series = literal.rpartition(".")[0]
        return partial(_is_compatible, bound, Version(series) if is_version(series) else None)
    return partial(_COMPARE[operator or "=="], bound)


def _any_version(_version: Version) -> bool:
    return True


def _is_in_series(series: Version, version: Version, *, expected: bool) -> bool:
    return version.starts_with(series) is expected


def _is_compatible(minimum: Version, series: Version | None, version: Version) -> bool:
    return version >= minimum and (series is None or version.starts_with(series))


_COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    "==": lambda bound, version: version == bound,
    "!=": lambda bound, version: version != bound,
    ">=": lambda bound, version: version >= bound,
    "<=": lambda bound, version: version <= bound,
    ">": lambda bound, version: version > bound,
    "<": lambda bound, version: version < bound,
}
