"""The choice of the fastest way to read packages on this machine."""

from __future__ import annotations

import os

from sluice.admin.session.aws import Aws
from sluice.admin.session.bucket_factory import BucketFactory
from sluice.admin.session.channel import Channel
from sluice.admin.standalone.package_pool import (
    Examiner,
    PackageReaders,
    ProcessReaders,
    ThreadReaders,
)
from sluice.limits import INDEX_PROCESSES_PACKAGES_MIN


def usable_cores() -> int:
    """The cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_readers(
    aws: Aws,
    channel: Channel,
    *,
    processes: int | None = None,
    trust_uploader_digests: bool = True,
) -> PackageReaders:
    """Read in threads, or, from some thousands of packages on, in a process for each core.

    A program that calls this must not do its work at import: the processes import its main module,
    as those of ``multiprocessing`` always do.
    """
    examiner = Examiner(channel.public, trust_uploader_digests, channel.clock)
    return ProcessReaders(
        open_channel=BucketFactory.for_bucket(aws, channel.bucket),
        processes=processes or usable_cores(),
        fallback=ThreadReaders(examiner),
        min_packages=INDEX_PROCESSES_PACKAGES_MIN,
        trust_uploader_digests=trust_uploader_digests,
    )
