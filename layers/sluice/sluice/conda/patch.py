"""Repodata patches: ``patch_instructions.json``, versions 1 and 2 (CEP 21).  Pure.

There is no CEP for version 1.  conda-index and rattler-index agree on most of it, and where they
do not, this does what harms clients least:

- *remove* takes a record out of the index and lists it, as in conda-index; rattler-index only
  lists it, and clients that do not look there go on installing what was yanked.
- *revoke* makes a record impossible to install, as in conda-index; rattler-index ignores it.
- ``null`` takes a key away, but neither ``depends`` nor ``constrains``, as in rattler-index: a
  package without them would install and not work.
- What is said of a ``.tar.bz2`` holds for the ``.conda`` of the same stem as well, as in both: it
  is the same package in another archive.  What is said of that one itself comes on top.
- ``packages`` and ``packages.conda`` are about records of revision 1.  A record that needs
  revision 3 keeps to ``v3``, as in rattler-index: older match specs would undo its newer ones.  One
  that is only shown there (``package-revision-assignment = "latest"``) keeps its fixes;
  rattler-index loses them to that setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.conda.record_fields import FIELD_RULES, RUN_EXPORTS_RULE, unpublishable_reason
from sluice.conda.revision import LEGACY, has_old_condition, required_revision
from sluice.errors import DECODE_ERRORS, BadPackage
from sluice.limits import PROBLEM_VALUE_CHARS_MAX

NEVER_PATCHED = frozenset(
    {
        # what was measured, and what the index itself says (CEP 47)
        "indexed_timestamp",
        "legacy_bz2_md5",
        "legacy_bz2_size",
        "md5",
        "sha256",
        "size",
        # what the file is, and under which name it is found
        "build",
        "build_number",
        "name",
        "subdir",
        "version",
        # its revision, which its place already shows
        "repodata_revision",
        "schema_version",
        # where clients would believe that it lies
        "channel",
        "fn",
        "url",
    }
)
"""Keys of a record that a patch never changes."""

_CONDA, _TAR_BZ2 = PACKAGE_SUFFIXES
_RUN_EXPORTS = "run_exports"
_LISTS = ("constrains", "depends")
_WITH_RUN_EXPORTS = 2
_REVOKED = "package_has_been_revoked"
_KNOWN_BUCKETS = ("conda", "tar.bz2", "whl")

_OUTDATED = (
    'a dependency has a condition of the form "; if", which clients no longer read; write it as '
    '[when="..."] (CEP 43)'
)
_ONLY_IN_V3 = (
    "the values need revision 3 of repodata (CEP 48), and older clients would misread them; put "
    "them under v3"
)

Fields = dict[str, Any]
"""New values of a record by key; ``None`` removes the key."""


class PatchInstructions(
    msgspec.Struct, frozen=True, kw_only=True, rename={"conda": "packages.conda"}
):
    """The instructions of a patch for one subdir."""

    patch_instructions_version: int = 1
    packages: dict[str, Fields] = msgspec.field(default_factory=dict)
    """By filename of a .tar.bz2."""
    conda: dict[str, Fields] = msgspec.field(default_factory=dict)
    """By filename of a .conda."""
    remove: frozenset[str] = frozenset()
    revoke: frozenset[str] = frozenset()
    v3: dict[str, dict[str, Fields | None]] = msgspec.field(default_factory=dict)
    """By bucket and filename without extension (CEP 48).  In buckets that rattler does not know it
    merges objects (RFC 7396), so ``None`` removes the record."""


@dataclass(frozen=True, slots=True)
class PatchedRecord:
    """A record after patching."""

    record: Mapping[str, Any]
    run_exports: Any
    """``None`` if they are not known."""


class _FilePatch(NamedTuple):
    """The effective instructions for one file."""

    legacy: Fields
    v3: Fields
    removed: bool
    revoked: bool


_NO_PATCH = _FilePatch({}, {}, removed=False, revoked=False)


def parse_patch_instructions(body: bytes, *, source: str) -> PatchInstructions:
    """Parse instructions; raises ``BadPackage`` if clients could not read the patched records."""
    try:
        instructions = msgspec.json.decode(body, type=PatchInstructions)
    except DECODE_ERRORS as error:
        raise BadPackage("patch-invalid", f"{source} is not valid: {error}.") from error
    if instructions.patch_instructions_version not in (1, _WITH_RUN_EXPORTS):
        raise BadPackage(
            "patch-invalid",
            f"{source} has version {instructions.patch_instructions_version}, but this version of "
            "sluice supports only versions 1 and 2.",
        )
    for problem in _problems(instructions):
        raise BadPackage("patch-invalid", f"{source}: {problem}.")
    return instructions


def apply_patch(
    instructions: PatchInstructions,
    filename: str,
    record: Mapping[str, Any],
    run_exports: Any,
    *,
    bucket: str | None = None,
) -> PatchedRecord | None:
    """Apply the instructions to a record; ``None`` if they remove it.

    ``bucket``: its bucket, if it is in revision 3.
    """
    file_patch = _file_patch(instructions, filename, bucket)
    if file_patch == _NO_PATCH:
        return PatchedRecord(record, run_exports)
    if file_patch.removed:
        return None
    fields = file_patch.legacy | file_patch.v3
    if file_patch.legacy and required_revision(record) > LEGACY:
        fields = file_patch.v3
    if _RUN_EXPORTS in fields:
        run_exports = fields[_RUN_EXPORTS] or {}
        fields = {key: value for key, value in fields.items() if key != _RUN_EXPORTS}
    patched = _merged(record, fields, deep=bucket is not None and bucket not in _KNOWN_BUCKETS)
    if file_patch.revoked:
        patched["revoked"] = True
        depends = patched.get("depends")  # a record that was taken over may have anything here
        patched["depends"] = [*(depends if isinstance(depends, list) else []), _REVOKED]
    return PatchedRecord(dict(sorted(patched.items())), run_exports)


def affected_files(before: PatchInstructions | None, after: PatchInstructions | None) -> set[str]:
    """The filenames for which two patches differ."""
    if before == after:
        return set()
    return {
        filename
        for filename, bucket in {*_files(before), *_files(after)}
        if _file_patch(before, filename, bucket) != _file_patch(after, filename, bucket)
    }


def _file_patch(
    instructions: PatchInstructions | None, filename: str, bucket: str | None
) -> _FilePatch:
    """The instructions for a file; with ``bucket``, for that file in revision 3."""
    if instructions is None:
        return _NO_PATCH
    twin = filename.removesuffix(_CONDA) + _TAR_BZ2 if filename.endswith(_CONDA) else filename
    names = {filename, twin}
    legacy = instructions.packages.get(twin, {}) | instructions.conda.get(filename, {})
    v3: Fields | None = {}
    if bucket is not None:
        v3 = instructions.v3.get(bucket, {}).get(filename.removesuffix(f".{bucket}"), {})
    return _FilePatch(
        legacy=_effective(legacy, instructions),
        v3=_effective(v3 or {}, instructions),
        removed=v3 is None or not names.isdisjoint(instructions.remove),
        revoked=not names.isdisjoint(instructions.revoke),
    )


def _effective(fields: Fields, instructions: PatchInstructions) -> Fields:
    """Drop instructions that a patch may not have."""
    with_run_exports = instructions.patch_instructions_version >= _WITH_RUN_EXPORTS
    return {
        key: value
        for key, value in fields.items()
        if key not in NEVER_PATCHED
        and not (value is None and key in _LISTS)
        and (key != _RUN_EXPORTS or with_run_exports)
    }


def _merged(record: Mapping[str, Any], fields: Fields, *, deep: bool) -> Fields:
    """Replace values, and remove those that are ``None``; ``deep``: also within objects."""
    merged = dict(record)
    for key, value in fields.items():
        if value is None:
            merged.pop(key, None)
        elif deep and isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = _merged(inner if isinstance(inner, dict) else {}, value, deep=True)
        else:
            merged[key] = value
    return merged


def _files(instructions: PatchInstructions | None) -> Iterator[tuple[str, str]]:
    """Every file that instructions may be about, and the bucket that it would have."""
    if instructions is None:
        return
    named = instructions.packages.keys() | instructions.conda.keys()
    for filename in named | instructions.remove | instructions.revoke:
        yield filename, _bucket(filename)
        if filename.endswith(_TAR_BZ2):
            yield filename.removesuffix(_TAR_BZ2) + _CONDA, _CONDA[1:]
    for bucket, by_stem in instructions.v3.items():
        yield from ((f"{stem}.{bucket}", bucket) for stem in by_stem)


def _bucket(filename: str) -> str:
    return _TAR_BZ2[1:] if filename.endswith(_TAR_BZ2) else filename.rpartition(".")[2]


def _problems(instructions: PatchInstructions) -> Iterator[str]:
    with_run_exports = instructions.patch_instructions_version >= _WITH_RUN_EXPORTS
    for filename, fields in [*instructions.packages.items(), *instructions.conda.items()]:
        malformed = list(_malformed(fields, with_run_exports=with_run_exports))
        yield from (f"{filename}: {clause}" for clause in malformed)
        if not malformed and required_revision(fields) > LEGACY:
            yield f"{filename}: {_OUTDATED if has_old_condition(fields) else _ONLY_IN_V3}"
    for bucket, by_stem in instructions.v3.items():
        for stem, record in by_stem.items():
            known = bucket in _KNOWN_BUCKETS
            if record is None and known:
                yield f"{stem}.{bucket}: null is not valid; list the file in remove"
            for clause in _malformed(record or {}, with_run_exports=with_run_exports, known=known):
                yield f"{stem}.{bucket}: {clause}"
            if known and record and has_old_condition(record):
                yield f"{stem}.{bucket}: {_OUTDATED}"


def _malformed(fields: Fields, *, with_run_exports: bool, known: bool = True) -> Iterator[str]:
    """Values that clients could not read, each as a clause.

    ``known``: whether clients read such records.
    """
    for key, value in fields.items():
        if reason := unpublishable_reason({key: value}):
            yield f"{key} {reason}"
            continue
        rule = FIELD_RULES.get(key)
        if key == _RUN_EXPORTS and with_run_exports:
            rule = RUN_EXPORTS_RULE
        if value is None or not known or key in NEVER_PATCHED:
            continue
        if rule and not rule.accepts(value):
            value_text = msgspec.json.encode(value).decode()[:PROBLEM_VALUE_CHARS_MAX]
            yield f"{key} is {value_text} instead of {rule.description}"
