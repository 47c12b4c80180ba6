"""Repodata patches: ``patch_instructions.json``, versions 1 and 2 (CEP 21).  Pure.

There is no CEP for version 1; conda-index and rattler-index agree on most of it.  A ``.tar.bz2``'s
instructions hold for the ``.conda`` of the same stem as well, which is the same package in another
archive, and what is said of that one itself comes on top.  What is removed leaves the index, as in
conda-index; rattler-index only lists it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.errors import BadPackage
from sluice.keys import PACKAGE_SUFFIXES
from sluice.package.forms import FORMS, unpublishable
from sluice.parsing import UNDECODABLE

NEVER_PATCHED = frozenset(
    {
        # what was measured, and what the index itself says (CEP 47)
        "indexed_timestamp",
        "md5",
        "sha256",
        "size",
        # what the file is, and under which name it is found
        "build",
        "build_number",
        "name",
        "subdir",
        "version",
        # where clients would believe that it lies
        "channel",
        "fn",
        "url",
    }
)
"""Keys of a record that a patch leaves as they are, whatever it says."""

_CONDA, _TAR_BZ2 = PACKAGE_SUFFIXES
_RUN_EXPORTS = "run_exports"
_WITH_RUN_EXPORTS = 2
_REVOKED = "package_has_been_revoked"

Fields = dict[str, Any]
"""New values of a record by key; ``None`` takes the key away."""


class Instructions(msgspec.Struct, frozen=True, kw_only=True, rename={"conda": "packages.conda"}):
    """What a patch says about one subdir."""

    patch_instructions_version: int = 1
    packages: dict[str, Fields] = msgspec.field(default_factory=dict)
    """By filename of a .tar.bz2."""
    conda: dict[str, Fields] = msgspec.field(default_factory=dict)
    """By filename of a .conda."""
    remove: frozenset[str] = frozenset()
    revoke: frozenset[str] = frozenset()
    v3: dict[str, dict[str, Fields]] = msgspec.field(default_factory=dict)
    """By bucket and filename without extension (CEP 48)."""


@dataclass(frozen=True, slots=True)
class Patched:
    """A record as clients are to see it."""

    record: Mapping[str, Any]
    run_exports: Any
    """``None`` where they are not known."""


def parse(body: bytes, *, what: str) -> Instructions:
    """Read instructions; raises ``BadPackage`` where clients could not read what they make."""
    try:
        instructions = msgspec.json.decode(body, type=Instructions)
    except UNDECODABLE as error:
        raise BadPackage("patch-invalid", f"{what} cannot be read: {error}.") from error
    if instructions.patch_instructions_version not in (1, _WITH_RUN_EXPORTS):
        raise BadPackage(
            "patch-invalid",
            f"{what} is of version {instructions.patch_instructions_version}; "
            "this version of sluice knows 1 and 2.",
        )
    for filename, fields in _all_fields(instructions):
        for problem in _problems(fields):
            raise BadPackage("patch-invalid", f"{what}: of {filename} it says that {problem}.")
    return instructions


def apply(
    instructions: Instructions,
    filename: str,
    record: Mapping[str, Any],
    run_exports: Any,
    *,
    bucket: str | None = None,
) -> Patched | None:
    """The record under the instructions, or ``None`` where they remove it.

    ``bucket``: where it is shown in revision 3.
    """
    if _names(instructions.remove, filename):
        return None
    patched = dict(record)
    for fields in _fields(instructions, filename, bucket):
        for key, value in fields.items():
            if key == _RUN_EXPORTS:
                if instructions.patch_instructions_version >= _WITH_RUN_EXPORTS:
                    run_exports = value or {}
            elif key in NEVER_PATCHED:
                continue
            elif value is None:
                patched.pop(key, None)
            else:
                patched[key] = value
    # Lists that every record has, and that a client may insist on.
    patched = {"constrains": [], "depends": [], **patched}
    if _names(instructions.revoke, filename):
        patched["revoked"] = True
        patched["depends"] = [*patched["depends"], _REVOKED]
    return Patched(dict(sorted(patched.items())), run_exports)


def affected(before: Instructions | None, after: Instructions | None) -> set[str]:
    """The filenames that two patches say different things about."""
    old, new = _said(before), _said(after)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _fields(instructions: Instructions, filename: str, bucket: str | None) -> Iterator[Fields]:
    """What is said of a file, the later before the earlier."""
    if filename.endswith(_CONDA):
        yield instructions.packages.get(filename.removesuffix(_CONDA) + _TAR_BZ2, {})
        yield instructions.conda.get(filename, {})
    else:
        yield instructions.packages.get(filename, {})
    if bucket is not None:
        of_bucket = instructions.v3.get(bucket, {})
        yield of_bucket.get(filename.removesuffix(f".{bucket}"), {})


def _names(told: frozenset[str], filename: str) -> bool:
    return filename in told or (
        filename.endswith(_CONDA) and filename.removesuffix(_CONDA) + _TAR_BZ2 in told
    )


def _said(instructions: Instructions | None) -> dict[str, tuple[object, ...]]:
    """All that is said of each file, in a form that can be compared."""
    if instructions is None:
        return {}
    named = {filename for filename, _ in _all_fields(instructions)}
    named |= instructions.remove | instructions.revoke
    named |= {name.removesuffix(_TAR_BZ2) + _CONDA for name in named if name.endswith(_TAR_BZ2)}
    return {
        name: (
            instructions.patch_instructions_version,
            *_fields(instructions, name, _bucket(name)),
            _names(instructions.remove, name),
            _names(instructions.revoke, name),
        )
        for name in named
    }


def _bucket(filename: str) -> str:
    return _TAR_BZ2[1:] if filename.endswith(_TAR_BZ2) else filename.rpartition(".")[2]


def _all_fields(instructions: Instructions) -> Iterator[tuple[str, Fields]]:
    yield from instructions.packages.items()
    yield from instructions.conda.items()
    for bucket, by_stem in instructions.v3.items():
        for stem, fields in by_stem.items():
            yield f"{stem}.{bucket}", fields


def _problems(fields: Fields) -> Iterator[str]:
    for key, value in fields.items():
        form = FORMS.get(key)
        if value is not None and form and not form.accepts(value):
            yield f"{key} is {msgspec.json.encode(value)[:80]!r} instead of {form.description}"
        if why := unpublishable({key: value}):
            yield f"{key} {why}"
