"""The order of a name's records, by version, build number and timestamp.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.conda.record_fields import is_version
from sluice.conda.timestamps import EpochMs, timestamp_ms
from sluice.conda.version import Version


class BuildOrderKey(NamedTuple):
    """A sort key by which the newest sorts last."""

    version: Version
    build_number: int
    timestamp: EpochMs
    """0 if the record has none."""


def build_order_key(record: Mapping[str, Any]) -> BuildOrderKey | None:
    """The sort key of a record, which is parsed JSON of any form.

    ``None`` if it cannot be ordered, as some records of an existing index.
    """
    version, build_number = record.get("version"), record.get("build_number", 0)
    if not isinstance(version, str) or not is_version(version.lower()):
        return None
    if not isinstance(build_number, int):
        return None
    return BuildOrderKey(Version(version), build_number, timestamp_ms(record.get("timestamp")))
