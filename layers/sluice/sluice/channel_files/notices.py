"""``notices.json`` (CEP 6): messages from the operators of a channel to its users.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sluice.channel_config import Notice
from sluice.publish.fence import Stamp


def render_notices(notices: Sequence[Notice], *, stamp: Stamp) -> bytes:
    """Serialize the document without absent fields."""
    plain = [
        {key: value for key, value in msgspec.to_builtins(notice).items() if value is not None}
        for notice in notices
    ]
    return msgspec.json.encode({"notices": plain, "sluice": stamp.body})
