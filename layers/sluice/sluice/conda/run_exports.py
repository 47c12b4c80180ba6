"""Run exports: what a package or an index says (CEP 12, 21, 34).  Pure.

Whoever builds against a package takes "no run exports" for a fact, so what cannot be read must be
unknown and never ``{}``: builders then ask the package itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GROUPS = ("noarch", "strong", "strong_constrains", "weak", "weak_constrains")
"""The groups of match specs, which all clients read."""
SCHEMA_VERSION = "schema_version"
_SCHEMA_VERSION_MAX = 255


@dataclass(frozen=True, slots=True)
class RunExports:
    """Run exports as far as they can be read."""

    groups: dict[str, Any] | None = None
    """Match specs by group; ``None``: there are none, or they cannot be read."""
    problem: str | None = None
    """Why they cannot be read, as the end of a clause."""


NO_RUN_EXPORTS = RunExports()


def interpret_run_exports(value: object) -> RunExports:
    """Read parsed JSON.  A bare list means ``weak``, and ``null`` that a group is absent (CEP 34).

    Keys that no client knows are left out.
    """
    if isinstance(value, list):
        value = {"weak": value}
    if not isinstance(value, Mapping):
        return RunExports(problem="they are neither an object nor a list")
    groups: dict[str, Any] = {}
    for group in GROUPS:
        specs = value.get(group)
        if specs is None:
            continue
        if not isinstance(specs, list):
            return RunExports(problem=f"{group} is not a list")
        if not all(isinstance(spec, str) for spec in specs):
            return RunExports(problem=f"{group} contains values that are not strings")
        groups[group] = specs
    version = value.get(SCHEMA_VERSION)
    if version is not None:
        if not _is_schema_version(version):
            return RunExports(problem=f"their {SCHEMA_VERSION} is not between 1 and 255")
        groups[SCHEMA_VERSION] = version
    return RunExports(dict(sorted(groups.items())))


def _is_schema_version(value: object) -> bool:
    return (
        isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _SCHEMA_VERSION_MAX
    )
