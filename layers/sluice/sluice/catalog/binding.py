"""The binding of a channel: the bucket that its catalog describes.

A state bucket outlives the parameters that lead to it.  Without a binding, a changed bucket
parameter would have an empty bucket compared with a full catalog, and every package removed.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, unpack_json
from sluice.errors import Unavailable
from sluice.layout import channel_binding
from sluice.limits import WRITE_ATTEMPTS_MAX
from sluice.storage import object_headers
from sluice.storage.object_store import ETag, ObjectStore


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """As stored in ``bindings/<channel>.json``."""

    bucket: str | None
    """Name of the channel bucket; ``None`` while a catalog that had no binding is being moved."""
    moving_to: str | UnsetType = UNSET
    """The bucket that ``sluice rebind`` is moving the catalog to.  Until it has moved every head,
    nobody else writes."""
    endpoint: str | None = None
    """Where that bucket was when it was bound.  For people; nothing is decided by it."""
    created_at: int
    """ms since the epoch."""
    writer: str
    """Unique to one attempt to write it, as in a head."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class BindingVersion:
    """A binding and the ETag to replace it against."""

    binding: Binding | None
    """``None`` where the channel is not bound."""
    etag: ETag | None


UNBOUND = BindingVersion(None, None)


def read_binding(state: ObjectStore, channel: str) -> BindingVersion:
    """Read the binding of a channel, or ``UNBOUND``; raises ``Corrupt`` and ``TooNew``."""
    key = channel_binding(channel)
    stored = state.get(key)
    if stored is None:
        return UNBOUND
    return BindingVersion(unpack_json(stored.body, Binding, what=key), stored.info.etag)


def write_binding(
    state: ObjectStore, channel: str, binding: Binding, *, expected: ETag | None
) -> BindingVersion | None:
    """Replace exactly the version ``expected``; ``None`` if somebody else was first.

    Settled by reading back, see ``catalog.commit.swap_head``.  Raises ``Unavailable`` where that
    does not settle it.
    """
    key, body = channel_binding(channel), msgspec.json.encode(binding)
    for _ in range(WRITE_ATTEMPTS_MAX):
        etag = state.put_if(key, body, object_headers.PRIVATE_JSON, expected=expected)
        if etag is not None:
            return BindingVersion(binding, etag)
        stored = state.get(key)
        if stored is not None and stored.body == body:
            return BindingVersion(binding, stored.info.etag)
        if (stored.info.etag if stored else None) != expected:
            return None
    raise Unavailable(f"{key} could not be written in {WRITE_ATTEMPTS_MAX} tries")
