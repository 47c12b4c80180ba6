"""The revision of repodata that a record needs (CEP 43, 44, 45, 48)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sluice.conda.match_spec import strip_quoted

LEGACY = 1
"""``packages`` and ``packages.conda``, which every client reads."""
V3 = 3
"""``v3`` at the top level, by bucket (CEP 48)."""

_V3_KEY = re.compile(r"(?:^|,)\s*(?:extras|flags|when)\s*=")
_OLD_CONDITION = re.compile(r";\s*if\s")


def required_revision(record: Mapping[str, Any]) -> int:
    """The oldest revision that can hold a record, by its own field and by its other fields.

    rattler-build calls that field ``repodata_revision``, CEP 43 calls it ``schema_version``.  A
    value that is not a whole number is ignored.  ``record`` is parsed JSON of any form.
    """
    declared = [record.get("repodata_revision"), record.get("schema_version")]
    minimum = V3 if _needs_v3(record) else LEGACY
    revision = max([minimum, *(number for number in declared if isinstance(number, int))])
    return revision if revision >= V3 else LEGACY


def v3_fields(record: Mapping[str, Any]) -> Iterator[str]:
    """The keys of a record whose values need revision 3."""
    yield from (key for key in ("extra_depends", "flags") if record.get(key))
    if not _has_plain_specs(record):
        yield from (
            key for key in ("depends", "constrains") if any(map(_is_v3_spec, _specs(record, key)))
        )


def has_old_condition(record: Mapping[str, Any]) -> bool:
    """Whether a dependency has a condition in the form before CEP 43: ``foo; if python <3``."""
    return not _has_plain_specs(record) and any(
        ";" in spec and _OLD_CONDITION.search(strip_quoted(spec))  # one in thousands
        for key in ("depends", "constrains")
        for spec in _specs(record, key)
    )


def _needs_v3(record: Mapping[str, Any]) -> bool:
    return any(v3_fields(record)) or has_old_condition(record)


def _has_plain_specs(record: Mapping[str, Any]) -> bool:
    """Whether no dependency has a key in brackets or a condition, as almost all records."""
    text = "".join([spec for key in ("depends", "constrains") for spec in _specs(record, key)])
    return "[" not in text and ";" not in text


def _is_v3_spec(spec: str) -> bool:
    """Whether a match spec has a key that older clients do not know, or would misread."""
    _, _, keys = spec.partition("[")
    return bool(keys) and _V3_KEY.search(strip_quoted(keys)) is not None


def _specs(record: Mapping[str, Any], key: str) -> list[str]:
    specs = record.get(key)
    return [spec for spec in specs if isinstance(spec, str)] if isinstance(specs, list) else []
