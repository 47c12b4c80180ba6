"""Keeps the index of conda channels on S3 up to date from events.

For people: ``sluice.open_channel("s3://bucket/channel")``, and what can be asked of a channel and
done with it, each a function that takes it first.  See ``sluice.operate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.operate.channel import Channel as Channel
    from sluice.operate.opening import open_channel as open_channel
    from sluice.operate.status import status as status

# The functions import sluice to start, and need none of this: it is imported when it is asked for.
_MODULES = {
    "Channel": "sluice.operate.channel",
    "open_channel": "sluice.operate.opening",
    "status": "sluice.operate.status",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - a list of text


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_MODULES[name]), name)
