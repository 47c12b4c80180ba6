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
_INSIDE = re.compile(r"(?<!\s)\s+(?=[,|])|(?<=[,|=<>])\s+")
"""Space that separates nothing.  Starts where a run of it does: linear in whatever is sent us."""
_AND_OR = re.compile(r"([,|])")
_SAID_AGAIN = re.compile(r"(?:^|,)\s*(?:version|build)\s*=")
# One that is never closed ends with the text: else each quote would be searched to there again.
_QUOTED = re.compile(
    r"""
    "(?:[^"\\]|\\.)*(?:"|\\?\Z) |
    '(?:[^'\\]|\\.)*(?:'|\\?\Z)
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a match spec says."""

    name: str
    version: str | None = None
    """Clauses between ``,`` and ``|``: ``==1.2``, ``1.2.*``, or with another operator."""
    build: str | None = None
    keywords: str = ""
    """What stood in brackets."""


def with_bracketed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with every match spec that it depends on or constrains in the one form."""
    named = {key: _each(record[key]) for key in ("depends", "constrains") if key in record}
    groups = record.get("extra_depends")
    if isinstance(groups, Mapping):
        named["extra_depends"] = {group: _each(specs) for group, specs in groups.items()}
    return {**record, **named}


def _each(specs: Any) -> Any:
    if not isinstance(specs, list):
        return specs
    return [bracketed(spec) if isinstance(spec, str) else spec for spec in specs]


def without_quoted(text: str) -> str:
    """What is left of a spec's keywords without quoted values."""
    return _QUOTED.sub("", text)


def bracketed(spec: str) -> str:
    """A match spec as its name and keywords alone: ``python >=3`` is ``python[version=">=3"]``.

    One that cannot be read stays as it is.
    """
    read = parse(spec)
    if read is None:
        return spec
    named = {"version": read.version, "build": read.build}
    values = [f'{key}="{value}"' for key, value in named.items() if value is not None]
    values += [read.keywords] if read.keywords else []
    return f"{read.name}[{','.join(values)}]" if values else read.name


def parse(spec: str) -> Spec | None:
    """Read a match spec as CEP 29 says; ``None`` for what it leaves open.

    And for what also names a channel, or says a version or a build twice.
    """
    head, bracket, keys = spec.strip().partition("[")
    positional = _POSITIONAL.fullmatch(head.rstrip())
    if not positional or (bracket and not keys.endswith("]")):
        return None
    name, rest = positional["name"], positional["rest"]
    keywords = keys.removesuffix("]").strip()
    if not rest:
        return Spec(name, keywords=keywords)
    parts = _version_and_build(rest)
    if parts is None or _SAID_AGAIN.search(without_quoted(keywords)):
        return None
    return Spec(name, *parts, keywords=keywords)


def _version_and_build(rest: str) -> tuple[str, str | None] | None:
    """What follows a name; ``None`` where that is no version with or without a build."""
    exact = _NAME_VERSION_BUILD.fullmatch(rest)
    if exact:
        version, build = _clause(exact["version"]), exact["build"]
        return (version, build) if version else None
    spec, *build = _INSIDE.sub("", rest).split()
    mixed = build and re.match("=[^=]", rest)  # separated by "=" and by a space: CEP 29 forbids it
    clauses = [part if part in ",|" else _clause(part) for part in _AND_OR.split(spec)]
    if mixed or len(build) > 1 or not all(clauses):
        return None
    return "".join(filter(None, clauses)), build[0] if build else None


def _clause(clause: str) -> str | None:
    """One part of a version spec with its operator; ``None`` where it is none."""
    found = _CLAUSE.fullmatch(clause)
    if not found:
        return clause if clause == "*" else None
    if found["operator"] == "=":
        return found["literal"] + (found["glob"] or ".*")
    return clause if found["operator"] or found["glob"] else f"=={clause}"
