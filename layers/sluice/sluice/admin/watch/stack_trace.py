"""Detects a stack that works on the same state, from the objects that its reconcile writes.

Only a stack's functions keep reports of runs; ``sluice index`` and ``sluice watch`` keep none.
"""

from __future__ import annotations

from sluice.admin.session.channel import Channel
from sluice.errors import Misused
from sluice.layout import state_prefix
from sluice.limits import WATCH_STACK_TRACE_SECONDS

_CLAIMS = f"{state_prefix('reconciliations', None)}claims/"


def require_no_stack(channel: Channel) -> None:
    """Raise ``Misused`` if a stack is named, or works on the state; and ``Unavailable``.

    A claim is written by each run of a stack's reconcile, one object for each request that there
    is, so a page has them all.  A stack that has never reconciled leaves none.
    """
    if channel.stack is not None:
        name = f"the stack {channel.stack.name!r}"
    else:
        oldest = channel.clock() // 1000 - WATCH_STACK_TRACE_SECONDS
        if all(info.modified < oldest for info in channel.state.list(_CLAIMS)):
            return
        name = "a stack"
    raise Misused(
        f"{name} already indexes the channels of the state {channel.owner}. To watch them from "
        "here as well, add --beside-stack. That is safe, but costs additional requests"
    )
