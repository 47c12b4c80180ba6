"""The queues and the staging log of sluice, held in this process instead of in SQS and S3.

What a process that reads and merges by itself has not merged when it dies is found again by the
next one, which compares the bucket with the catalog: there is nothing in here that would be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import md5
from heapq import merge

from sluice.extract.handler import route_event
from sluice.layout import PackageKey
from sluice.messages import s3_event
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectInfo, ObjectStore, StoredObject
from sluice.storage.wrappers.forwarding import ForwardingStore

_STAGING = "staging/"


class InProcessMergeQueue:
    """``FifoQueue`` of requests for merges, carried out by whoever takes them.

    Nothing waits for a window to close: all that was staged under a request is there when it is
    taken.  So an id counts as sent only while its message is waiting.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:  # noqa: ARG002
        """See ``FifoQueue.send``."""
        self._waiting.setdefault(deduplication_id, body)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``; what was taken is never given back."""
        raise NotImplementedError

    def drain(self) -> Iterator[str]:
        """Yield what waits, also what comes to wait meanwhile, until there is nothing left."""
        while self._waiting:
            yield self._waiting.pop(next(iter(self._waiting)))


class InProcessUploadQueue:
    """``UploadQueue`` of packages that are to be read."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._bodies: deque[str] = deque()

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``."""
        self._bodies.extend(bodies)

    def drain(self) -> dict[PackageKey, int | None]:
        """All of them with their sizes in bytes, as far as they are known, and none twice."""
        sizes: dict[PackageKey, int | None] = {}
        while self._bodies:
            for event in s3_event.parse_s3_event_body(self._bodies.popleft()):
                key = route_event(event, bucket=self._bucket)
                if isinstance(key, PackageKey):
                    sizes[key] = event.size
        return sizes


class LocalStagingStore(ForwardingStore):
    """A state bucket of which this process keeps for itself what it stages.

    What others have staged shows in listings as well, except while ``hide_remote`` is set.
    """

    def __init__(self, state: ObjectStore, clock: Callable[[], int]) -> None:
        super().__init__(state)
        self._clock = clock
        self._staged: dict[str, StoredObject] = {}
        self.hide_remote = False
        self.known_empty_prefixes: set[str] = set()
        """Folders in which nobody else had staged anything when it was looked.  What has come since
        is for whoever was told of it, or for the next run."""

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        local = self._staged.get(key)
        return local.info if local else self._store.head(key)

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        return self._staged.get(key) or self._store.get(key)

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        if not key.startswith(_STAGING):
            self._store.put(key, body, headers)
            return
        etag = ETag(f'"{md5(body, usedforsecurity=False).hexdigest()}"')
        info = ObjectInfo(key, etag, len(body), self._clock() // 1000)
        self._staged[key] = StoredObject(info, body)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        remote_keys = [key for key in keys if self._staged.pop(key, None) is None]
        if remote_keys:
            self._store.delete(remote_keys)

    def list(
        self, prefix: str, *, delimiter: str | None = None, after: str | None = None
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        if not prefix.startswith(_STAGING):
            return self._store.list(prefix, delimiter=delimiter, after=after)
        local_keys = sorted(
            key
            for key in list(self._staged)
            if key.startswith(prefix) and (after is None or key > after)
        )
        infos = (self._staged[key].info for key in local_keys)
        if self.hide_remote or prefix in self.known_empty_prefixes:
            return infos
        remote_infos = self._store.list(prefix, delimiter=delimiter, after=after)
        return merge(infos, remote_infos, key=lambda info: info.key)
