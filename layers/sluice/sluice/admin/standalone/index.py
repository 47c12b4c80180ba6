"""The index run: it extracts, merges, publishes and collects a channel in this process.

It needs no function and no queue, so it works with every S3 that has conditional writes.  It does
what reconcile does, and carries out the resulting work itself.  The rules are the same ones (one
swapped head per subdir, a fence before each published file).  So it may run next to a stack on the
same state, and next to itself.

Progress is kept in the catalog: verdicts are committed at intervals, and the next run finds the
rest by comparing the bucket with the catalog.  Clients see nothing of it before all is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from threading import Lock

from sluice.admin.session.channel import Channel
from sluice.admin.session.known_channels import (
    explain_nothing_to_index,
    explain_unknown_subdir,
)
from sluice.admin.session.progress import NO_PROGRESS, Progress, Step
from sluice.admin.session.stack import Stack
from sluice.admin.session.subdirs import find_subdirs
from sluice.admin.standalone.compare import SubdirComparer, unlimited_time_left_ms
from sluice.admin.standalone.in_process_queues import (
    InProcessMergeQueue,
    InProcessUploadQueue,
    LocalStagingStore,
)
from sluice.admin.standalone.inline_executor import make_thread_pool
from sluice.admin.standalone.listing import find_subdir_folders
from sluice.admin.standalone.package_pool import (
    Examiner,
    PackageReaders,
    PackageSizes,
    ThreadReaders,
)
from sluice.admin.standalone.report import Failure, IndexReport, SubdirIndexed
from sluice.catalog.brake import describe_invalid_digest
from sluice.catalog.head import Head, head_object, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.channel_files.merge import ChannelReport
from sluice.conda.names import NOARCH, is_subdir
from sluice.errors import Misused, SluiceError, Unavailable
from sluice.extract.extract import ExtractorContext, extract
from sluice.extract.misplaced import MisplacedTally
from sluice.layout import PackageKey, Subdir, parse_package_key, parse_state_key, state_prefix
from sluice.limits import (
    BRAKE_DAYS,
    INDEX_COMMIT_RECORDS_MAX,
    INDEX_COMMIT_SECONDS,
    INDEX_MAX_AGE_SECONDS,
    INDEX_SUBDIRS_AT_ONCE,
)
from sluice.merge.context import MergeContext
from sluice.merge.handler import carry_out_merge_request, parse_merge_message
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.merge.publishing import Scope
from sluice.messages import merge_request
from sluice.messages.merge_request import DEBOUNCE_SECONDS_MIN, MergeRequest
from sluice.publish.publisher import Publisher
from sluice.reconcile.left_notes import channels_with_left_notes, request_channel_merge
from sluice.reconcile.listing import Listing
from sluice.reconcile.misplaced_record import write_misplaced_record
from sluice.reconcile.report import SubdirReport
from sluice.storage import object_headers
from sluice.storage.object_store import noop
from sluice.storage.versioned_object import ObjectVersion, read_newest

_TRIES = 3
"""Tries to read a package that S3 does not return; before the last one it is rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """The options of an index run."""

    subdirs: Collection[str] | None = None
    """Only these subdirs, and noarch if the channel has none yet; ``None``: all."""
    re_extract: bool = False
    """Read every reject again, too."""
    reread_keys: Collection[str] = ()
    """Keys of packages to read again completely."""
    adopt: bool = False
    """Take over what another stack or state publishes."""
    trust_uploader_digests: bool = True
    """Trust ``package-sha256`` in an object's metadata, see ``ExtractorContext``."""
    max_age_seconds: int = INDEX_MAX_AGE_SECONDS
    """How long clients may cache an index file."""
    retention_days: int = 7
    """Days that a generation stays readable after its successor was published."""
    brake_days: int = BRAKE_DAYS
    """Days that the removal of most of an index waits (``brake``); 0: no wait."""
    confirm: str | None = None
    """The digest of waiting removals that are to be carried out now."""
    create: bool = False
    """Publish the empty ``noarch`` of a channel (CEP 26) where there is nothing yet."""
    collects: bool = True
    """Whether to delete garbage."""
    subdirs_at_once: int = INDEX_SUBDIRS_AT_ONCE
    """Subdirs that are compared with the catalog at once."""


