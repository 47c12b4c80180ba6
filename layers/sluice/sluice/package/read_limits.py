"""The limits of reading one package: small ones first, and the full ones in the slow lane."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sluice.limits import (
    FIRST_READ_CPU_SECONDS_MAX,
    FIRST_READ_INDEX_BYTES_MAX,
    FIRST_READ_WHOLE_BYTES_MAX,
    INFO_UNPACKED_BYTES_MAX,
    PACKAGE_CPU_SECONDS_MAX,
)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What may be spent on one package; what exceeds it is ``LimitExceeded``."""

    index_bytes_max: int
    """Bytes that are unpacked until ``info/index.json`` is complete.  A format may allow fewer."""
    cpu_seconds_max: float
    """CPU time in which all info files are unpacked."""
    whole_read_bytes_max: float
    """Size of an object that is read whole to hash it."""


FIRST_READ = ReadLimits(
    index_bytes_max=FIRST_READ_INDEX_BYTES_MAX,
    cpu_seconds_max=FIRST_READ_CPU_SECONDS_MAX,
    whole_read_bytes_max=FIRST_READ_WHOLE_BYTES_MAX,
)
"""For the queue that all uploads share: no package holds up those behind it for long."""
FULL_READ = ReadLimits(
    index_bytes_max=INFO_UNPACKED_BYTES_MAX,
    cpu_seconds_max=PACKAGE_CPU_SECONDS_MAX,
    whole_read_bytes_max=math.inf,
)
"""A package that exceeds these is rejected."""
