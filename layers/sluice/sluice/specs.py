"""The form that match specs have in records of revision 3 (CEP 48).  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_POSITIONAL = re.compile(r"(?P<name>[\w.-]+)(?P<rest>(?:[\s=<>!~][^:;@#/\"'\\]*)?)", re.ASCII)
_NAME_VERSION_BUILD = re.compile(
    r"(?:=|==(?![^=]*\*))(?P<version>[\w.+!*-]+)=(?P<build>[^\s=]+)", re.ASCII
)
_CLAUSE = re.compile(r"(?P<operator>[=!<>~]=|[=<>])?(?P<version>[\w.+*-][\w.+!*-]*)", re.ASCII)
_INSIDE = re.compile(r"(?<!\s)\s+(?=[,|])|(?<=[,|=<>])\s+")
"""Space that separates nothing.  Starts where a run of it does: linear in whatever is sent us."""
_AND_OR = re.compile(r"([,|])")
_SAID_AGAIN = re.compile(r"(?:^|,)\s*(?:version|build)\s*=")


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


def bracketed(spec: str) -> str:
    """A match spec as its name and keywords alone: ``python >=3`` is ``python[version=">=3"]``.

    Versions are read as CEP 29 says: ``=1.2`` is ``1.2.*``, a bare ``1.2`` exact.  What it leaves
    open, what also names a channel, and what says a version or a build twice stays as it is.
    """
    head, bracket, keys = spec.strip().partition("[")
    positional = _POSITIONAL.fullmatch(head.rstrip())
    if not positional or (bracket and not keys.endswith("]")):
        return spec
    name, rest = positional["name"], positional["rest"]
    said = keys.removesuffix("]").strip()
    values = [said] if said else []
    if rest:
        parts = _version_and_build(rest)
        if parts is None or _SAID_AGAIN.search(said):
            return spec
        named = zip(("version", "build"), parts, strict=False)
        values = [*(f'{key}="{value}"' for key, value in named), *values]
    return f"{name}[{','.join(values)}]" if values else name


def _version_and_build(rest: str) -> tuple[str, ...] | None:
    """What follows a name: a version, or a version and a build; ``None`` where it is neither."""
    exact = _NAME_VERSION_BUILD.fullmatch(rest)
    if exact:
        version, build = _clause(exact["version"]), exact["build"]
        return (version, build) if version else None
    spec, *build = _INSIDE.sub("", rest).split()
    mixed = build and re.match("=[^=]", rest)  # separated by "=" and by a space: CEP 29 forbids it
    clauses = [part if part in ",|" else _clause(part) for part in _AND_OR.split(spec)]
    if mixed or len(build) > 1 or not all(clauses):
        return None
    return ("".join(filter(None, clauses)), *build)


def _clause(clause: str) -> str | None:
    """One part of a version spec with its operator; ``None`` where it is none."""
    found = _CLAUSE.fullmatch(clause)
    if not found:
        return None
    operator, version = found["operator"], found["version"]
    globbed = version.endswith("*")
    if operator == "=":
        return version if globbed else f"{version}.*"
    return clause if operator or "*" in version else f"=={version}"
