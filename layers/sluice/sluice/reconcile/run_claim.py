"""Claims that keep a request from starting a second run while one is in progress.

EventBridge Scheduler invokes at least once, a run may take longer than its schedule, and people ask
for what is running already.  So an invocation first claims its request: it swaps an object in the
state bucket, one per request, for its own claim.  Of two invocations one wins.  The other reads
which run that is, and returns its report.

A claim is no lock.  Whether its run is under way follows from the run's report and from times, so a
run that has died holds nobody up for long.  Two runs at once are harmless (``brake``, ``garbage``):
a clock that is wrong costs a second comparison, or delays one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from sluice import layout
from sluice.catalog.codec import unpack_json
from sluice.conda.timestamps import EpochMs
from sluice.errors import Corrupt, TooNew, Unavailable
from sluice.limits import RECONCILE_STEP_SILENCE_SECONDS_MAX
from sluice.messages.merge_request import CLOCK_SKEW_SECONDS
from sluice.reconcile import report as reports
from sluice.reconcile.context import ReconcileContext, ReconcileRequest
from sluice.reconcile.report import ReconcileReport
from sluice.reconcile.run import check_prefixes, new_run_name, start_run
from sluice.storage import object_headers
from sluice.storage.versioned_object import (
    LOST,
    ObjectVersion,
    Swap,
    VersionedObject,
    commit_loop,
)

FORMAT = 1
"""The newest format of claims that this version reads, and the one that it writes."""


class RunClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``reconciliations/claims/<request>.json``."""

    run: str
    started_at: EpochMs
    invocation: str
    """Lambda's id of the invocation.  Lambda keeps it when it invokes again after an error, so a
    claim with the same id is that of an attempt that has died."""
    first_step_until: EpochMs
    """Time at which Lambda stops that invocation.  Until then there may be no report yet."""
    format: int = FORMAT


Claimed = ObjectVersion[RunClaim | None]
Claims = VersionedObject[RunClaim | None]


@dataclass(frozen=True, slots=True)
class StartedRun:
    """The run that answers a request."""

    report: ReconcileReport
    is_new: bool
    """Whether this request has started it; otherwise it was under way already."""


@dataclass(frozen=True, slots=True)
class _LastRun:
    """The run that a claim is for, as its report shows it."""

    claim: RunClaim
    report: ReconcileReport
    """Without steps if there is none that can be read."""
    last_step_at: EpochMs
    """Time of the last step's report, by S3's clock."""

    def may_go_on(self, now_ms: EpochMs) -> bool:
        """Whether the run may still go on by itself."""
        if self.report.finished_at is not None:
            return False
        now_ms -= CLOCK_SKEW_SECONDS * 1000
        if not self.report.steps:
            return now_ms < self.claim.first_step_until
        return now_ms < self.last_step_at + RECONCILE_STEP_SILENCE_SECONDS_MAX * 1000


def start_once(
    ctx: ReconcileContext,
    request: ReconcileRequest,
    *,
    invocation: str,
    time_left_ms: Callable[[], int],
) -> StartedRun:
    """Start a run, unless one for the same request is under way; returns its report so far.

    ``invocation`` is the id of the invocation.  Raises the errors of ``start_run``.
    """
    check_prefixes(ctx, request)
    claims = claim_object(ctx, request)
    now = ctx.clock()
    ours = RunClaim(
        run=new_run_name(now, ctx.new_id()),
        started_at=now,
        invocation=invocation,
        first_step_until=now + time_left_ms(),
    )

    def claim(version: Claimed) -> tuple[Claimed | None, _LastRun | None] | Literal[Swap.LOST]:
        last = _read_last_run(ctx, request, version.value) if version.value else None
        if last and last.claim.invocation != invocation and last.may_go_on(now):
            return None, last
        swapped = claims.swap(ours, expected=version.etag)
        return LOST if swapped is LOST else (swapped, last)

    claimed, last = commit_loop(claims, claim)
    if claimed is None:
        assert last is not None  # that is why nothing was claimed
        return StartedRun(last.report, is_new=False)
    try:
        report = start_run(
            ctx,
            request,
            time_left_ms=time_left_ms,
            name=ours.run,
            repairs_before=last.report.counts.repaired if last else 0,
        )
    except Exception as failure:
        _release(claims, ours, claimed, failure=failure)
        raise
    return StartedRun(report, is_new=True)


def claim_object(ctx: ReconcileContext, request: ReconcileRequest) -> Claims:
    """The claim of a request, for reading and swapping; ``None`` if there is none."""
    key = layout.reconcile_claim_key(sha256(msgspec.json.encode(request)).hexdigest())
    return VersionedObject(
        store=ctx.state,
        key=key,
        name=key,
        initial=None,
        encode=msgspec.json.encode,
        decode=_decode_claim,
        headers=object_headers.PRIVATE_JSON_HEADERS,
    )


def _read_last_run(ctx: ReconcileContext, request: ReconcileRequest, claim: RunClaim) -> _LastRun:
    key = layout.reconcile_report_key(claim.run)
    stored = ctx.state.get(key)
    if stored is not None:
        try:
            report = reports.decode_report(stored.body, what=key)
            return _LastRun(claim, report, stored.info.modified * 1000)
        except TooNew:
            raise
        except Corrupt:  # the run cannot go on without its report
            pass
    nothing = ReconcileReport(run=claim.run, started_at=claim.started_at, request=request)
    return _LastRun(claim, nothing, claim.started_at)


def _release(claims: Claims, ours: RunClaim, claimed: Claimed, *, failure: Exception) -> None:
    """Let the next request start a run at once, after a start that failed."""
    ended = msgspec.structs.replace(ours, first_step_until=0)
    try:
        claims.swap(ended, expected=claimed.etag)
    except Unavailable as unanswered:
        failure.add_note(f"The request stays claimed until its invocation times out: {unanswered}")


def _decode_claim(body: bytes, *, what: str) -> RunClaim | None:
    try:
        return unpack_json(body, RunClaim, newest=FORMAT, what=what)
    except TooNew:
        raise
    except Corrupt:  # it claims nothing, and is replaced: what repairs must not depend on it
        return None
