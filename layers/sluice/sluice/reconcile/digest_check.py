"""Checks digests that uploaders state: hashes a sample of a subdir's packages completely.

Extract believes ``package-sha256`` in the metadata of a large package, because reading it whole
takes long.  Clients notice a lie, and refuse the package, but nobody else does.  So reconcile
hashes a bounded number of such packages a day, the oldest first.  A package that does not have the
digests that its metadata states is rejected like any other: by a staging record about that very
object, on which merge decides.

What a check costs is stored before it begins, by compare-and-swap.  So two runs on one day hash no
more than one, and a step that was killed is not repeated at full cost.  A run that meets another at
work leaves the rest to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from sluice.catalog.entry import DIGESTS_FALSE, NEVER_OUTDATED, Entry, Record
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.conda.names import package_name
from sluice.errors import Archived, Changed, Unavailable
from sluice.extract import staging
from sluice.extract.staging import Rejected
from sluice.layout import Subdir
from sluice.limits import (
    DIGEST_CHECK_PACKAGE_BYTES_MAX,
    DIGEST_CHECKS_AT_ONCE,
    DIGEST_LOOKS_MAX,
    RECONCILE_TIME_RESERVE_MS,
)
from sluice.package.digest_sources import MD5_METADATA, SHA256_METADATA, StreamHasher
from sluice.reconcile.context import ReconcileContext
from sluice.reconcile.digest_progress import (
    Candidate,
    DigestBudget,
    DigestProgress,
    decode_digest_progress,
    encode_digest_progress,
    false_digest,
    find_candidates,
    is_of_uploader,
)
from sluice.reconcile.listing import Listing
from sluice.reconcile.report import SubdirReport
from sluice.storage import object_headers
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag, OpenObject
from sluice.text import printable

_METADATA_KEYS = {"sha256": SHA256_METADATA, "md5": MD5_METADATA}
_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


class _Unhashed(Enum):
    """Why a package has no digests yet."""

    LATER = auto()
    """It was uploaded again, or there was no time."""
    UNREADABLE = auto()
    """S3 does not return it."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A package to hash, and what the catalog says of it."""

    candidate: Candidate
    record: Record


