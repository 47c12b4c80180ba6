"""The values of ``info/index.json`` that clients can read, by key, and in general.

As strict as the strictest client, rattler's ``PackageRecord``, and no stricter: a value that it
cannot parse makes the whole ``repodata.json`` unreadable for it.  Keys newer than that client
follow their CEPs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import unquote_to_bytes

from sluice.limits import JSON_DEPTH_MAX

_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1  # the range of msgpack
# rattler reads a timestamp as seconds up to the first of these, as milliseconds above it, and fails
# on times that its calendar does not have.
_TIMESTAMP_SECONDS_MAX = 253_402_300_799
_CALENDAR_END_SECONDS = 253_402_207_200
_DIGIT_RUN_MAX = 2**31 - 1
_DIGITS_MAX = 10
"""Digits of a number in a version.  Python refuses to parse thousands of them."""

# A version's segments (CEP 33): separated by one "." or "_"; the last may end in "_".
_SEGMENTS = r"[0-9a-z]+(?:[._][0-9a-z]+)*_?"
_VERSION = re.compile(rf"(?:[0-9]+!)?{_SEGMENTS}(?:\+{_SEGMENTS})?")
_DIGITS = re.compile(r"[0-9]+")
_PURL = re.compile(
    r"pkg:/{0,2}[A-Za-z][A-Za-z0-9.-]*(?:/[^/@?#\s]+)+"  # type, namespace, name
    r"(?:@[^/@?#\s]+)?(?:\?[a-z][a-z0-9._-]*=[^#&\s]+)?(?:#[^#\s]+)?"  # version, qualifier, path
)
_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RUN_EXPORTS_GROUPS = ("noarch", "strong", "strong_constrains", "weak", "weak_constrains")
_GROUP = re.compile(r"[a-z0-9_.+-]{1,64}")
_FLAG = re.compile(r"[a-z0-9_]+(?::[a-z0-9_]+)?")
_TRACK_FEATURES = "track_features"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FieldRule:
    """The rule for the value of a key."""

    accepts: Callable[[object], bool]
    description: str
    """For the sentence: "... instead of <description>"."""


def is_string_list(value: object) -> TypeGuard[list[str]]:
    """Whether this is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def with_feature_string(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with ``track_features`` as a string (CEP 34), which some builders make a list.

    Consumers other than clients cannot read a list.  An empty one is left out.
    """
    features = record.get(_TRACK_FEATURES)
    if not is_string_list(features):
        return record
    joined = " ".join(filter(None, features))
    if joined:
        return {**record, _TRACK_FEATURES: joined}
    return {key: value for key, value in record.items() if key != _TRACK_FEATURES}


def is_version(version: str) -> bool:
    """Whether every client can read and order this version (CEP 33)."""
    return _VERSION.fullmatch(version) is not None and all(
        len(run) <= _DIGITS_MAX and int(run or "0") <= _DIGIT_RUN_MAX
        for run in (run.lstrip("0") for run in _DIGITS.findall(version))
    )


def is_unicode(text: str) -> bool:
    """Whether this can be encoded: JSON can escape half a surrogate pair."""
    return _SURROGATE.search(text) is None


def unpublishable_reason(value: object) -> str | None:
    """The reason why JSON or msgpack cannot hold this parsed JSON value, as the end of a clause."""
    if _is_ascii(value) or (isinstance(value, list) and all(map(_is_ascii, value))):
        return None  # most values
    layer = [value]
    for _ in range(JSON_DEPTH_MAX):
        inner: list[object] = []
        for item in layer:
            if isinstance(item, dict):
                inner += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, str) and not is_unicode(item):
                return "is not valid Unicode"
            elif isinstance(item, int) and not _INT64_MIN <= item <= _UINT64_MAX:
                return "has an integer of more than 64 bits"
            elif isinstance(item, float) and not math.isfinite(item):
                return "has a number that is too large"
        layer = inner
    return f"is nested deeper than {JSON_DEPTH_MAX} levels" if layer else None


def _is_ascii(value: object) -> bool:
    return isinstance(value, str) and value.isascii()


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _UINT64_MAX


def _is_timestamp(value: object) -> bool:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return False
    unit = 1 if value <= _TIMESTAMP_SECONDS_MAX else 1000
    return value <= _CALENDAR_END_SECONDS * unit


def _is_noarch(value: object) -> bool:
    # Booleans are from before 2017, and some servers write "".
    return isinstance(value, bool) or value in ("python", "generic", "")


def _is_features(value: object) -> bool:
    return isinstance(value, str) or is_string_list(value)


def _is_purls(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) and _is_purl(item) for item in value
    )


def _is_purl(text: str) -> bool:
    # rattler decodes percent-encoding and checks the form of checksums.
    decoded = unquote_to_bytes(text.encode("utf-8", "replace"))
    if decoded.decode("utf-8", "replace").encode() != decoded or "checksum=" in text.lower():
        return False
    return _PURL.fullmatch(text) is not None


def _is_groups(value: object) -> bool:
    return isinstance(value, dict) and all(
        _GROUP.fullmatch(name) and is_string_list(specs) for name, specs in value.items()
    )


def _is_flags(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) and _FLAG.fullmatch(item) for item in value
    )


def _is_md5(value: object) -> bool:
    return isinstance(value, str) and _MD5.fullmatch(value) is not None


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_run_exports(value: object) -> bool:
    return isinstance(value, dict) and all(
        is_string_list(value[group]) for group in _RUN_EXPORTS_GROUPS if group in value
    )


_STRING = FieldRule(_is_string, "a string")
_STRING_LIST = FieldRule(is_string_list, "a list of strings")
_COUNT = FieldRule(_is_count, "a non-negative integer")

FIELD_RULES: Mapping[str, FieldRule] = {
    "name": _STRING,
    "version": _STRING,
    "build": _STRING,
    "build_number": _COUNT,
    "subdir": _STRING,
    "arch": _STRING,
    "attestations_sha256": FieldRule(_is_sha256, "a SHA-256 in hex"),
    "depends": _STRING_LIST,
    "constrains": _STRING_LIST,
    "date": _STRING,
    "extra_depends": FieldRule(
        _is_groups, "an object of lists of strings under names of a-z, 0-9 and _.+- (CEP 44)"
    ),
    "features": _STRING,
    "flags": FieldRule(_is_flags, 'a list of flags such as "cuda" or "blas:mkl" (CEP 45)'),
    "legacy_bz2_md5": FieldRule(_is_md5, "an MD5 in hex"),
    "legacy_bz2_size": _COUNT,
    "license": _STRING,
    "license_family": _STRING,
    "noarch": FieldRule(_is_noarch, '"python", "generic" or a boolean'),
    "platform": _STRING,
    "preferred_env": _STRING,
    "purls": FieldRule(_is_purls, "a list of package URLs (pkg:type/name)"),
    "python_site_packages_path": _STRING,
    "repodata_revision": _COUNT,
    "timestamp": FieldRule(_is_timestamp, "the time of the build in milliseconds since 1970"),
    "track_features": FieldRule(_is_features, "a string or a list of strings"),
}
"""The rules for every key that some client reads."""

RUN_EXPORTS_RULE = FieldRule(_is_run_exports, "an object of lists of strings")
"""The rule for ``run_exports.json`` and shards (CEP 12, 21).  Packages have run exports in a
separate file."""
