"""The isolation of staging records with which no merge succeeds, so that all others are merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from sluice.errors import TooLarge
from sluice.extract import staging
from sluice.extract.staging import StagingBatch
from sluice.layout import Subdir
from sluice.limits import MERGE_BATCH_RECORDS_MAX, UNEXPLAINED_SET_ASIDE_MAX
from sluice.storage.object_store import ObjectStore

_SHRINKS_BY = 10
_UNEXPLAINED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
)
"""The errors that Python raises for data that nobody thought of, and never for a failed request."""


@dataclass(slots=True)
class Isolation:
    """Merges ever fewer records at once, until those that fail alone are set aside."""

    state: ObjectStore
    subdir: Subdir
    batch_records: int = MERGE_BATCH_RECORDS_MAX
    """Staging records per commit, at most."""
    set_aside: list[str] = field(default_factory=list)
    """A sentence for each record that was set aside."""
    _records_max: int = 0
    _unexplained: int = 0

    def merge_batch(
        self, after: str | None, merge: Callable[[str | None, int], StagingBatch]
    ) -> StagingBatch:
        """Call ``merge`` with ``after`` and a number of records until it succeeds.

        Raises its error if the log is empty, if the error is about a request, or if so many
        records fail without a known reason that the reason cannot be the records.
        """
        self._records_max = self._records_max or self.batch_records
        while True:
            try:
                batch = merge(after, self._records_max)
            except (TooLarge, *_UNEXPLAINED) as failure:
                if self._records_max > 1:
                    self._records_max = max(self._records_max // _SHRINKS_BY, 1)
                elif not self._set_aside_first(after, failure):
                    raise
            else:
                self._records_max = min(self._records_max * _SHRINKS_BY, self.batch_records)
                return batch

    def _set_aside_first(self, after: str | None, failure: Exception) -> bool:
        if not isinstance(failure, TooLarge):
            self._unexplained += 1
            if self._unexplained > UNEXPLAINED_SET_ASIDE_MAX:
                return False
        listed = next(iter(self.state.list(self.subdir.staging_prefix, after=after)), None)
        stored = self.state.get(listed.key) if listed else None
        if stored is None:
            return False
        staging.set_aside_unreadable(self.state, self.subdir, [(stored.info.key, stored.body)])
        self.set_aside.append(f"{stored.info.key}: {type(failure).__name__}: {failure}")
        return True
