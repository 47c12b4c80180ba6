"""Which revision of repodata can say what a record says (CEP 43, 44, 45, 48)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LEGACY = 1
"""``packages`` and ``packages.conda``, which every client reads."""
V3 = 3
"""``v3`` at the top level, by bucket (CEP 48)."""

# A match spec with a key that older clients do not know, or would misread.
# The class leaves "[" out as well, or a long run of them would be searched from each one.
_SPEC_OF_V3 = re.compile(r"\[[^\[\]]*\b(?:extras|flags|when)\s*=|;\s*if\b")


def required_revision(record: Mapping[str, Any]) -> int:
    """The oldest revision that a record can stand in: what it asks for, or what its fields need.

    ``repodata_revision`` is rattler-build's word for it, ``schema_version`` that of CEP 43.
    Other values of those than whole numbers ask for nothing.
    """
    asked = [record.get("repodata_revision"), record.get("schema_version")]
    revision = max((one for one in asked if isinstance(one, int)), default=LEGACY)
    if record.get("extra_depends") or record.get("flags"):
        revision = max(revision, V3)
    if any(map(_SPEC_OF_V3.search, _specs(record))):
        revision = max(revision, V3)
    return revision if revision >= V3 else LEGACY


def _specs(record: Mapping[str, Any]) -> Iterator[str]:
    for name in ("depends", "constrains"):
        specs = record.get(name) or []
        yield from (spec for spec in specs if isinstance(spec, str))
