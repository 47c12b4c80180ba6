"""Records of another tool's index in the form that every client can read.  Pure.

Such an index may hold anything: one record that rattler cannot parse makes a whole file unreadable
for it.  Where the meaning is plain, the value is put right.  A field that only describes a package
is left out.  Otherwise the record is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sluice.catalog.file_warnings import RECORD_NORMALIZED, FileWarning, make_file_warning
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.conda.record import REQUIRED_FIELDS
from sluice.conda.record_fields import FIELD_RULES, FieldRule, unpublishable_reason
from sluice.limits import PROBLEM_VALUE_CHARS_MAX
from sluice.text import printable

_SHA256 = re.compile("[0-9a-f]{64}")
_MD5 = re.compile("[0-9a-f]{32}")
_SEGMENTS = r"[0-9a-z]+(?:[._-][0-9a-z]+)*(?:__?|--?|\.[_-])?"  # as rattler reads it
_VERSION = re.compile(rf"(?:[0-9]+!)?{_SEGMENTS}(?:\+{_SEGMENTS})?", re.IGNORECASE)
_DIGITS = re.compile("[0-9]+")
_BUILD_NUMBER = re.compile("(?<![0-9A-Za-z])[0-9]{1,18}$")
_DIGITS_MAX = 18
"""Digits of a number in a version that fit into 64 bits."""

_COUNTS = frozenset({"build_number", "indexed_timestamp", "legacy_bz2_size", "size", "timestamp"})
_LISTS = frozenset({"constrains", "depends", "flags", "purls"})
_DIGESTS = frozenset({"attestations_sha256", "legacy_bz2_md5", "md5", "sha256"})
_FILENAME_PARTS = ("name", "version", "build")
_NEVER_NULL = frozenset(
    {
        "build",
        "build_number",
        "constrains",
        "depends",
        "extra_depends",
        "flags",
        "name",
        "subdir",
        "track_features",
        "version",
    }
)
"""Keys for which rattler does not take ``null``."""
_DESCRIPTIVE = frozenset(
    {
        "arch",
        "attestations_sha256",
        "date",
        "indexed_timestamp",
        "legacy_bz2_md5",
        "legacy_bz2_size",
        "license",
        "license_family",
        "platform",
        "preferred_env",
        "purls",
        "size",
        "subdir",
        "timestamp",
    }
)
"""Keys without which a package is installed as it was with them."""
_ABSENT: Any = object()
_EMPTY: tuple[object, ...] = ("", None, [], {})
"""Values that say that there is none."""
_WORDS_FOR_NO_NOARCH = frozenset({"", "false", "none", "null"})


class NormalizedRecord(NamedTuple):
    """A record of another tool, in the form that clients can read."""

    record: dict[str, Any] | None
    """``None``: it cannot be published."""
    changes: tuple[str, ...] = ()
    """What was changed in it, each as a clause."""
    problem: str | None = None
    """Why it cannot be published, as a clause."""


def normalize_record(
    raw: msgspec.Raw | bytes, *, filename: str | None, required: Sequence[str] = REQUIRED_FIELDS
) -> NormalizedRecord:
    """Decode and normalize a record, without which keys it is none.

    ``filename`` is that of its package, if that has one.
    """
    try:
        decoded = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NormalizedRecord(None, problem="it is not an object")
    record: dict[str, Any] = {}
    changes: list[str] = []
    complete = _parts_missing(decoded, filename) | decoded
    for key, value in complete.items():
        if _is_readable(key, value):
            record[key] = value.lower() if key in _DIGESTS and isinstance(value, str) else value
            if key not in decoded:
                changes.append(f"{key} was missing")
            continue
        mended = _mend(key, value, filename)
        if mended is _ABSENT and not _may_lack(key, complete):
            return NormalizedRecord(None, problem=f"its {key} is {_shown(value)}")
        if mended is _ABSENT:
            changes.append(f"{key} {_shown(value)} was removed")
        else:
            record[key] = mended
            changes.append(f"{key} {_shown(value)} was changed to {_shown(mended)}")
    missing = next((key for key in required if key not in record), None)
    if missing:
        return NormalizedRecord(None, problem=f"it has no {missing}")
    if reason := unpublishable_reason(record):
        return NormalizedRecord(None, problem=f"it {reason}")
    return NormalizedRecord(record, tuple(changes))


def change_warnings(filename: str, normalized: NormalizedRecord) -> list[FileWarning]:
    """The warning about what was changed in the record of a file, if anything was."""
    if not normalized.changes:
        return []
    sentence = (
        f"{filename}: its record from the index that sluice took over was changed so that clients "
        f"can read it: {'; '.join(normalized.changes)}."
    )
    return [make_file_warning(RECORD_NORMALIZED, sentence)]


def _is_version(value: object) -> bool:
    """Whether rattler reads it, which reads more than CEP 33 allows."""
    return (
        isinstance(value, str)
        and value.isascii()
        and not ("_" in value and "-" in value)
        and _VERSION.fullmatch(value) is not None
        and all(len(run.lstrip("0")) <= _DIGITS_MAX for run in _DIGITS.findall(value))
    )


def _is_digest(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value.lower()) is not None


_COUNT = FIELD_RULES["build_number"]
_RULES: Mapping[str, FieldRule] = {
    **FIELD_RULES,
    "attestations_sha256": FieldRule(_is_digest(_SHA256), "a SHA-256 in hex"),
    "indexed_timestamp": FIELD_RULES["timestamp"],
    "legacy_bz2_md5": FieldRule(_is_digest(_MD5), "an MD5 in hex"),
    "md5": FieldRule(_is_digest(_MD5), "an MD5 in hex"),
    "sha256": FieldRule(_is_digest(_SHA256), "a SHA-256 in hex"),
    "size": _COUNT,
    "url": FIELD_RULES["name"],
    "version": FieldRule(_is_version, "a version"),
}


def _is_readable(key: str, value: object) -> bool:
    rule = _RULES.get(key)
    return rule is None or rule.accepts(value) or (value is None and key not in _NEVER_NULL)


def _may_lack(key: str, record: Mapping[str, Any]) -> bool:
    """Whether a record may do without the value that it has for a key."""
    if record[key] in _EMPTY and key not in (*_FILENAME_PARTS, "build_number"):
        return True
    if key == "md5":
        return _RULES["sha256"].accepts(record.get("sha256"))
    if key == "noarch":
        return str(record[key]).strip().lower() in _WORDS_FOR_NO_NOARCH
    return key in _DESCRIPTIVE


def _mend(key: str, value: Any, filename: str | None) -> Any:
    """The value whose meaning is plain; ``_ABSENT`` if it is not, or if there is none."""
    mended: Any = _ABSENT
    if key in _FILENAME_PARTS:
        mended = _from_filename(key, value, filename)
    elif key in _COUNTS:
        mended = _as_integer(value)
    elif key in _LISTS:
        mended = _as_list(key, value)
    elif key == "extra_depends" and isinstance(value, dict):
        mended = {name: _as_list("depends", specs) for name, specs in value.items()}
    elif key == "noarch" and isinstance(value, str):
        word = value.strip().lower()
        mended = True if word == "true" else word or _ABSENT
    elif key in _DIGESTS:
        mended = _as_hex(value)
    elif isinstance(value, list) and len(value) == 1:
        mended = value[0]
    return mended if mended is not _ABSENT and _accepts(key, mended) else _ABSENT


def _accepts(key: str, value: object) -> bool:
    return _RULES[key].accepts(value)


def _parts_missing(record: Mapping[str, Any], filename: str | None) -> dict[str, Any]:
    """Values for keys that a record does not have, as far as its filename tells them.

    A build string ends in the build number (CEP 34); without one it is the first build.
    """
    parts: dict[str, Any] = _filename_parts(filename)
    if "build" in parts:
        number = _BUILD_NUMBER.search(parts["build"])
        parts["build_number"] = int(number[0]) if number else 0
    return {key: part for key, part in parts.items() if key not in record}


def _filename_parts(filename: str | None) -> dict[str, str]:
    for suffix in PACKAGE_SUFFIXES:
        if filename and filename.endswith(suffix):
            parts = filename.removesuffix(suffix).rsplit("-", 2)
            return dict(zip(_FILENAME_PARTS, parts, strict=False)) if len(parts) == 3 else {}
    return {}


def _from_filename(key: str, value: object, filename: str | None) -> Any:
    """The part of the filename, if a number or nothing stands in its place."""
    part = _filename_parts(filename).get(key)
    if part is None or isinstance(value, bool):
        return _ABSENT
    if value is None:
        return part
    if not isinstance(value, int | float):
        return _ABSENT
    try:
        return part if float(part) == value else _ABSENT
    except (ValueError, OverflowError):
        return _ABSENT


def _as_integer(value: object) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and len(value) <= _DIGITS_MAX:
        number = value.strip().removesuffix(".0")
        return int(number) if number.isdigit() else _ABSENT
    return _ABSENT


def _as_list(key: str, value: object) -> Any:
    if isinstance(value, str) and value:
        return [value]
    if value in _EMPTY:
        return [] if key in ("constrains", "depends") else _ABSENT
    return value


def _as_hex(value: object) -> Any:
    """Some tools write digests as their bytes, each as a number."""
    if not isinstance(value, list) or not all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= 0xFF for item in value
    ):
        return _ABSENT
    return bytes(value).hex()


def _shown(value: object) -> str:
    text = printable(msgspec.json.encode(value).decode())
    return text if len(text) <= PROBLEM_VALUE_CHARS_MAX else text[:PROBLEM_VALUE_CHARS_MAX] + "…"
