"""``notices.json`` (CEP 6): what the operators of a channel tell its users.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sluice.channel_config import Notice
from sluice.publish.fence import Stamp


def render_notices(notices: Sequence[Notice], *, stamp: Stamp) -> bytes:
    """Serialise the document; what a notice does not say is left out."""
    plain = [
        {key: value for key, value in msgspec.to_builtins(notice).items() if value is not None}
        for notice in notices
    ]
    return msgspec.json.encode({"notices": plain, "sluice": stamp.body})
