"""Keeps the index of conda channels on S3 up to date from events.

For people: ``sluice.open_channel("s3://bucket/channel")``, and what can be asked of a channel and
done with it, each a function that takes it first.  See ``sluice.operate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.operate.channel import Channel as Channel
    from sluice.operate.diff import diff as diff
    from sluice.operate.history import follow as follow
    from sluice.operate.history import log as log
    from sluice.operate.index import index as index
    from sluice.operate.opening import open_channel as open_channel
    from sluice.operate.pins import pin as pin
    from sluice.operate.pins import pins as pins
    from sluice.operate.pins import unpin as unpin
    from sluice.operate.rebind import rebind as rebind
    from sluice.operate.reconciling import reconcile_channel as reconcile_channel
    from sluice.operate.redrive import redrive as redrive
    from sluice.operate.rejects import rejects as rejects
    from sluice.operate.remove import remove as remove
    from sluice.operate.repair import repair as repair
    from sluice.operate.rollback import rollback as rollback
    from sluice.operate.show import show as show
    from sluice.operate.snapshot import snapshot as snapshot
    from sluice.operate.status import status as status
    from sluice.operate.verify import verify as verify

# The functions import sluice to start, and need none of this: it is imported when it is asked for.
_MODULES = {
    "Channel": "sluice.operate.channel",
    "diff": "sluice.operate.diff",
    "follow": "sluice.operate.history",
    "index": "sluice.operate.index",
    "log": "sluice.operate.history",
    "open_channel": "sluice.operate.opening",
    "pin": "sluice.operate.pins",
    "pins": "sluice.operate.pins",
    "rebind": "sluice.operate.rebind",
    "reconcile_channel": "sluice.operate.reconciling",
    "redrive": "sluice.operate.redrive",
    "rejects": "sluice.operate.rejects",
    "remove": "sluice.operate.remove",
    "rollback": "sluice.operate.rollback",
    "repair": "sluice.operate.repair",
    "show": "sluice.operate.show",
    "snapshot": "sluice.operate.snapshot",
    "status": "sluice.operate.status",
    "unpin": "sluice.operate.pins",
    "verify": "sluice.operate.verify",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - a list of text


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_MODULES[name]), name)
