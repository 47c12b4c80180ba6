"""The check of a channel against its catalog, down to the last byte.

Everything immutable is hashed again.  Everything derived is rendered again and compared.  Every
package is compared with its entry.  Leaves, shards and packages are checked a few names at a time,
whatever their number; index files in full, as in a merge.

Merges continue meanwhile.  A subdir whose head has moved by the end is checked again.  Files in its
staging log are on their way and are no findings.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.progress import NO_PROGRESS, Progress
from sluice.admin.standalone.listing import find_subdir_folders
from sluice.admin.verify.comparing_store import ComparingStore
from sluice.admin.verify.findings import CheckResults, Finding
from sluice.admin.verify.subdir_check import SubdirSummary, SubdirVerifier
from sluice.channel_files.merge import ChannelMergeContext, merge_channel
from sluice.conda.names import NOARCH
from sluice.errors import Corrupt, TooNew, WrongState
from sluice.layout import NOTICES, PAGE, Subdir, channel_file_key, parse_state_key, state_prefix
from sluice.limits import VERIFY_ATTEMPTS_MAX
from sluice.storage.wrappers.read_only import ReadOnlyStore


class VerifyReport(msgspec.Struct, kw_only=True):
    """The result of the check of a whole channel."""

    subdirs: list[SubdirSummary] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)
    unchecked: list[str] = msgspec.field(default_factory=list)
    """What could not be checked because of a finding."""

    @property
    def healthy(self) -> bool:
        """Whether there are no findings."""
        return not self.findings


def verify(
    channel: Channel, *, deep: bool = False, progress: Progress = NO_PROGRESS
) -> VerifyReport:
    """Check everything; ``deep``: also every byte of every package.

    Writes nothing.  Raises ``Unavailable`` if S3 does not answer, ``TooNew`` if a newer sluice has
    written the catalog, and ``WrongState`` if the catalog belongs to another bucket.

    >>> report = verify(channel, deep=True)
    >>> report.healthy
    True
    """
    channel.bucket_check.check_binding(channel.name)
    report = VerifyReport()
    for subdir in _find_all_subdirs(channel):
        for _ in range(VERIFY_ATTEMPTS_MAX):
            verifier = SubdirVerifier(channel, subdir, deep=deep, progress=progress)
            verifier.run()
            if not verifier.head_changed():
                break
        report.subdirs += verifier.summaries
        report.findings += verifier.results.findings
        report.unchecked += verifier.results.unchecked
    results = CheckResults(None)
    _check_channel_files(channel, results)
    report.findings += results.findings
    report.unchecked += results.unchecked
    return report


def _find_all_subdirs(channel: Channel) -> list[Subdir]:
    heads = channel.state.list(state_prefix("heads", channel.name))
    known = {parse_state_key(info.key) for info in heads}
    subdirs = {subdir for subdir in known | set(find_subdir_folders(channel)) if subdir}
    return sorted(subdirs | {channel.subdir(NOARCH)} if subdirs else subdirs)


def _check_channel_files(channel: Channel, results: CheckResults) -> None:
    """Compare the files of the whole channel with its state."""
    notes = channel.state.list(state_prefix("notes", channel.name))
    if next(iter(notes), None):
        results.unchecked.append(
            "the files of the whole channel: changes of its subdirs are not merged yet"
        )
        return
    merger = ChannelMergeContext(
        replace(
            channel.runtime,
            channel=ComparingStore(
                channel.public,
                results,
                # They are written when the configuration was read, not when packages changed.
                since={channel_file_key(channel.name, NOTICES): 0},
                foreign_may_stay={channel_file_key(channel.name, PAGE)},
            ),
            state=ReadOnlyStore(channel.state),
        ),
        bucket_check=replace(channel.bucket_check, may_bind=False),
        owner=channel.owner or "",
        max_age_seconds=0,
    )
    try:
        merge_channel(merger, channel.name)
    except TooNew:
        raise
    except (Corrupt, WrongState) as error:
        results.unchecked.append(f"the files of the whole channel: {error}")
