"""The queues and the staging log, kept in this process instead of in SQS and S3.

If the process dies, the next one compares the bucket with the catalog and finds all unmerged work
again.  So nothing in these queues can get lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import merge

from sluice.conda.timestamps import Clock
from sluice.extract.handler import route_event
from sluice.layout import PackageKey
from sluice.messages import s3_event
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectInfo, ObjectStore, StoredObject
from sluice.storage.wrappers.forwarding import ForwardingStore

_STAGING = "staging/"
_LOCAL_ETAG = ETag('"local"')


class InProcessMergeQueue:
    """A ``FifoQueue`` of merge requests in memory.

    Nothing waits for a window to close, because all that was staged for a request is there when it
    is taken.  So a deduplication id only counts while its message is in the queue.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}

    def send(self, body: str, *, group: str, deduplication_id: str) -> None:  # noqa: ARG002
        """See ``FifoQueue.send``."""
        self._waiting.setdefault(deduplication_id, body)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """See ``FifoQueue.change_visibility``; no message is ever returned here."""
        raise NotImplementedError

    def drain(self) -> Iterator[str]:
        """Yield all requests, including those added meanwhile, until the queue is empty."""
        while self._waiting:
            yield self._waiting.pop(next(iter(self._waiting)))


class InProcessUploadQueue:
    """An ``UploadQueue`` in memory: the packages to read."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._bodies: deque[str] = deque()

    def send_all(self, bodies: Sequence[str]) -> None:
        """See ``UploadQueue.send_all``."""
        self._bodies.extend(bodies)

    def drain(self) -> dict[PackageKey, int | None]:
        """All packages with their sizes in bytes, if known, each once."""
        sizes: dict[PackageKey, int | None] = {}
        while self._bodies:
            for event in s3_event.parse_s3_event_body(self._bodies.popleft()):
                key = route_event(event, bucket=self._bucket)
                if isinstance(key, PackageKey):
                    sizes[key] = event.size
        return sizes


class LocalStagingStore(ForwardingStore):
    """A state bucket whose staging records are kept in this process.

    Listings also show records staged by others, except while ``hide_remote`` is set.
    """

    def __init__(self, state: ObjectStore, clock: Clock) -> None:
        super().__init__(state)
        self._clock = clock
        self._staged: dict[str, StoredObject] = {}
        self.hide_remote = False
        self.known_empty_prefixes: set[str] = set()
        """Staging prefixes that were empty in S3 when last listed.  Records staged by others after
        this are left to the stack or to the next run."""

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        local = self._staged.get(key)
        return local.info if local else self._store.head(key)

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore.get``."""
        return self._staged.get(key) or self._store.get(key)

    def held(self, key: str) -> StoredObject | None:
        """See ``HoldsStaged.held``."""
        return self._staged.get(key)

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``."""
        if not key.startswith(_STAGING):
            self._store.put(key, body, headers)
            return
        # Staging records have keys of their own, and are never replaced.
        info = ObjectInfo(key, _LOCAL_ETAG, len(body), self._clock() // 1000)
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