DEFAULTS = IndexOptions()


def options_from_stack(stack: Stack | None) -> IndexOptions:
    """The options of a stack, if there is one; raises ``Misconfigured``."""
    if stack is None:
        return DEFAULTS
    return IndexOptions(
        trust_uploader_digests=stack.parameter("TrustUploaderDigests") == "true",
        max_age_seconds=int(stack.parameter("IndexCacheMaxAge")),
        retention_days=int(stack.parameter("RetentionDays")),
        # A stack from before there was a brake has no such parameter.
        brake_days=int(stack.parameters.get("BrakeDays", BRAKE_DAYS)),
    )


def index(
    channel: Channel,
    options: IndexOptions = DEFAULTS,
    *,
    readers: PackageReaders | None = None,
    progress: Progress = NO_PROGRESS,
) -> IndexReport:
    """Update the index of a channel to what is in its bucket.

    ``readers``: how packages are read; in threads by default.  May be killed at any point and run
    again, also while it still runs.  Errors about one package or one subdir are in the report.
    Raises ``Unsupported`` if the S3 cannot be used, ``Unavailable`` if it does not answer,
    ``Corrupt`` and ``TooNew`` if the catalog cannot be read, and ``Misused`` if ``confirm`` is not
    a digest, or if one of ``subdirs`` does not exist.

    >>> report = index(channel)
    >>> report.packages, report.read, report.failures
    (2, 0, [])
    """
    if problem := describe_invalid_digest(options.confirm):
        raise Misused(problem)
    return _Run(channel, options, readers, progress).run()


def index_objects(
    channel: Channel,
    packages: PackageSizes,
    options: IndexOptions = DEFAULTS,
    *,
    config_changed: bool = False,
    readers: PackageReaders | None = None,
) -> IndexReport:
    """Update the index of a channel about these packages alone, and list nothing of the bucket.

    For objects that an event names, whether they are there or gone.  ``config_changed``: read the
    configuration again, too.  May be killed at any point: the next run of ``index`` finds what is
    left.  Errors about one package or one subdir are in the report.  Raises ``Unavailable``.
    """
    return _Run(channel, options, readers, NO_PROGRESS).run_hinted(
        packages, config_changed=config_changed
    )


