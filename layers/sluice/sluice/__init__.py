"""Indexes conda channels on S3, and keeps the indexes up to date from S3 events.

This module is the Python API.  ``sluice.open_channel("s3://bucket/channel")`` returns a channel.
The other functions take it as their first argument.  See ``sluice.admin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.admin.changes.pins import pin as pin
    from sluice.admin.changes.pins import pins as pins
    from sluice.admin.changes.pins import unpin as unpin
    from sluice.admin.changes.rebind import rebind as rebind
    from sluice.admin.changes.reconcile import reconcile_channel as reconcile_channel
    from sluice.admin.changes.redrive import redrive as redrive
    from sluice.admin.changes.remove import remove as remove
    from sluice.admin.changes.retire import retire as retire
    from sluice.admin.changes.rollback import rollback as rollback
    from sluice.admin.changes.snapshot import snapshot as snapshot
    from sluice.admin.history.diff import diff as diff
    from sluice.admin.history.log import follow as follow
    from sluice.admin.history.log import log as log
    from sluice.admin.history.rejects import rejects as rejects
    from sluice.admin.history.show import show as show
    from sluice.admin.history.status import status as status
    from sluice.admin.session.channel import Channel as Channel
    from sluice.admin.session.connect import open_channel as open_channel
    from sluice.admin.standalone.index import index as index
    from sluice.admin.verify.repair import repair as repair
    from sluice.admin.verify.verify import verify as verify

__version__ = "0.1.0"
"""Of everything that is released together: the package, the stack and its layer.  This is the one
source of it; ``tests/infra/test_version.py`` compares what has to state it a second time."""

# Lambda imports sluice at each cold start and needs none of these: each is imported on first use.
_MODULES = {
    "Channel": "sluice.admin.session.channel",
    "diff": "sluice.admin.history.diff",
    "follow": "sluice.admin.history.log",
    "index": "sluice.admin.standalone.index",
    "log": "sluice.admin.history.log",
    "open_channel": "sluice.admin.session.connect",
    "pin": "sluice.admin.changes.pins",
    "pins": "sluice.admin.changes.pins",
    "rebind": "sluice.admin.changes.rebind",
    "reconcile_channel": "sluice.admin.changes.reconcile",
    "redrive": "sluice.admin.changes.redrive",
    "rejects": "sluice.admin.history.rejects",
    "remove": "sluice.admin.changes.remove",
    "retire": "sluice.admin.changes.retire",
    "rollback": "sluice.admin.changes.rollback",
    "repair": "sluice.admin.verify.repair",
    "show": "sluice.admin.history.show",
    "snapshot": "sluice.admin.changes.snapshot",
    "status": "sluice.admin.history.status",
    "unpin": "sluice.admin.changes.pins",
    "verify": "sluice.admin.verify.verify",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - names, not literals


def __getattr__(name: str) -> Any:
    """Import a name of the public API on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_MODULES[name]), name)
