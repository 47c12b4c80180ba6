"""A package for match specs, of no record."""

from __future__ import annotations

from typing import Any

from sluice.conda.match_spec import parse_match_spec
from sluice.conda.match_spec_eval import Match, spec_matcher
from sluice.conda.version import Version


class MadeUpCandidate:
    """A package with the given fields."""

    def __init__(self, version: str, build: str = "h0_0", **fields: Any) -> None:
        self.version = Version(version)
        self.build = build
        self._fields = {**fields, "version": version, "build": build}

    def field(self, key: str) -> Any:
        return self._fields.get(key)


def match_of(spec: str, candidate: MadeUpCandidate) -> Match:
    """Whether a valid spec asks for a package."""
    parsed = parse_match_spec(spec)
    assert parsed, spec
    return spec_matcher(parsed)(candidate)
