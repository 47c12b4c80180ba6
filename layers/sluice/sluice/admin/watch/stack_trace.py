"""Whether a stack works on a state, by what its reconcile leaves there.

``sluice index`` and ``sluice watch`` keep no reports of runs, so only a stack's functions do.
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
        f"{name} writes the state {channel.owner}, so its channels are indexed already. To watch "
        "them from here as well, which costs requests and harms nothing: --beside-stack"
    )
