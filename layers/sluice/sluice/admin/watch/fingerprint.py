"""Fingerprints of a channel, which show by one listing whether anything has changed.

A comparison with the catalog reads heads, trees, marks and index files.  While neither an object of
the channel nor its catalog nor its staging log has changed since one that left nothing to do, there
is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from sluice.admin.session.channel import Channel
from sluice.layout import key_after_prefix, state_prefix
from sluice.limits import KEYS_PER_PAGE
from sluice.storage.object_store import ObjectInfo

_STATE_KINDS = ("heads", "staging")


def channel_fingerprint(channel: Channel) -> bytes:
    """The fingerprint of a channel's objects, heads and staging records.  Raises ``Unavailable``.

    It costs a request for each page of the listing, one for each folder that is left out after a
    page of it, and two for the state.  Memory does not grow with the channel.
    """
    digest = sha256()
    for info in _objects(channel):
        digest.update(f"{info.key}\0{info.etag}\0{info.size}\0{info.modified}\n".encode())
    for kind in _STATE_KINDS:
        digest.update(b"\0")
        for info in channel.state.list(state_prefix(kind, channel.name)):
            digest.update(f"{info.key}\0{info.etag}\n".encode())
    return digest.digest()


def _objects(channel: Channel) -> Iterator[ObjectInfo]:
    """The objects of a channel and its subdirs; of the folders in these, as of shards, a page."""
    prefix = f"{channel.name}/" if channel.name else ""
    after: str | None = None
    while True:
        nested, seen = "", 0
        for info in channel.public.list(prefix, after=after):
            parts = info.key.removeprefix(prefix).split("/", 2)
            if len(parts) < 3:
                yield info
                continue
            folder = f"{prefix}{parts[0]}/{parts[1]}/"
            nested, seen = folder, seen + 1 if folder == nested else 1
            if seen > KEYS_PER_PAGE:
                break
        else:
            return
        after = key_after_prefix(nested)
