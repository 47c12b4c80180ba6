"""What a server has counted of one operation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Count:
    """What one operation amounted to."""

    requests: int = 0
    bytes_up: int = 0
    """Of request bodies."""
    bytes_down: int = 0
    """Of response bodies."""
