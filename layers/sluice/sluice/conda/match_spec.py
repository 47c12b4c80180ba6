"""Match specs (CEP 29), and their form in records of revision 3 (CEP 48).  Pure.

One reader serves both.  It accepts what conda accepts, which is more than the CEP describes:
separators of two kinds in one spec, comments, keywords that are not last.  Only a spec that has one
meaning by the CEP is rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sluice.conda.names import KNOWN_SUBDIRS

_CONDITION = " if "
"""The begin of a condition, before CEP 43 put it into brackets; conda ignores it."""
UNREADABLE = ""
"""The key of what brackets hold besides keywords."""

_UNAMBIGUOUS_HEAD = re.compile(r"[\w.-]+(?:[\s=<>!~][^:;@#/\"'\\()]*)?", re.ASCII)
_HEAD = re.compile(r"(?P<name>[\w.*-]+)(?P<rest>(?:[\s=<>!~(].*)?)", re.ASCII | re.DOTALL)
_NAME_VERSION_BUILD = re.compile(
    r"(?:=|==(?![^=]*\*))(?P<version>[\w.+!*-]+)=(?P<build>[^\s=]+)", re.ASCII
)
_CLAUSE = re.compile(
    r"(?P<operator>[=!<>~]=|[=<>])?(?P<literal>[\w+-][\w+!-]*(?:\.[\w+!-]+)*)(?P<glob>\.?\*)?",
    re.ASCII,
)
_FUZZY_WITH_BUILD = re.compile(r"\s+=\s*(?P<literal>[^\s=*,|]+)\s")
_LOOSE_CLAUSE = re.compile(r"(?:[=!<>~]=|[=<>])?[\w.+!*-]+", re.ASCII)
"""A clause that conda may accept, although the CEP does not have it: ``1.*.2``, ``>=1.``."""
_LOOSE_BUILD = re.compile(r"[^\s=,|<>~()]+")
_INSIGNIFICANT_SPACE = re.compile(r"(?<!\s)\s+(?=[,|])|(?<=[,|=<>])\s+")
"""Whitespace that separates nothing.  A match begins at the start of a run, so the time is linear
for any input."""
_SPACE_IN_PARENTHESES = re.compile(r"(?<!\s)\s+(?=\))|(?<=\()\s+")
_AND_OR = re.compile(r"([,|])")
_AND_OR_PARENTHESES = re.compile(r"([,|()])")
_REPEATED_KEY = re.compile(r"(?:^|[,\s])(?:version|build)\s*=")
# An unclosed quote ends with the text; else each quote would be searched to the end again.
_QUOTED = re.compile(
    r"""
    "(?:[^"\\]|\\.)*(?:"|\\?\Z) |
    '(?:[^'\\]|\\.)*(?:'|\\?\Z)
    """,
    re.DOTALL | re.VERBOSE,
)
_KEYWORD = re.compile(
    r"""
    (?P<key>[\w-]+) \s*=\s*
    (?:
        "(?P<double>(?:[^"\\]|\\.)*)" |
        '(?P<single>(?:[^'\\]|\\.)*)' |
        (?P<list>\[[^\[\]]*\]) |
        (?P<bare>[^\s,'"\[\]]+)
    )
    (?:\s*,\s* | \s+ | \Z)
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LEGACY_OPTIONS = re.compile(r"\(\s*(?:optional|target)\b[^()]*\)")
"""``(optional=True)``: conda still reads it and ignores it; the CEP left it out."""
_NO_CONSTRAINT = frozenset({"name", "namespace", "channel", "optional", "target", "when"})
"""Keys by which no package of one channel differs from another.  The name in brackets is ignored
(CEP 29), and a channel holds for all packages of an index or for none."""


@dataclass(frozen=True, slots=True)
class MatchSpec:
    """The parts of a match spec."""

    name: str
    version: str | None = None
    """By position: clauses between ``,`` and ``|``, perhaps in parentheses.  A clause is ``==1.2``,
    ``1.2.*``, or has another operator."""
    build: str | None = None
    """By position."""
    keywords: str = ""
    """The content of the brackets."""
    unambiguous: bool = True
    """Whether the CEP gives it one meaning, and it names no channel."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What it asks of a package, by the record's field; keywords override positions."""
    stricter_version: str | None = None
    """What conda and rattler read instead of ``fields["version"]``: ``a =1.0 b`` asks for 1.0.* by
    the CEP, and for 1.0 by both."""


class _Sections(NamedTuple):
    head: str
    keywords: str
    tail: str


class _Positional(NamedTuple):
    version: str | None = None
    build: str | None = None
    unambiguous: bool = True
    stricter_version: str | None = None


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

    One that cannot be parsed, names a channel, has a version or a build twice, or has more than one
    meaning by the CEP stays as it is.
    """
    parsed = parse_match_spec(spec)
    if parsed is None or not parsed.unambiguous:
        return spec
    named = {"version": parsed.version, "build": parsed.build}
    values = [f'{key}="{value}"' for key, value in named.items() if value is not None]
    values += [parsed.keywords] if parsed.keywords else []
    return f"{parsed.name}[{','.join(values)}]" if values else parsed.name


def parse_match_spec(spec: str) -> MatchSpec | None:
    """Parse a match spec by CEP 29, and what conda accepts beyond it.

    ``None`` for what conda rejects or matches with no package, and for ``feature@``.  Parentheses
    group clauses, as in the CEP and in rattler; conda drops them and what is in them, unless they
    are in brackets.
    """
    sections = _sections(spec.strip())
    if sections is None:
        return None
    prefix, _, rest = sections.head.rpartition(":")
    positional = _HEAD.fullmatch((rest + sections.tail).strip())
    if not positional:
        return None
    constraint = positional["rest"]
    version_and_build = _version_and_build(constraint) if constraint else _Positional()
    fields = _fields(prefix, version_and_build, sections.keywords) if version_and_build else None
    if version_and_build is None or fields is None:
        return None
    repeated = constraint and _REPEATED_KEY.search(strip_quoted(sections.keywords))
    replaced = fields.get("version") != version_and_build.version
    return MatchSpec(
        name=positional["name"],
        version=version_and_build.version,
        build=version_and_build.build,
        keywords=sections.keywords,
        unambiguous=version_and_build.unambiguous and not repeated and _has_plain_form(spec),
        fields=fields,
        stricter_version=None if replaced else version_and_build.stricter_version,
    )


def _has_plain_form(spec: str) -> bool:
    """Whether it is a name, clauses and brackets, in this order, with nothing between or behind."""
    head, bracket, keys = spec.strip().partition("[")
    return (
        _UNAMBIGUOUS_HEAD.fullmatch(head.rstrip()) is not None
        and _CONDITION not in head
        and (not bracket or (keys.endswith("]") and "#" not in strip_quoted(keys)))
    )


def _sections(text: str) -> _Sections | None:
    """What is before, in and behind the brackets, without comments, conditions and options.

    ``None`` if a bracket is not closed.
    """
    head, bracket, rest = text.partition("[")
    kept = head.partition("#")[0].partition(_CONDITION)[0]
    if kept != head:
        bracket, rest = "", ""
    keywords, closed, tail = _without_comment(rest).rpartition("]")
    if bracket and not closed:
        return None
    tail = tail.partition("#")[0].partition(_CONDITION)[0]
    head, tail = (_LEGACY_OPTIONS.sub("", part) for part in (kept, tail))
    return _Sections(head.strip(), keywords.strip(), tail)


def _without_comment(text: str) -> str:
    """The text up to a ``#`` that no quotes enclose."""
    start = 0
    for quoted in _QUOTED.finditer(text):
        if "#" in text[start : quoted.start()]:
            break
        start = quoted.end()
    return text[:start] + text[start:].partition("#")[0]


def _version_and_build(constraint: str) -> _Positional | None:
    """The version and build after a name; ``None`` if they are not valid."""
    parts = _unambiguous_version_and_build(constraint)
    if parts is None:
        return _loose_version_and_build(constraint)
    fuzzy = _FUZZY_WITH_BUILD.match(constraint) if parts[1] is not None else None
    return _Positional(*parts, stricter_version=f"=={fuzzy['literal']}" if fuzzy else None)


def _unambiguous_version_and_build(constraint: str) -> tuple[str, str | None] | None:
    exact = _NAME_VERSION_BUILD.fullmatch(constraint)
    if exact:
        version, build = _clause(exact["version"]), exact["build"]
        return (version, build) if version else None
    spec, *builds = _INSIGNIFICANT_SPACE.sub("", constraint).split()
    mixed = builds and re.match(
        "=[^=]", constraint
    )  # separated by "=" and by a space: CEP 29 forbids it
    clauses = [part if part in ",|" else _clause(part) for part in _AND_OR.split(spec)]
    if mixed or len(builds) > 1 or not all(clauses):
        return None
    return "".join(filter(None, clauses)), builds[0] if builds else None


def _loose_version_and_build(constraint: str) -> _Positional | None:
    """As conda separates them: by the last space or ``=`` that belongs to no clause."""
    compact = _SPACE_IN_PARENTHESES.sub("", _INSIGNIFICANT_SPACE.sub("", constraint))
    version, *builds = compact.split()
    if not builds:
        before, _, after = version.rpartition("=")
        if before and before[-1] not in "=!|,<>~(" and _LOOSE_BUILD.fullmatch(after):
            version, builds = before, [after]
    build = builds[0].removeprefix("=") if builds else None
    if len(builds) > 1 or (build is not None and not _LOOSE_BUILD.fullmatch(build)):
        return None
    alone = not _AND_OR_PARENTHESES.search(version)
    if build is not None and alone and version.startswith("="):
        version = version.lstrip("=")  # "=1.0=b" and "=1.0 b": exact
    normalised = _normalised_version(version)
    return _Positional(normalised, build, unambiguous=False) if normalised else None


def _fields(prefix: str, positional: _Positional, keywords: str) -> dict[str, str] | None:
    channel = prefix.rpartition(":")[0]
    by_position = {
        "subdir": _subdir(channel),
        "version": positional.version,
        "build": positional.build,
    }
    by_keyword = dict(_keyword_values(keywords))
    if "version" in by_keyword:
        version = _normalised_version("".join(by_keyword["version"].split()))
        if version is None:
            return None
        by_keyword["version"] = version
    of_channel = {"subdir": _subdir(by_keyword.get("channel", ""))}
    named = {**by_position, **{key: value for key, value in of_channel.items() if value}}
    return {
        key: value
        for key, value in {**named, **by_keyword}.items()
        if value is not None and key not in _NO_CONSTRAINT
    }


def _subdir(channel: str) -> str | None:
    """The subdir at the end of a channel, if there is one."""
    _, slash, last = channel.rstrip("/").rpartition("/")
    return last if slash and last in KNOWN_SUBDIRS else None


def _keyword_values(keywords: str) -> Iterator[tuple[str, str]]:
    """The keywords; what is no keyword comes under ``UNREADABLE``."""
    position = 0
    while position < len(keywords):
        match = _KEYWORD.match(keywords, position)
        if match is None:
            yield UNREADABLE, keywords[position:]
            return
        quoted = match["double"] if match["double"] is not None else match["single"]
        if quoted is not None:
            yield match["key"], _ESCAPE.sub(r"\1", quoted)
        else:
            yield match["key"], match["list"] or match["bare"]
        position = match.end()


def _normalised_version(version: str) -> str | None:
    """A version spec without whitespace, each clause as in ``MatchSpec.version``.

    ``None`` if it is not valid; one with a regular expression stays as it is.
    """
    if "^" in version:
        return version
    parts = [part for part in _AND_OR_PARENTHESES.split(version) if part]
    clauses = [part if part in ",|()" else _loose_clause(part) for part in parts]
    valid = [clause for clause in clauses if clause is not None]
    if len(valid) < len(clauses) or not _is_well_formed(valid):
        return None
    return "".join(valid)


def _is_well_formed(parts: list[str]) -> bool:
    """Whether operators stand between operands, and each parenthesis has its counterpart."""
    depth, operand_expected = 0, True
    for part in parts:
        if operand_expected is (part in {",", "|", ")"}):
            return False
        operand_expected = part in {",", "|", "("}
        depth += {"(": 1, ")": -1}.get(part, 0)
        if depth < 0:
            return False
    return depth == 0 and not operand_expected


def _clause(clause: str) -> str | None:
    """One part of a version spec with its operator; ``None`` if it is not valid."""
    match = _CLAUSE.fullmatch(clause)
    if not match:
        return clause if clause == "*" else None
    if match["operator"] == "=":
        return match["literal"] + (match["glob"] or ".*")
    return clause if match["operator"] or match["glob"] else f"=={clause}"


def _loose_clause(clause: str) -> str | None:
    """The same for what conda accepts."""
    return _clause(clause) or (clause if _LOOSE_CLAUSE.fullmatch(clause) else None)
