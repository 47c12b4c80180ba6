"""Whether a channel is what its catalog says, down to the last byte.

Everything immutable is hashed again, everything that follows from something else is made again and
compared, and every package is held against what its entry knows of it.  Leaves, shards and packages
are looked at a few names at a time, whatever their number; index files as merge makes them.

Merges go on meanwhile.  A subdir whose head has moved by the end is looked at again; what is still
in its staging log is on its way and no finding.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.progress import SILENT, Progress
from sluice.admin.standalone.listing import find_folders
from sluice.admin.verify.comparing_store import HeldAgainst
from sluice.admin.verify.findings import Finding, Found
from sluice.admin.verify.subdir_check import SubdirLook, SubdirVerified
from sluice.channel_files.merge import ChannelMerger, merge_channel
from sluice.conda.names import NOARCH
from sluice.errors import Corrupt, TooNew, WrongState
from sluice.layout import Subdir, parse_state_key, state_folder
from sluice.limits import VERIFY_ATTEMPTS_MAX
from sluice.storage.wrappers.read_only import ReadOnly


class VerifyReport(msgspec.Struct, kw_only=True):
    """What a look at a whole channel came to."""

    subdirs: list[SubdirVerified] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)
    unchecked: list[str] = msgspec.field(default_factory=list)
    """What could not be checked because of a finding."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(channel: Channel, *, deep: bool = False, progress: Progress = SILENT) -> VerifyReport:
    """Look at everything; ``deep``: also at every byte of every package.

    Writes nothing.  Raises ``Unavailable`` where S3 does not answer, ``TooNew`` where a newer
    sluice has written what is there, and ``WrongState`` where the catalog belongs to another
    bucket.

    >>> report = verify(channel, deep=True)
    >>> report.healthy
    True
    """
    channel.bucket_check.check_binding(channel.name)
    report = VerifyReport()
    for subdir in _subdirs(channel):
        for _ in range(VERIFY_ATTEMPTS_MAX):
            look = SubdirLook(channel, subdir, deep=deep, progress=progress)
            look.do()
            if not look.moved_on():
                break
        report.subdirs += look.told
        report.findings += look.found.findings
        report.unchecked += look.found.unchecked
    found = Found(None)
    _look_at_channel(channel, found)
    report.findings += found.findings
    report.unchecked += found.unchecked
    return report


def _subdirs(channel: Channel) -> list[Subdir]:
    heads = channel.state.list(state_folder("heads", channel.name))
    known = {parse_state_key(info.key) for info in heads}
    found = {subdir for subdir in known | set(find_folders(channel)) if subdir}
    return sorted(found | {channel.subdir(NOARCH)} if found else found)


def _look_at_channel(channel: Channel, found: Found) -> None:
    """Hold the files of the channel as a whole against what is known of it."""
    notes = channel.state.list(state_folder("notes", channel.name))
    if next(iter(notes), None):
        found.unchecked.append("the files of the whole channel: news of its subdirs is on its way")
        return
    merger = ChannelMerger(
        channel=HeldAgainst(channel.public, found),
        state=ReadOnly(channel.state),
        bucket_check=replace(channel.bucket_check, may_bind=False),
        owner=channel.owner or "",
        max_age_seconds=0,
        gather=channel.gather,
        clock=channel.clock,
        unique=channel.unique,
    )
    try:
        merge_channel(merger, channel.name)
    except TooNew:
        raise
    except (Corrupt, WrongState) as error:
        found.unchecked.append(f"the files of the whole channel: {error}")
