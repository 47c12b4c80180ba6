"""Match specs (CEP 29), and their form in records of revision 3 (CEP 48).  Pure."""

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
"""Whitespace that separates nothing.  A match begins at the start of a run, so the time is linear
for any input."""
_AND_OR = re.compile(r"([,|])")
_REPEATED_KEY = re.compile(r"(?:^|,)\s*(?:version|build)\s*=")
# An unclosed quote ends with the text; else each quote would be searched to the end again.
_QUOTED = re.compile(
    r"""
    "(?:[^"\\]|\\.)*(?:"|\\?\Z) |
    '(?:[^'\\]|\\.)*(?:'|\\?\Z)
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class MatchSpec:
    """The parts of a match spec."""

    name: str
    version: str | None = None
    """Clauses between ``,`` and ``|``: ``==1.2``, ``1.2.*``, or with another operator."""
    build: str | None = None
    keywords: str = ""
    """The content of the brackets."""


def with_bracketed_specs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with all its match specs in the bracket form."""
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
    """A spec's keywords without quoted values."""
    return _QUOTED.sub("", text)


def bracketed_spec(spec: str) -> str:
    """A match spec as only its name and keywords: ``python >=3`` is ``python[version=">=3"]``.

    An unparsable one stays as it is.
    """
    parsed = parse_match_spec(spec)
    if parsed is None:
        return spec
    named = {"version": parsed.version, "build": parsed.build}
    values = [f'{key}="{value}"' for key, value in named.items() if value is not None]
    values += [parsed.keywords] if parsed.keywords else []
    return f"{parsed.name}[{','.join(values)}]" if values else parsed.name


def parse_match_spec(spec: str) -> MatchSpec | None:
    """Parse a match spec by CEP 29; ``None`` for what the CEP leaves open.

    Also ``None`` if it names a channel, or has a version or a build twice.
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
    """The version and build after a name; ``None`` if they are not valid."""
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
    """One part of a version spec with its operator; ``None`` if it is not valid."""
    match = _CLAUSE.fullmatch(clause)
    if not match:
        return clause if clause == "*" else None
    if match["operator"] == "=":
        return match["literal"] + (match["glob"] or ".*")
    return clause if match["operator"] or match["glob"] else f"=={clause}"
