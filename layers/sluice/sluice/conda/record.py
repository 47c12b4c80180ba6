"""From ``info/index.json`` to the record that clients read (CEP 26, 33, 34, 36, 43, 44, 45).

What clients know has to have the form that they can parse, or one record would make the
whole index unreadable; what they do not know is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from sluice.conda.digests import Digests
from sluice.conda.names import parse_filename
from sluice.conda.record_fields import FORMS, is_unicode, is_version, unpublishable
from sluice.conda.revision import LEGACY, V3, fields_of_v3, required_revision, says_if
from sluice.errors import BadPackage
from sluice.limits import PROBLEM_VALUE_CHARS_MAX, PROBLEMS_TOLD_MAX, RECORD_BYTES_MAX
from sluice.text import printable

OURS = frozenset({"indexed_timestamp", "md5", "sha256", "size"})
"""Set by sluice, whatever the package says."""
DROPPED = frozenset(
    {
        # deprecated; conda-index drops them too
        "arch",
        "platform",
        # where and how a client found the record: conda would believe the package
        "build_string",
        "channel",
        "filename",
        "fn",
        "package_type",
        "schannel",
        "url",
        # published from info/run_exports.json
        "run_exports",
    }
)
REQUIRED = ("name", "version", "build", "build_number")
_NO_REVISIONS = (1, 2)
"""Numbers that were never given: 0 is what every client reads, then comes 3 (CEP 48)."""


class Problem(NamedTuple):
    """One thing that is wrong with a package's metadata."""

    code: str
    clause: str
    """Continues "<filename> cannot be indexed: "."""


def make_record(
    index: Mapping[str, Any], filename: str, subdir: str, *, size: int, digests: Digests
) -> dict[str, Any]:
    """Make the record of a package: keys sorted, no ``indexed_timestamp`` yet.

    ``index`` is parsed JSON, ``size`` is in bytes.  Raises one ``BadPackage`` that tells every
    problem; its code is that of the first.
    """
    stated = _stated(index)
    problems = [
        *_filename_problems(stated, filename, subdir),
        *_form_problems(stated),
        *_revision_problems(stated),
        *_value_problems(stated),
    ]
    if problems:
        raise _rejected(filename, problems)
    record = {"constrains": [], "depends": [], **stated}
    record |= {"md5": digests.md5, "sha256": digests.sha256, "size": size}
    record["subdir"] = subdir
    length = len(msgspec.json.encode(record))
    if length > RECORD_BYTES_MAX:
        clause = (
            f"its info/index.json makes a record of {length} bytes for every client to download; "
            f"the limit is {RECORD_BYTES_MAX}"
        )
        raise _rejected(filename, [Problem("record-too-large", clause)])
    return dict(sorted(record.items()))


def _stated(index: Mapping[str, Any]) -> dict[str, Any]:
    """Take over what the package may say; ``null`` for a known key means that it is absent."""
    return {
        name: value
        for name, value in index.items()
        if name not in OURS | DROPPED and not (value is None and name in FORMS)
    }


def _rejected(filename: str, problems: list[Problem]) -> BadPackage:
    told = "; ".join(problem.clause for problem in problems[:PROBLEMS_TOLD_MAX])
    more = len(problems) - PROBLEMS_TOLD_MAX
    rest = f"; and {more} more" if more > 0 else ""
    return BadPackage(problems[0].code, f"{filename} cannot be indexed: {told}{rest}.")


def _filename_problems(stated: Mapping[str, Any], filename: str, subdir: str) -> Iterator[Problem]:
    parsed = parse_filename(filename)
    if parsed is None:
        yield Problem(
            "filename-invalid",
            "its file name is not <name>-<version>-<build> and .conda or .tar.bz2 in the "
            "characters that CEP 26 allows (name and version in lower case)",
        )
        return
    expected = {"name": parsed.name, "version": parsed.version, "build": parsed.build}
    for name, value in expected.items():
        if isinstance(stated.get(name), str) and stated[name] != value:
            yield Problem(
                "filename-mismatch",
                f"its info/index.json says {name} {_shown(stated[name])}, its file name "
                f"{_shown(value)} (a package cannot be renamed after it was built)",
            )
    if not is_version(parsed.version):
        yield Problem(
            "version-invalid",
            f"clients cannot read its version {_shown(parsed.version)} (CEP 33)",
        )
    built_for = stated.get("subdir")
    if isinstance(built_for, str) and built_for != subdir:
        yield Problem(
            "subdir-mismatch",
            f"it was built for {_shown(built_for)} and lies in {_shown(subdir)}; "
            "upload it to the folder that it was built for",
        )


def _form_problems(stated: Mapping[str, Any]) -> Iterator[Problem]:
    for name in REQUIRED:
        if name not in stated:
            yield Problem("index-json-incomplete", f"its info/index.json has no {name}")
    for name, form in FORMS.items():
        if name in stated and not form.accepts(stated[name]):
            yield Problem(
                "index-json-wrong-type",
                f"{name} in its info/index.json is {_shown(stated[name])} "
                f"instead of {form.description}",
            )


def _revision_problems(stated: Mapping[str, Any]) -> Iterator[Problem]:
    """Refuse what no revision of repodata can say, as ``IndexJson::validate`` of rattler does."""
    required, told = required_revision(stated), stated.get("repodata_revision")
    if not FORMS["repodata_revision"].accepts(told):
        told = None  # is told of as such
    if required > V3 or told in _NO_REVISIONS:
        yield Problem(
            "repodata-revision-unsupported",
            f"it asks for revision {max(required, told or LEGACY)} of repodata, "
            "and this version of sluice writes the first and the third (CEP 48)",
        )
    elif told == 0 and (causes := ", ".join(fields_of_v3(stated))):
        yield Problem(
            "repodata-revision-contradicted",
            f"it asks for a revision of repodata that cannot say its {causes}; "
            "build it with repodata_revision 3 (CEP 48), or without that key",
        )
    if says_if(stated):
        yield Problem(
            "condition-outdated",
            'a dependency of it has a condition of the form "; if", which clients do not read '
            'any more; build it with [when="..."] (CEP 43)',
        )


def _value_problems(stated: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in stated.items():
        why = unpublishable(value) if is_unicode(name) else "is not valid Unicode"
        if why:
            yield Problem(
                "index-json-unpublishable", f"{_shown(name)} in its info/index.json {why}"
            )


def _shown(value: object) -> str:
    """Show a value on one line and in bounded length, whatever it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list of other things" if value else "an empty list"
    if isinstance(value, str):
        text = f'"{printable(value)}"'
    else:
        text = msgspec.json.encode(value).decode()
    return text if len(text) <= PROBLEM_VALUE_CHARS_MAX else text[:PROBLEM_VALUE_CHARS_MAX] + "…"
