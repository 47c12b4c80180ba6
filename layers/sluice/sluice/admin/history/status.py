"""The status of a channel: its content, its pending work and its problems."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.known_channels import unknown_channel_error
from sluice.admin.session.notifications import Notifications, read_notifications
from sluice.admin.session.queue_depth import QueueDepth, read_queue_depths
from sluice.admin.session.subdirs import find_subdirs, indexes_that_need
from sluice.catalog.binding import binding_object
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.channel_config import ChannelConfig
from sluice.conda.names import NOARCH
from sluice.conda.timestamps import EpochMs
from sluice.extract import staging
from sluice.extract.misplaced import MisplacedFiles
from sluice.layout import Subdir
from sluice.publish import rejects_document
from sluice.publish.fence import Stamp, file_state
from sluice.publish.moved_away import is_moved_away
from sluice.publish.outputs import file_stamp, wanted_outputs
from sluice.publish.rejects_document import IssueCounts
from sluice.reconcile.misplaced_record import read_misplaced_record
from sluice.storage.object_store import ObjectInfo
from sluice.storage.versioned_object import ObjectVersion, read_newest


class SubdirStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one subdir."""

    subdir: str
    generation: int
    """Generation of the head, the last commit; 0 before the first commit."""
    committed_at: EpochMs | None
    packages: int
    """Packages that clients see."""
    rejects: int
    warnings: int
    """Warnings about files that are in the index or wait to be read, and about the
    configuration."""
    index_bytes: int
    """Bytes of all published files except the shards."""
    staged: int
    """Verdicts on uploads and removals that no merge has handled yet."""
    behind: list[str]
    """Published files that are missing, older than the head or another publisher's; ``rejects`` is
    the document about rejects."""
    missing: list[str]
    """Those of them that do not exist."""
    publishing: bool
    """Whether merges are working off what clients do not see yet: something is staged, and nothing
    for longer than 15 minutes."""
    public: bool
    """Whether clients see the subdir: it has had a package, so it has index files, unless somebody
    has moved them away with the packages."""
    moved_away: bool
    """Whether the subdir had index files and has neither those nor packages.  Nothing writes them
    again before there is a package."""
    published_generation: int | None
    """The oldest generation among the published files of ours; ``None`` if there are none."""
    oldest_invisible_at: EpochMs | None
    """Time of the oldest staged or committed change that clients do not see yet."""
    newest_invisible_at: EpochMs | None
    """Time of the newest such change."""
    foreign_owner: str | None
    """Another stack that publishes here; ``None`` if there is none."""
    problems: list[str]
    """Problems of the channel's configuration or patch, which ``noarch`` lists."""
    channel_warnings: list[str] = msgspec.field(default_factory=list)
    """Warnings about the channel's configuration, which ``noarch`` lists."""

    @property
    def healthy(self) -> bool:
        """Whether clients see all changes or will soon, and configuration and patch are valid."""
        is_pending = bool(self.behind or self.staged)
        is_stuck = is_pending and not self.publishing
        return not is_stuck and not self.problems and self.foreign_owner is None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a channel."""

    bucket: str
    channel: str
    at: EpochMs
    """Time of the status."""
    bound_to: str | None
    """The bucket that the catalog belongs to; ``None`` if there is no binding."""
    moving_to: str | None
    """The target bucket of a ``rebind`` that is running or was interrupted."""
    retiring: bool
    """Whether ``sluice retire`` is removing the channel, or was interrupted."""
    subdirs: list[SubdirStatus]
    queues: dict[str, QueueDepth] | None
    """By name, the queues of the stack, which serve all of its channels; ``None`` without a
    stack."""
    notifications: Notifications | None
    """What the bucket sends to the stack; ``None`` without a stack."""
    unknown: str | None = None
    """What is likely meant, if sluice does not know the channel."""
    misplaced: list[MisplacedFiles] = msgspec.field(default_factory=list)
    """Files in the channel's folder that end like packages and are where no package is, as the last
    ``reconcile`` or ``index`` counted them, by presumed channel."""
    misplaced_at: EpochMs | None = None
    """Time of the last such count; ``None`` if no file was misplaced in any."""

    @property
    def healthy(self) -> bool:
        """Whether nothing needs a person's attention."""
        if self.unknown is not None:
            return False
        if self.moving_to or self.bound_to not in (None, self.bucket):
            return False
        if self.notifications and self.notifications.missing:
            return False
        dead = any(queue.messages for queue in (self.queues or {}).values() if queue.dead_letters)
        return all(subdir.healthy for subdir in self.subdirs) and not dead


