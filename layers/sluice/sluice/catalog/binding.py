"""The binding of a channel: the bucket that its catalog describes.

A state bucket outlives the parameters that point to it.  Without a binding, a changed bucket
parameter could pair an empty bucket with a full catalog, and sluice would remove every package.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs
from sluice.layout import channel_binding_key
from sluice.storage import object_headers
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import VersionedObject

FORMAT = 1
"""The newest format of bindings that this version reads, and the one that it writes."""


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``bindings/<channel>.json``."""

    bucket: str | None
    """Name of the channel bucket; ``None`` while a catalog without a binding is being moved, and
    after the channel was retired."""
    moving_to: str | UnsetType = UNSET
    """The bucket that ``sluice rebind`` is moving the catalog to.  Until it has moved every head,
    nobody else may write."""
    retiring: bool | UnsetType = UNSET
    """Whether ``sluice retire`` removes the catalog.  Then ``moving_to`` is the same bucket: an
    older sluice, which does not know this, refuses the catalog all the same."""
    endpoint: str | None = None
    """URL of that bucket's S3 server when it was bound.  For people; no decision depends on it."""
    created_at: EpochMs
    """Time of the binding."""
    writer: str
    """Unique to one attempt to write the binding, as in a head."""
    format: int = FORMAT

    @property
    def is_retiring(self) -> bool:
        """Whether the channel is being retired."""
        return self.retiring is True

    @property
    def is_released(self) -> bool:
        """Whether the channel was retired.

        A binding is never deleted: S3 deletes whatever is there, so a process that sleeps before it
        deletes would remove the binding of the channel's next life.
        """
        return self.bucket is None and not self.moving_to


def binding_object(state: ObjectStore, channel: str) -> VersionedObject[Binding | None]:
    """The binding of a channel, for reading and swapping; ``None`` while it is unbound.

    Also ``None`` if the channel was retired; there is an ETag then, to swap it against.
    """
    return VersionedObject(
        store=state,
        key=channel_binding_key(channel),
        name=channel_binding_key(channel),
        initial=None,
        encode=msgspec.json.encode,
        decode=_decode_binding,
        headers=object_headers.PRIVATE_JSON_HEADERS,
    )


def _decode_binding(body: bytes, *, what: str) -> Binding | None:
    binding = unpack_json(body, Binding, newest=FORMAT, what=what)
    return None if binding.is_released else binding
