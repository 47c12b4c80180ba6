"""Which record of a name is the newest: by version, build number and timestamp.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.conda.record_fields import is_version
from sluice.conda.timestamps import in_milliseconds
from sluice.conda.version import Version


class Age(NamedTuple):
    """What decides; the newest sorts last."""

    version: Version
    build_number: int
    timestamp: int
    """Milliseconds since the epoch; 0 where the record does not say."""


def age_of(record: Mapping[str, Any]) -> Age | None:
    """The age of a record, parsed JSON of any form.

    ``None`` where nobody can tell, as in records of an index that was taken over.
    """
    version, build_number = record.get("version"), record.get("build_number", 0)
    if not isinstance(version, str) or not is_version(version.lower()):
        return None
    if not isinstance(build_number, int):
        return None
    return Age(Version(version), build_number, in_milliseconds(record.get("timestamp")))
