"""Index files of a subdir that was retired.

A retirement deletes them.  A merge that slept may write one afterwards, and a retirement that slept
may bury a head after another one has given up.  A client would read what no catalog describes.
"""

from __future__ import annotations

from collections.abc import Iterable

from sluice.catalog.head import Head
from sluice.concurrency import Executor
from sluice.layout import Subdir
from sluice.publish.fence import Stamp
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.storage.object_store import ObjectInfo, ObjectStore


def is_buried(info: ObjectInfo | None, head: Head, *, owner: str) -> bool:
    """Whether a file is one of ours that a retirement should have deleted.  Pure."""
    stamp = Stamp.parse(info.metadata) if info else None
    return (
        head.is_tombstone
        and stamp is not None
        and stamp.owner == owner
        and stamp.generation <= head.generation
    )


def delete_buried_files(
    channel: ObjectStore,
    subdir: Subdir,
    head: Head,
    *,
    owner: str,
    executor: Executor,
    files: Iterable[str] = ALL_OUTPUTS,
) -> None:
    """Delete such files; raises ``Unavailable``.

    ``head``: a tombstone.  A file that the subdir's next life writes at the same moment is written
    again by the next reconcile.
    """
    keys = [subdir.file_key(file) for file in files]
    infos = executor.map(channel.head, keys)
    buried = [
        key for key, info in zip(keys, infos, strict=True) if is_buried(info, head, owner=owner)
    ]
    if buried:
        channel.delete(buried)
