"""The binding of a channel: the bucket that its catalog describes.

A state bucket outlives the parameters that lead to it.  Without a binding, a changed bucket
parameter would have an empty bucket compared with a full catalog, and every package removed.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import FORMAT, unpack_json
from sluice.layout import channel_binding_key
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import ObjectVersion, VersionedObject


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


UNBOUND: ObjectVersion[Binding | None] = ObjectVersion(None, None)


def binding_object(state: ObjectStore, channel: str) -> VersionedObject[Binding | None]:
    """The binding of a channel, to be read and swapped; ``None`` while it is unbound."""
    return VersionedObject(
        store=state,
        key=channel_binding_key(channel),
        name=channel_binding_key(channel),
        initial=None,
        encode=msgspec.json.encode,
        decode=_decode_binding,
        headers=object_headers.PRIVATE_JSON_HEADERS,
    )


def _decode_binding(body: bytes, *, what: str) -> Binding:
    return unpack_json(body, Binding, what=what)