class DigestCheck:
    """The check of one subdir, in one step of a run."""

    def __init__(
        self,
        ctx: ReconcileContext,
        subdir: Subdir,
        tree: Tree,
        catalog: CatalogReader,
        report: SubdirReport,
        time_left_ms: Callable[[], int],
    ) -> None:
        self._ctx = ctx
        self._subdir = subdir
        self._tree = tree
        self._catalog = catalog
        self._report = report
        self._time_left_ms = time_left_ms
        self.rejects = 0
        """Rejects that were staged."""
        self.read_again: list[str] = []
        """Files of which the catalog knows another upload of the same content."""

    def run(self, listing: Listing) -> None:
        """Check what may be checked today, and stage the rejects.

        Makes no request if no package is large enough, and one if all were checked.  Raises
        ``Unavailable``, ``Corrupt`` and ``TooNew``.
        """
        candidates = find_candidates(listing, self._tree)
        if candidates:
            self._check(candidates)

    def _check(self, candidates: Sequence[Candidate]) -> None:
        key = self._subdir.digest_checks_key
        stored = self._ctx.state.get(key)
        before = decode_digest_progress(stored.body, what=key) if stored else DigestProgress()
        etag = stored.info.etag if stored else None
        budget = DigestBudget(before, now_ms=self._ctx.clock())
        if budget.is_used_up:
            return
        for group in self._groups(budget, budget.unchecked(candidates)):
            etag = self._store(budget.progress(candidates), before, etag)
            if etag is None:
                return
            before = budget.progress(candidates)
            for claim, actual in zip(group, self._ctx.executor.map(self._hash, group), strict=True):
                is_true = self._judge(claim, actual)
                if is_true is not None:
                    budget.finish(claim.candidate, is_true=is_true)
        self._store(budget.progress(candidates), before, etag)

    def _store(
        self, progress: DigestProgress, before: DigestProgress, expected: ETag | None
    ) -> ETag | None:
        """Store the progress; ``None`` if another run may have stored its own."""
        if progress == before and expected is not None:
            return expected
        return self._ctx.state.put_if(
            self._subdir.digest_checks_key,
            encode_digest_progress(progress),
            object_headers.PRIVATE_ZSTD_HEADERS,
            expected=expected,
        )

    # --- what to check ------------------------------------------------------------------------

    def _groups(
        self, budget: DigestBudget, unchecked: Sequence[Candidate]
    ) -> Iterator[list[_Claim]]:
        """Claim packages, some at a time, until the day's share or the time is used up."""
        group: list[_Claim] = []
        for batch in chunks(unchecked[:DIGEST_LOOKS_MAX], DIGEST_CHECKS_AT_ONCE):
            for candidate, entry in zip(batch, self._entries(batch), strict=True):
                record = self._must_hash(candidate, entry)
                if record is None:
                    budget.done.add(candidate.looked)
                    continue
                if self._time_is_short() or not budget.take(candidate):
                    if group:
                        yield group
                    return
                group.append(_Claim(candidate, record))
            if len(group) >= DIGEST_CHECKS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group

    def _entries(self, batch: Sequence[Candidate]) -> list[Entry | None]:
        names = sorted({package_name(one.filename) for one in batch})
        leaves = self._catalog.entries([self._tree.names.get(name) for name in names])
        known = dict(zip(names, leaves, strict=True))
        return [known[package_name(one.filename)].get(one.filename) for one in batch]

    def _must_hash(self, candidate: Candidate, entry: Entry | None) -> Record | None:
        """The record to check; ``None`` as long as the leaf is as it is."""
        if not isinstance(entry, Record) or not is_of_uploader(entry.digests_from):
            return None
        if entry.identity != candidate.identity:
            # The event of another upload is still to come.  If it was lost and the content is the
            # same, no comparison finds it.
            if entry.identity and _content(entry.identity) == _content(candidate.identity):
                self.read_again.append(candidate.filename)
            return None
        if candidate.identity.size > DIGEST_CHECK_PACKAGE_BYTES_MAX:
            self._report.add_example("digests_unchecked", [candidate.filename])
            return None
        return entry

    # --- checking it --------------------------------------------------------------------------

    def _hash(self, claim: _Claim) -> Mapping[str, str] | _Unhashed:
        """The digests of exactly that object.  Runs in a thread."""
        hasher = StreamHasher()
        try:
            with self._open(claim.candidate) as opened:
                for _ in hasher.pass_through(opened.chunks):
                    if self._time_left_ms() < RECONCILE_TIME_RESERVE_MS // 2:
                        return _Unhashed.LATER
        except Changed:  # its own event is still to come
            return _Unhashed.LATER
        except (Archived, Unavailable):  # one package must not stop the others
            return _Unhashed.UNREADABLE
        digests = hasher.digests()
        return {"sha256": digests.sha256, "md5": digests.md5 or ""}

    def _judge(self, claim: _Claim, actual: Mapping[str, str] | _Unhashed) -> bool | None:
        """Whether the digests are true; ``None`` if that could not be found out."""
        filename, record = claim.candidate.filename, claim.record
        if isinstance(actual, _Unhashed):
            if actual is _Unhashed.UNREADABLE:
                self._report.add_example("digests_unchecked", [filename])
            return None
        self._report.counts.digests_checked += 1
        kind = false_digest(record.record, record.digests_from, actual)
        if kind is None:
            return True
        self._report.add_example("digests_false", [filename])
        self._stage_reject(claim, kind, actual)
        return False

    @contextmanager
    def _open(self, candidate: Candidate) -> Iterator[OpenObject]:
        key = self._subdir.file_key(candidate.filename)
        with self._ctx.channel.open(key, if_match=ETag(candidate.identity.etag)) as opened:
            # The same content may have been uploaded again, with other metadata.
            if opened is None or ObjectId.from_info(opened.info) != candidate.identity:
                raise Changed(f"{key} was uploaded again")
            yield opened

    def _stage_reject(self, claim: _Claim, kind: str, actual: Mapping[str, str]) -> None:
        filename = claim.candidate.filename
        sentence = (
            f"The {_NAMES[kind]} of {printable(filename)} is {actual[kind]}, but its metadata "
            f"({_METADATA_KEYS[kind]}) claims {claim.record.record[kind]}. Upload it again, with "
            "correct metadata or without."
        )
        record = Rejected(
            filename=filename,
            extractor=NEVER_OUTDATED,
            at=self._ctx.clock(),
            identity=claim.candidate.identity,
            code=DIGESTS_FALSE,
            sentence=sentence,
            sha256=actual["sha256"],
        )
        staging.write_staging_record(
            self._ctx.state, self._subdir, record, unique_id=self._ctx.new_id()
        )
        self.rejects += 1

    def _time_is_short(self) -> bool:
        return self._time_left_ms() < RECONCILE_TIME_RESERVE_MS


def _content(identity: ObjectId) -> tuple[str, int]:
    return identity.etag, identity.size