def status(channel: Channel) -> Status:
    """Check every known subdir of a channel, and the queues and notifications of its stack.

    A few requests per subdir, however many packages it has, and one LIST per 1,000 staged records.
    ``reconcile`` finds packages in the bucket that had no event.

    Raises ``Unavailable``, and ``Corrupt`` if the catalog cannot be read.

    >>> report = status(channel)
    >>> [(subdir.subdir, subdir.generation, subdir.packages) for subdir in report.subdirs]
    [('linux-64', 2, 2), ('noarch', 1, 0)]
    >>> report.healthy
    True
    """
    binding = binding_object(channel.state, channel.name).read().value
    misplaced = read_misplaced_record(channel.state)
    statuses = (_subdir_status(channel, subdir) for subdir in find_subdirs(channel))
    subdirs = [subdir for subdir in statuses if subdir is not None]
    return Status(
        bucket=channel.bucket,
        channel=channel.name,
        at=channel.clock(),
        bound_to=binding.bucket if binding else None,
        retiring=binding is not None and binding.is_retiring,
        moving_to=(binding.moving_to or None) if binding else None,
        subdirs=subdirs,
        unknown=None if subdirs else str(unknown_channel_error(channel)),
        queues=read_queue_depths(channel.stack) if channel.stack else None,
        notifications=read_notifications(channel.stack) if channel.stack else None,
        misplaced=[files for files in misplaced.channels if files.is_within(channel.name)],
        misplaced_at=misplaced.at or None,
    )


def _subdir_status(channel: Channel, subdir: Subdir) -> SubdirStatus | None:
    """The status of a subdir; ``None`` if it was retired, and nothing has come since."""
    # Before the head: a record that is merged meanwhile then counts twice, instead of not at all.
    staged_infos = list(channel.state.list(subdir.staging_prefix))
    staged = [info.modified * 1000 for info in staged_infos]

    def read(version: ObjectVersion[Head]) -> tuple[Head, Tree, ChannelConfig]:
        catalog = CatalogReader(channel.state, subdir, channel.executor)
        tree = catalog.tree(version.value.tree)
        return version.value, tree, catalog.rules(tree).config

    head, tree, config = read_newest(head_object(channel.state, subdir), read)
    files = wanted_outputs(tree, config)
    issues = IssueCounts.of_nodes(tree.names.values(), config)
    file_infos = channel.executor.map(
        channel.public.head, [subdir.file_key(file) for file in files]
    )
    info_by_file = dict(zip(files, file_infos, strict=True))
    stamps = [stamp for info in file_infos if info and (stamp := Stamp.parse(info.metadata))]
    if head.is_tombstone and not staged:
        return None
    foreign_owners = sorted({stamp.owner for stamp in stamps} - {channel.owner})
    others = indexes_that_need(channel, subdir)
    moved_away = is_moved_away(tree, chain(filter(None, file_infos), others))
    stale = _stale_files(channel, subdir, head, tree, {} if moved_away else info_by_file)
    pending_since = staged + ([tree.at] if stale else [])
    return SubdirStatus(
        subdir=subdir.name,
        generation=head.generation,
        committed_at=tree.at or None,
        packages=tree.visible_records,
        rejects=issues.rejects,
        warnings=issues.warnings + len(_warnings(subdir, tree)),
        index_bytes=sum(info.size for info in file_infos if info),
        staged=len(staged),
        behind=stale,
        missing=[file for file in stale if file in info_by_file and not info_by_file[file]],
        publishing=staging.is_being_merged(staged_infos, now_ms=channel.clock()),
        public=tree.public and not moved_away,
        moved_away=moved_away,
        published_generation=min((published.generation for published in stamps), default=None),
        oldest_invisible_at=min(pending_since, default=None),
        newest_invisible_at=max(pending_since, default=None),
        foreign_owner=foreign_owners[0] if foreign_owners else None,
        problems=_problems(subdir, tree),
        channel_warnings=_warnings(subdir, tree),
    )


def _stale_files(
    channel: Channel,
    subdir: Subdir,
    head: Head,
    tree: Tree,
    infos: Mapping[str, ObjectInfo | None],
) -> list[str]:
    ours = Stamp(tree.generation, head.tree or "", channel.owner or "")
    stale = [
        file
        for file, info in infos.items()
        # Another stack's file counts as stale, because it does not have the content of this state.
        if file_state(info, file_stamp(file, tree, ours), adopt=True).needs_write
    ]
    if tree.rejects_generation:
        rejects_info = channel.state.head(subdir.rejects_key)
        if rejects_document.rejects_outdated(rejects_info, tree, owner=ours.owner):
            stale.append("rejects")
    return stale


def _warnings(subdir: Subdir, tree: Tree) -> list[str]:
    warnings = tree.inputs.warnings if tree.inputs and subdir.name == NOARCH else []
    return [warning.sentence for warning in warnings or []]


def _problems(subdir: Subdir, tree: Tree) -> list[str]:
    problems = tree.inputs.problems if tree.inputs and subdir.name == NOARCH else []
    return [problem.sentence for problem in problems]
