"""Which revision of repodata can say what a record says (CEP 43, 44, 45, 48)."""

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
    """The oldest revision that a record can stand in: what it asks for, or what its fields need.

    ``repodata_revision`` is rattler-build's word for it, ``schema_version`` that of CEP 43; what
    is no whole number there asks for nothing.  ``record`` is parsed JSON of any form.
    """
    declared = [record.get("repodata_revision"), record.get("schema_version")]
    minimum = V3 if _needs_v3(record) else LEGACY
    revision = max([minimum, *(number for number in declared if isinstance(number, int))])
    return revision if revision >= V3 else LEGACY


def v3_fields(record: Mapping[str, Any]) -> Iterator[str]:
    """The keys of a record whose values no older revision can say."""
    yield from (key for key in ("extra_depends", "flags") if record.get(key))
    yield from (
        key for key in ("depends", "constrains") if any(map(_is_v3_spec, _specs(record, key)))
    )


def has_old_condition(record: Mapping[str, Any]) -> bool:
    """Tell whether a dependency has a condition as it was before CEP 43: ``foo; if python <3``."""
    return any(
        ";" in spec and _OLD_CONDITION.search(strip_quoted(spec))  # one in thousands
        for key in ("depends", "constrains")
        for spec in _specs(record, key)
    )


def _needs_v3(record: Mapping[str, Any]) -> bool:
    return any(v3_fields(record)) or has_old_condition(record)


def _is_v3_spec(spec: str) -> bool:
    """Tell whether a match spec has a key that older clients do not know, or would misread."""
    _, _, keys = spec.partition("[")
    return bool(keys) and _V3_KEY.search(strip_quoted(keys)) is not None


def _specs(record: Mapping[str, Any], key: str) -> Iterator[str]:
    specs = record.get(key)
    if isinstance(specs, list):
        yield from (spec for spec in specs if isinstance(spec, str))