class _Run:
    """One run."""

    def __init__(
        self,
        channel: Channel,
        options: IndexOptions,
        readers: PackageReaders | None,
        progress: Progress,
    ) -> None:
        self._channel = channel
        self._options = options
        self._progress = progress
        self._state = LocalStagingStore(channel.state, channel.clock)
        self._uploads = InProcessUploadQueue(channel.bucket)
        self._merges = InProcessMergeQueue()
        self._readers = readers or ThreadReaders(
            Examiner(channel.public, options.trust_uploader_digests, channel.clock)
        )
        self._merger = MergeContext(
            channel=channel.public,
            state=self._state,
            bucket=channel.bucket,
            endpoint=channel.endpoint,
            publisher=Publisher(
                channel.public, self._state, channel.owner or "", options.max_age_seconds
            ),
            merge_queue=self._merges,
            executor=channel.executor,
            clock=channel.clock,
            new_id=channel.new_id,
            debounce_seconds=self._debounce_seconds,
            defaults=channel.defaults,
            batch_records=INDEX_COMMIT_RECORDS_MAX,
            brake_days=options.brake_days,
        )
        self._comparison = SubdirComparer(
            channel=channel,
            state=self._state,
            uploads=self._uploads,
            merges=self._merges,
            warm_cache=self._merger.warm_cache,
            debounce_seconds=self._debounce_seconds,
            retention_days=options.retention_days,
            re_extract=options.re_extract,
            adopt=options.adopt,
            brake_days=options.brake_days,
            confirm=options.confirm,
            on_listed=self._take_listing,
        )
        self._report = IndexReport(confirm=options.confirm)
        self._subdirs: dict[str, SubdirIndexed] = {}
        self._lock = Lock()
        self._known: Sequence[Subdir] = ()
        """The subdirs that the catalog knew at the start."""
        self._misplaced = MisplacedTally()
        """Those that were seen in search of subdirs."""
        self._listed_misplaced = MisplacedTally()
        """Those that were seen in listings of subdirs."""
        self._staged: Counter[Subdir] = Counter()
        """Verdicts that wait for a commit."""
        self._wait_for_probe: Callable[[], None] = noop
        """Waits until the server is known to be usable; raises ``Unsupported``."""

    def run(self) -> IndexReport:
        """Run it."""
        for name in self._options.subdirs or ():
            self._require_subdir(name)
        if self._channel.probed:
            self._wait_for_probe = cache(self._channel.probed.start_check(self._channel.executor))
        left_notes = self._channel.executor.submit(self._find_left_notes)
        with make_thread_pool(self._options.subdirs_at_once, "sluice-subdir") as pool:
            futures = [
                pool.submit(self._comparison.compare, subdir) for subdir in self._find_subdirs()
            ]
            parts = [future.result() for future in futures]
            self._read_all()
            # Until now, only these were written: the probe, the start of waiting periods, and the
            # binding of a catalog of 0.1.  No head depends on them.
            self._wait_for_probe()
            self._begin_channel()
            for name in left_notes():
                request_channel_merge(self._merger, name)
            later = [part.collect_later for part in parts if self._options.collects]
            concurrent = [
                pool.submit(task) for task in (self._report_misplaced, *later) if task is not None
            ]
            self._merge_all()
            for future in concurrent:
                future.result()
        for part in parts:
            self._add_report(part.report)
        self._report.subdirs = [entry for _, entry in sorted(self._subdirs.items())]
        self._report.problems = self._input_problems()
        return self._report

    def run_hinted(self, packages: PackageSizes, *, config_changed: bool) -> IndexReport:
        """Read these packages, and merge what follows from them."""
        self._read(packages, self._readers)
        if config_changed:
            self._merger.config_broadcast.notify_all(self._channel.name)
        self._merge_all()
        self._report.subdirs = [entry for _, entry in sorted(self._subdirs.items())]
        return self._report

    def _require_subdir(self, name: str) -> None:
        """Raise ``Misused`` if a subdir has neither a head nor anything in the bucket."""
        channel = self._channel
        subdir = channel.subdir(name)
        if is_subdir(name) and (
            channel.state.head(subdir.head_key)
            or next(iter(channel.state.list(subdir.staging_prefix)), None)
            or next(iter(channel.public.list(subdir.prefix)), None)
        ):
            return
        subdirs = {known.name for known in find_subdirs(channel)}
        subdirs |= {folder.name for folder in find_subdir_folders(channel)}
        raise Misused(explain_unknown_subdir(channel, name, subdirs))

    def _find_left_notes(self) -> list[str]:
        """The channel, if notes are left of a process that died before it merged them."""
        return list(channels_with_left_notes(self._merger, self._channel.name, leaves_young=False))

    def _begin_channel(self) -> None:
        """If there are neither packages nor a catalog, report that, or create the channel."""
        if self._report.packages or not all(map(self._is_unknown, self._known)):
            return
        if self._options.create:
            self._create()
        else:
            self._report.empty = explain_nothing_to_index(self._channel)

    def _is_unknown(self, subdir: Subdir) -> bool:
        """Whether a subdir was retired, and nothing has come since."""
        version = read_head(self._channel.state, subdir)
        return version.etag is None or version.value.is_tombstone

    def _create(self) -> None:
        """Request the empty ``noarch``, without which no folder is a channel (CEP 26)."""
        channel = self._channel
        if not channel.bucket_check.ensure_bound(channel.name):
            channel.bucket_check.bind(channel.name)
        merge_request.merge_message(
            channel.subdir(NOARCH),
            now_ms=channel.clock(),
            debounce_seconds=self._debounce_seconds,
            create=True,
        ).send_to(self._merges)

    def _input_problems(self) -> list[str]:
        """The problems of configuration and patches, which ``noarch`` lists."""
        noarch = self._channel.subdir(NOARCH)
        try:
            tree = self._merger.warm_cache.latest_tree(noarch) or read_newest(
                head_object(self._channel.state, noarch), self._read_noarch
            )
        except SluiceError:  # the report says so already
            return []
        return [problem.sentence for problem in tree.inputs.problems] if tree.inputs else []

    def _read_noarch(self, version: ObjectVersion[Head]) -> Tree:
        channel = self._channel
        catalog = CatalogReader(channel.state, channel.subdir(NOARCH), channel.executor)
        return catalog.tree(version.value.tree)

    def _report_misplaced(self) -> None:
        """Report misplaced files, and record them if all subdirs were listed."""
        self._misplaced.add(self._listed_misplaced)
        self._report.misplaced = self._misplaced.files
        if self._options.subdirs is None:
            write_misplaced_record(
                self._channel.state,
                self._misplaced,
                channel=self._channel.name,
                at=self._channel.clock(),
            )

    def _find_subdirs(self) -> Iterator[Subdir]:
        """The subdirs that the catalog knows, which can start at once, then the others."""
        heads = state_prefix("heads", self._channel.name)
        wanted = self._options.subdirs
        known = [parse_state_key(info.key) for info in self._channel.state.list(heads)]
        self._known = [subdir for subdir in known if subdir]
        seen: set[Subdir] = set()
        for subdir in chain(known, find_subdir_folders(self._channel, self._misplaced)):
            if subdir and subdir not in seen and (wanted is None or subdir.name in wanted):
                seen.add(subdir)
                yield subdir

    def _take_listing(self, listing: Listing) -> None:
        with self._lock:
            self._report.packages += listing.package_count
            self._listed_misplaced.add(listing.misplaced)
            self._progress.done(Step.LISTED, listing.package_count)

    def _read_all(self) -> None:
        """Read the differing packages in the usual way, and doubted ones without trust."""
        doubted_keys = filter(None, map(parse_package_key, self._options.reread_keys))
        reread: dict[PackageKey, int | None] = dict.fromkeys(sorted(doubted_keys))
        packages = sorted(self._uploads.drain().items())
        self._read({key: size for key, size in packages if key not in reread}, self._readers)
        if reread:
            examiner = Examiner(self._channel.public, False, self._channel.clock)  # noqa: FBT003
            self._read(reread, ThreadReaders(examiner, self._options.subdirs_at_once))

    def _read(self, packages: PackageSizes, readers: PackageReaders) -> None:
        """Read packages, and commit the verdicts at intervals."""
        self._progress.expect(Step.READ, len(packages))
        failed: list[PackageKey] = []
        committed_ms = self._channel.clock()
        for verdicts in readers.read(packages):
            self._wait_for_probe()  # a server that cannot be used fails before more is read
            for verdict in verdicts:
                if verdict.staged is None:
                    failed.append(verdict.key)
                else:
                    self._stage(verdict.key, verdict.staged)
            self._report.read += len(verdicts)
            self._progress.done(Step.READ, len(verdicts))
            now = self._channel.clock()
            is_batch_full = self._staged.total() >= INDEX_COMMIT_RECORDS_MAX
            if is_batch_full or (
                self._staged and now - committed_ms >= INDEX_COMMIT_SECONDS * 1000
            ):
                self._commit()
                committed_ms = self._channel.clock()
        for key in failed:
            self._read_again(key, packages[key])
        for subdir in sorted({key.subdir for key in packages}):
            self._request_merge(subdir)

    def _stage(self, key: PackageKey, record: bytes) -> None:
        staged = key.subdir.staging_key(key.filename, self._channel.new_id())
        self._state.put(staged, record, object_headers.PRIVATE_JSON_HEADERS)
        self._staged[key.subdir] += 1

    def _read_again(self, key: PackageKey, size: int | None) -> None:
        """Try a last time, after a reject that counts until S3 returns the package."""
        ctx = ExtractorContext(
            channel=self._channel.public,
            state=self._state,
            merge_queue=self._merges,
            executor=self._channel.executor,
            clock=self._channel.clock,
            new_id=self._channel.new_id,
            debounce_seconds=self._debounce_seconds,
            trust_uploader_digests=self._options.trust_uploader_digests,
            receives_max=_TRIES,
        )
        try:
            extract(ctx, key, size_hint=size, receive_count=_TRIES)
        except Unavailable as error:
            self._add_failure(key.key, error)

    def _commit(self) -> None:
        """Commit all verdicts so far, without publishing."""
        self._state.hide_remote = True
        try:
            for subdir in sorted(self._staged):
                request = MergeRequest(subdir, not_before=self._channel.clock())
                commit = partial(
                    merge,
                    self._merger,
                    request,
                    time_left_ms=unlimited_time_left_ms,
                    scope=Scope.NOTHING,
                )
                self._merge(subdir.name, commit)
        finally:
            self._state.hide_remote = False
        self._staged.clear()

    def _request_merge(self, subdir: Subdir) -> None:
        merge_request.merge_message(
            subdir, now_ms=self._channel.clock(), debounce_seconds=self._debounce_seconds
        ).send_to(self._merges)

    def _merge_all(self) -> None:
        """Run every requested merge, and those that follow from them."""
        for body in self._merges.drain():
            request = parse_merge_message(body)
            name = request.subdir.name if isinstance(request, MergeRequest) else request.channel
            self._merge(
                name,
                partial(
                    carry_out_merge_request,
                    request,
                    self._merger,
                    time_left_ms=unlimited_time_left_ms,
                ),
            )

    def _merge(self, name: str, action: Callable[[], MergeReport | ChannelReport]) -> None:
        """Run a merge, and record its errors, so that one subdir does not stop the others."""
        try:
            done = action()
        except SluiceError as error:
            self._add_failure(name, error)
            return
        if isinstance(done, ChannelReport):
            self._report.channel_files_written += done.files_written
        else:
            self._take_merge(name, done)

    def _take_merge(self, subdir: str, done: MergeReport) -> None:
        self._progress.done(Step.COMMITTED, done.staged)
        about = self._subdir_entry(subdir)
        if done.generation:
            about.generation = done.generation
        about.added += len(done.difference.added)
        about.replaced += len(done.difference.replaced)
        about.removed += len(done.difference.removed)
        about.rejected += len(done.difference.rejected)
        about.taken_over += done.taken_over
        about.waiting = done.waiting or about.waiting
        about.files_written += done.files_written

    def _add_report(self, report: SubdirReport) -> None:
        if report.failure is not None:
            self._report.failures.append(Failure(object=report.subdir, reason=report.failure))
        if report.counts.collected:
            self._subdir_entry(report.subdir).collected += report.counts.collected
        if report.waiting:
            self._subdir_entry(report.subdir).waiting = report.waiting
        self._report.confirmed += report.counts.confirmed

    def _subdir_entry(self, subdir: str) -> SubdirIndexed:
        return self._subdirs.setdefault(subdir, SubdirIndexed(subdir=subdir))

    def _add_failure(self, name: str, error: SluiceError) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._report.failures.append(Failure(object=name, reason=reason))

    @property
    def _debounce_seconds(self) -> int:
        return max(DEBOUNCE_SECONDS_MIN, self._channel.debounce_seconds)
