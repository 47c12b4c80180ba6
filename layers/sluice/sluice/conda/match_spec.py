"""Match specs (CEP 29), and the form that they have in records of revision 3 (CEP 48).  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_POSITIONAL = re.compile(r"(?P<name>[\w.-]+)(?P<rest>(?:[\s=<>!~][^:;@#/\"'\\]*)?)", re.ASCII)
_NAME_VERSION_BUILD = re.compile(
    r"(?:=|==(?![^=]*\*))(?P<version>[\w.+!*-]+)=(?P<build>[^\s=]+)", re.ASCII
)
_CLAUSE = re.compile(
    r"(?P<operator>[=!<>~]=|[=<>])?(?P<literal>[\w+-][\w+!-]*(?:\.[\w+!-]+)*)(?P<glob>\.?\*)?",
    re.ASCII,
)
_INSIGNIFICANT_SPACE = re.compile(r"(?<!\s)\s+(?=[,|])|(?<=[,|=<>])\s+")
"""Space that separates nothing.  Starts where a run of it does: linear in whatever is sent us."""
_AND_OR = re.compile(r"([,|])")
_REPEATED_KEY = re.compile(r"(?:^|,)\s*(?:version|build)\s*=")
# One that is never closed ends with the text: else each quote would be searched to there again.
_QUOTED = re.compile(
    r"""
    "(?:[^"\\]|\\.)*(?:"|\\?\Z) |
    '(?:[^'\\]|\\.)*(?:'|\\?\Z)
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class MatchSpec:
    """What a match spec says."""

    name: str
    version: str | None = None
    """Clauses between ``,`` and ``|``: ``==1.2``, ``1.2.*``, or with another operator."""
    build: str | None = None
    keywords: str = ""
    """What stood in brackets."""


def with_bracketed_specs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with every match spec that it depends on or constrains in the one form."""
    named = {
        key: _bracketed_specs(record[key]) for key in ("depends", "constrains") if key in record
    }
    groups = record.get("extra_depends")
    if isinstance(groups, Mapping):
        named["extra_depends"] = {group: _bracketed_specs(specs) for group, specs in groups.items()}
    return {**record, **named}


def _bracketed_specs(specs: Any) -> Any:
    if not isinstance(specs, list):
        return specs
    return [bracketed_spec(spec) if isinstance(spec, str) else spec for spec in specs]


def strip_quoted(text: str) -> str:
    """What is left of a spec's keywords without quoted values."""
    return _QUOTED.sub("", text)


def bracketed_spec(spec: str) -> str:
    """A match spec as its name and keywords alone: ``python >=3`` is ``python[version=">=3"]``.

    One that cannot be read stays as it is.
    """
    parsed = parse_match_spec(spec)
    if parsed is None:
        return spec
    named = {"version": parsed.version, "build": parsed.build}
    values = [f'{key}="{value}"' for key, value in named.items() if value is not None]
    values += [parsed.keywords] if parsed.keywords else []
    return f"{parsed.name}[{','.join(values)}]" if values else parsed.name


def parse_match_spec(spec: str) -> MatchSpec | None:
    """Read a match spec as CEP 29 says; ``None`` for what it leaves open.

    And for what also names a channel, or says a version or a build twice.
    """
    head, bracket, keys = spec.strip().partition("[")
    positional = _POSITIONAL.fullmatch(head.rstrip())
    if not positional or (bracket and not keys.endswith("]")):
        return None
    name, constraint = positional["name"], positional["rest"]
    keywords = keys.removesuffix("]").strip()
    if not constraint:
        return MatchSpec(name, keywords=keywords)
    parts = _version_and_build(constraint)
    if parts is None or _REPEATED_KEY.search(strip_quoted(keywords)):
        return None
    return MatchSpec(name, *parts, keywords=keywords)


def _version_and_build(constraint: str) -> tuple[str, str | None] | None:
    """What follows a name; ``None`` where that is no version with or without a build."""
    exact = _NAME_VERSION_BUILD.fullmatch(constraint)
    if exact:
        version, build = _clause(exact["version"]), exact["build"]
        return (version, build) if version else None
    spec, *build = _INSIGNIFICANT_SPACE.sub("", constraint).split()
    mixed = build and re.match(
        "=[^=]", constraint
    )  # separated by "=" and by a space: CEP 29 forbids it
    clauses = [part if part in ",|" else _clause(part) for part in _AND_OR.split(spec)]
    if mixed or len(build) > 1 or not all(clauses):
        return None
    return "".join(filter(None, clauses)), build[0] if build else None


def _clause(clause: str) -> str | None:
    """One part of a version spec with its operator; ``None`` where it is none."""
    match = _CLAUSE.fullmatch(clause)
    if not match:
        return clause if clause == "*" else None
    if match["operator"] == "=":
        return match["literal"] + (match["glob"] or ".*")
    return clause if match["operator"] or match["glob"] else f"=={clause}"
