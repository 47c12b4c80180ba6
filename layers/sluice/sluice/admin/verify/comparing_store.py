"""A store that compares published files with the existing ones instead of writing them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import msgspec

from sluice import zstd
from sluice.admin.verify.findings import CheckResults, Defect
from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, Archived, Corrupt
from sluice.publish.fence import Stamp
from sluice.storage.object_store import (
    DeferredPut,
    ETag,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    OpenObject,
    PreparedPut,
    StoredObject,
)

_ZST = ".zst"


class ComparingStore:
    """Looks empty, so that the publisher renders every file, and compares instead of writing.

    Answers untruthfully on purpose.  Bodies are compared as they are streamed: only the expected
    one is in memory as a whole.
    """

    def __init__(
        self,
        store: ObjectStore,
        results: CheckResults,
        *,
        since: Mapping[str, int] = MappingProxyType({}),
        foreign_may_stay: Collection[str] = (),
    ) -> None:
        """``since``: by key, the first generation of a file that may stand for a later one.

        Such a file is not written again while its content stays, so the content decides: a file of
        any generation between the two has to be the same, except for its stamp.
        ``foreign_may_stay``: keys where publishers keep a file that is not sluice's.
        """
        self._store = store
        self._results = results
        self._since = since
        self._foreign_may_stay = foreign_may_stay
        self.seen: set[str] = set()
        """Keys that were compared."""

    def now_ms(self) -> EpochMs:
        """See ``ObjectStore.now_ms``."""
        return self._store.now_ms()

    def head(self, key: str) -> ObjectInfo | None:
        """See ``ObjectStore.head``."""
        info = self._store.head(key) if key in self._foreign_may_stay else None
        return info if info and Stamp.parse(info.metadata) is None else None

    def get(self, key: str) -> StoredObject | None:  # noqa: ARG002
        """See ``ObjectStore.get``."""
        return None

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:  # noqa: ARG002
        """See ``ObjectStore.open``."""
        yield None

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        """See ``ObjectStore.read_range``; publishers read no ranges."""
        raise NotImplementedError

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """See ``ObjectStore.get_range``; publishers read no ranges."""
        raise NotImplementedError

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """See ``ObjectStore.put``; publishers write under a condition."""
        raise NotImplementedError

    def put_if(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,  # noqa: ARG002
        not_after_ms: EpochMs | None = None,  # noqa: ARG002
    ) -> ETag | None:
        """See ``ObjectStore.put_if``."""
        self.seen.add(key)
        self._compare(key, body, Stamp.parse(headers.metadata))
        return ETag('"held against"')

    def check_stamp(self, key: str, ours: Stamp) -> None:
        """Check only the owner and the generation of a file."""
        self.seen.add(key)
        info = self._store.head(key)
        if info is None:
            self._results.add_finding(Defect.FILE_MISSING, key, "it does not exist")
        elif mismatch := _stamp_mismatch(Stamp.parse(info.metadata), ours):
            self._results.add_finding(mismatch[0], key, mismatch[1])

    def prepare_put(
        self, key: str, body: bytes, headers: ObjectHeaders, *, expected: ETag | None
    ) -> PreparedPut:
        """See ``ObjectStore.prepare_put``."""
        return DeferredPut(self, key, body, headers, expected)

    def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``; no object seems to exist that could be deleted."""
        raise NotImplementedError

    def list(
        self,
        prefix: str,  # noqa: ARG002
        *,
        delimiter: str | None = None,  # noqa: ARG002
        after: str | None = None,  # noqa: ARG002
    ) -> Iterator[ObjectInfo]:
        """See ``ObjectStore.list``."""
        return iter(())

    def _compare(self, key: str, body: bytes, ours: Stamp | None) -> None:
        try:
            with self._store.open(key) as opened:
                if opened is None:
                    self._results.add_finding(Defect.FILE_MISSING, key, "it does not exist")
                    return
                current = Stamp.parse(opened.info.metadata)
                if current and ours and self._may_be_older(key, current, ours):
                    self._compare_content(key, body)
                elif mismatch := _stamp_mismatch(current, ours):
                    self._results.add_finding(mismatch[0], key, mismatch[1])
                elif not _has_same_bytes(opened, body):
                    self._compare_content(key, body)
        except Archived:
            self._results.add_finding(Defect.FILE_FOREIGN, key, "it is in an archive storage class")

    def _may_be_older(self, key: str, current: Stamp, ours: Stamp) -> bool:
        since = self._since.get(key)
        return (
            since is not None
            and current.owner == ours.owner
            and since <= current.generation < ours.generation
        )

    def _compare_content(self, key: str, body: bytes) -> None:
        """Compare decoded content: other bytes may mean the same, as with another zstd version."""
        stored = self._store.get(key)
        try:
            same = stored is not None and self._canonical(key, stored.body) == self._canonical(
                key, body
            )
        except (Corrupt, *DECODE_ERRORS):
            same = False
        if not same:
            self._results.add_finding(
                Defect.FILE_WRONG, key, "its content differs from what the catalog renders"
            )

    def _canonical(self, key: str, body: bytes) -> object:
        if key.endswith(_ZST):
            return zstd.decompress(body)
        if key not in self._since:
            return body
        return {**msgspec.json.decode(body, type=dict[str, Any]), "sluice": None}


def _stamp_mismatch(current: Stamp | None, ours: Stamp | None) -> tuple[Defect, str] | None:
    """The difference between a stamp and the expected one."""
    if current is None:
        return Defect.FILE_FOREIGN, "it has no stamp of sluice: another tool wrote it"
    if ours is None or current == ours:
        return None
    if current.owner != ours.owner:
        return Defect.FILE_FOREIGN, f"it was published by {current.owner}, not by {ours.owner}"
    return (
        Defect.FILE_BEHIND,
        f"it shows generation {current.generation} instead of {ours.generation}"
        if current.generation != ours.generation
        else f"it shows generation {ours.generation}, but another tree than the head",
    )


def _has_same_bytes(opened: OpenObject, body: bytes) -> bool:
    if opened.info.size != len(body):
        return False
    view, at = memoryview(body), 0
    for chunk in opened.chunks:
        if view[at : at + len(chunk)] != chunk:
            return False
        at += len(chunk)
    return at == len(body)
