"""What of a measured sample AWS would charge for.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from benchmarks.bill import Bill
from benchmarks.cases import Sample
from benchmarks.counts import Count
from benchmarks.prices import (
    LAMBDA_GB_S,
    LAMBDA_REQUEST,
    S3_DELETE,
    S3_READ,
    S3_STORAGE,
    S3_WRITE,
    SQS_FIFO,
    SQS_STANDARD,
    Price,
)
from benchmarks.work import Work
from benchmarks.worker import RATTLER_INDEX

DAYS_A_MONTH = 365 / 12
GIB = 2**30

MEMORY_MB: Mapping[str, int] = {"extract": 1024, "merge": 1769, "reconcile": 1769}
"""Of the functions, as the template has them by default."""
MEMORY_MB_OF_A_CPU = 1769
MEMORY_SPARE = 1.25
"""Of the measured peak, where the default would not do."""

POLLERS, POLL_SECONDS = 5, 20
"""Of Lambda at a queue where nothing waits."""
STANDARD_REQUESTS_PER_EVENT = 3
"""The event that S3 sends, and that Lambda receives and deletes."""
FIFO_REQUESTS_PER_MERGE = 2
"""Receive and delete; what was sent is measured."""

OLD_INDEX_DAYS = 2
"""An old version of an index file lives a day, and at most another until the rule is applied."""
OLD_OTHER_DAYS = 7 + 3 + 31
"""``RetentionDays``; at most a day each for the mark, its age and the run that collects; then an
old version of a shard lives another 30 and the day until the rule is applied."""

_WRITES = frozenset(
    {
        *("PutObject", "CopyObject", "ListObjects", "ListObjectsV2", "ListObjectVersions"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
        *("ListMultipartUploads", "ListParts"),
    }
)
_READS = frozenset({"GetObject", "HeadObject", "HeadBucket", "GetObjectAttributes"})
_DELETES = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})


def s3_price(operation: str) -> Price:
    """What a request to S3 is charged as; ``ValueError`` where nobody has said."""
    for price, names in ((S3_WRITE, _WRITES), (S3_READ, _READS), (S3_DELETE, _DELETES)):
        if operation in names:
            return price
    raise ValueError(f"it is not known what s3:{operation} is charged as")


def s3_requests(requests: Mapping[str, Count]) -> Bill:
    """Requests to S3 by class; what moves inside the region is free."""
    bill = Bill()
    for name, count in requests.items():
        service, _, operation = name.partition(":")
        if service == "s3":
            bill += Bill({s3_price(operation): count.requests})
    return bill


def sqs_requests(sample: Sample) -> Bill:
    """Requests of S3 and Lambda, which are not measured, and of the functions, which are."""
    runs = {name: work.runs for name, work in sample.works.items()}
    sent = sum(count.requests for name, count in sample.requests.items() if name.startswith("sqs:"))
    return Bill(
        {
            SQS_STANDARD: STANDARD_REQUESTS_PER_EVENT * runs.get("extract", 0),
            SQS_FIFO: sent + FIFO_REQUESTS_PER_MERGE * runs.get("merge", 0),
        }
    )


def memory_mb(name: str, work: Work) -> int:
    """The template's default, or more where the peak comes too near to it.

    rattler-index gets what merge has.
    """
    return max(MEMORY_MB.get(name, MEMORY_MB["merge"]), ceil(MEMORY_SPARE * work.peak_mib))


def gb_seconds(name: str, work: Work, init_s: float = 0) -> float:
    """What a process would take on Lambda.

    Below 1,769 MB there is less than one CPU, so that CPU time takes longer and waiting does not.
    More than one is never counted on.  ``init_s`` has a whole CPU in any case.
    """
    memory = memory_mb(name, work)
    slower = MEMORY_MB_OF_A_CPU / min(memory, MEMORY_MB_OF_A_CPU)
    seconds = max(work.wall_s, work.cpu_s) + (slower - 1) * work.cpu_s
    return memory / 1024 * (seconds + init_s)


def functions(works: Mapping[str, Work], init_s: Mapping[str, float]) -> Bill:
    """Invocations; those of a function of which ``init_s`` is told begin with so many seconds."""
    used = sum(gb_seconds(name, work, init_s.get(name, 0)) for name, work in works.items())
    return Bill({LAMBDA_REQUEST: sum(work.runs for work in works.values()), LAMBDA_GB_S: used})


def rattler_index(sample: Sample) -> Bill:
    """rattler-index, as if it ran on Lambda, and nothing had to be started or told."""
    used = gb_seconds(RATTLER_INDEX, sample.works[RATTLER_INDEX], sample.init_s)
    return s3_requests(sample.requests) + Bill({LAMBDA_GB_S: used})


def index_bytes(sample: Sample) -> int:
    """Of the index files that were published."""
    return sum(sample.published.values())


def other_bytes(sample: Sample) -> int:
    """Of everything else that was written: staged records, catalog, shards, run exports."""
    return max(0, sample.s3.bytes_up - index_bytes(sample))


def gb_months(byte_count: float, days: float = DAYS_A_MONTH) -> Bill:
    """Bytes that are kept for some days."""
    return Bill({S3_STORAGE: byte_count / GIB * days / DAYS_A_MONTH})


def old_versions(sample: Sample) -> Bill:
    """What a change writes, for as long as it is kept once it is superseded, at most."""
    return gb_months(index_bytes(sample), OLD_INDEX_DAYS) + gb_months(
        other_bytes(sample), OLD_OTHER_DAYS
    )


def idle_polling() -> Bill:
    """A month in which nobody uploads: one standard queue and two FIFO queues are polled."""
    polls = POLLERS * DAYS_A_MONTH * 24 * 3600 / POLL_SECONDS
    return Bill({SQS_STANDARD: polls, SQS_FIFO: 2 * polls})
