"""The record that clients read, from ``info/index.json`` (CEP 26, 33, 34, 36, 43, 44, 45).

Values that clients know must have the form that they can parse, or one record would make the whole
index unreadable.  Unknown keys are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from sluice.conda.digests import Digests
from sluice.conda.names import parse_filename
from sluice.conda.record_fields import FIELD_RULES, is_unicode, is_version, unpublishable_reason
from sluice.conda.revision import LEGACY, V3, has_old_condition, required_revision, v3_fields
from sluice.errors import BadPackage
from sluice.limits import (
    PROBLEM_VALUE_CHARS_MAX,
    RECORD_BYTES_MAX,
    REJECT_PROBLEMS_MAX,
    REJECT_SENTENCE_CHARS_MAX,
)
from sluice.text import printable

SLUICE_FIELDS = frozenset({"indexed_timestamp", "md5", "sha256", "size"})
"""Fields that sluice sets, whatever the package says."""
DROPPED_FIELDS = frozenset(
    {
        # deprecated; conda-index drops them too
        "arch",
        "platform",
        # location of the record: conda would trust the package
        "build_string",
        "channel",
        "filename",
        "fn",
        "package_type",
        "schannel",
        "url",
        # about a separate file, of which a package cannot know
        "attestations_sha256",
        # published from info/run_exports.json
        "run_exports",
    }
)
_OMITTED_FIELDS = SLUICE_FIELDS | DROPPED_FIELDS
REQUIRED_FIELDS = ("name", "version", "build", "build_number")
_UNASSIGNED_REVISIONS = (1, 2)
"""Revision numbers that were never assigned: every client reads 0, and the next is 3 (CEP 48)."""


class RecordProblem(NamedTuple):
    """One problem of a package's metadata."""

    code: str
    clause: str
    """Continues "<filename> cannot be indexed: "."""


def make_record(
    index: Mapping[str, Any], filename: str, subdir: str, *, size: int, digests: Digests
) -> dict[str, Any]:
    """Make the record of a package: keys sorted, without ``indexed_timestamp``.

    ``index`` is parsed JSON, ``size`` is in bytes.  Raises one ``BadPackage`` with all problems;
    its code is that of the first.
    """
    fields = _package_fields(index)
    problems = [
        *_filename_problems(fields, filename, subdir),
        *_field_problems(fields),
        *_revision_problems(fields),
        *_value_problems(fields),
    ]
    if problems:
        raise _rejected(filename, problems)
    record = {"constrains": [], "depends": [], **fields}
    record |= {"md5": digests.md5, "sha256": digests.sha256, "size": size}
    record["subdir"] = subdir
    length = len(msgspec.json.encode(record))
    if length > RECORD_BYTES_MAX:
        clause = (
            f"its record, made from info/index.json, has {length} bytes; every client downloads "
            f"it, so the limit is {RECORD_BYTES_MAX}"
        )
        raise _rejected(filename, [RecordProblem("record-too-large", clause)])
    return dict(sorted(record.items()))


def _package_fields(index: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a package may set; ``null`` for a known key means that it is absent."""
    return {
        name: value
        for name, value in index.items()
        if name not in _OMITTED_FIELDS and not (value is None and name in FIELD_RULES)
    }


def _rejected(filename: str, problems: list[RecordProblem]) -> BadPackage:
    """Name as many problems as the sentence has room for, and count the others."""
    clauses = [printable(problem.clause) for problem in problems[:REJECT_PROBLEMS_MAX]]
    while True:
        omitted = len(problems) - len(clauses)
        ending = f"; and {omitted} more" if omitted else ""
        sentence = f"{printable(filename)} cannot be indexed: {'; '.join(clauses)}{ending}."
        if len(sentence) <= REJECT_SENTENCE_CHARS_MAX or len(clauses) == 1:
            return BadPackage(problems[0].code, sentence)
        clauses.pop()


def _filename_problems(
    fields: Mapping[str, Any], filename: str, subdir: str
) -> Iterator[RecordProblem]:
    parsed = parse_filename(filename)
    if parsed is None:
        yield RecordProblem(
            "filename-invalid",
            "its filename is not <name>-<version>-<build> with .conda or .tar.bz2, in the "
            "characters that CEP 26 allows (lowercase in name and version)",
        )
        return
    expected = {"name": parsed.name, "version": parsed.version, "build": parsed.build}
    for name, value in expected.items():
        if isinstance(fields.get(name), str) and fields[name] != value:
            yield RecordProblem(
                "filename-mismatch",
                f"the {name} is {_quoted(fields[name])} in its info/index.json, but "
                f"{_quoted(value)} in its filename (a package cannot be renamed after the build)",
            )
    if not is_version(parsed.version):
        yield RecordProblem(
            "version-invalid",
            f"its version {_quoted(parsed.version)} is not valid (CEP 33)",
        )
    built_for = fields.get("subdir")
    if isinstance(built_for, str) and built_for != subdir:
        yield RecordProblem(
            "subdir-mismatch",
            f"it was built for {_quoted(built_for)}, but is in {_quoted(subdir)}; "
            "upload it to the folder it was built for",
        )


def _field_problems(fields: Mapping[str, Any]) -> Iterator[RecordProblem]:
    for name in REQUIRED_FIELDS:
        if name not in fields:
            yield RecordProblem("index-json-incomplete", f"its info/index.json has no {name}")
    for name, rule in FIELD_RULES.items():
        if name in fields and not rule.accepts(fields[name]):
            yield RecordProblem(
                "index-json-wrong-type",
                f"{name} in its info/index.json is {_quoted(fields[name])} "
                f"instead of {rule.description}",
            )


def _revision_problems(fields: Mapping[str, Any]) -> Iterator[RecordProblem]:
    """Problems with the revision, by the rules of rattler's ``IndexJson::validate``."""
    required, declared = required_revision(fields), fields.get("repodata_revision")
    if not FIELD_RULES["repodata_revision"].accepts(declared):
        declared = None  # reported separately
    if required > V3 or declared in _UNASSIGNED_REVISIONS:
        yield RecordProblem(
            "repodata-revision-unsupported",
            f"it needs revision {max(required, declared or LEGACY)} of repodata, "
            "but this version of sluice supports only revisions 0 and 3 (CEP 48)",
        )
    elif declared == 0 and (causes := ", ".join(v3_fields(fields))):
        yield RecordProblem(
            "repodata-revision-contradicted",
            f"the repodata revision that it declares does not support its {causes}; "
            "build it with repodata_revision 3 (CEP 48), or without that key",
        )
    if has_old_condition(fields):
        yield RecordProblem(
            "condition-outdated",
            'a dependency has a condition of the form "; if", which clients no longer read; '
            'build it with [when="..."] (CEP 43)',
        )


def _value_problems(fields: Mapping[str, Any]) -> Iterator[RecordProblem]:
    for name, value in fields.items():
        reason = unpublishable_reason(value) if is_unicode(name) else "is not valid Unicode"
        if reason:
            yield RecordProblem(
                "index-json-unpublishable", f"{_quoted(name)} in its info/index.json {reason}"
            )


def _quoted(value: object) -> str:
    """Quote any value on one line and in bounded length."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list of other values" if value else "an empty list"
    if isinstance(value, str):
        text = f'"{printable(value)}"'
    else:
        text = msgspec.json.encode(value).decode()
    return text if len(text) <= PROBLEM_VALUE_CHARS_MAX else text[:PROBLEM_VALUE_CHARS_MAX] + "…"
