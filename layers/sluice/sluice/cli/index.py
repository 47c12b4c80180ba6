"""The command ``sluice index``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.admin.standalone import index as indexing
from sluice.admin.standalone.reader_choice import choose_readers
from sluice.admin.standalone.report import IndexReport, SubdirIndexed
from sluice.cli import removals_view
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_number
from sluice.cli.misplaced_view import render_misplaced
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.cli.progress_bars import bars


def index(  # noqa: PLR0913 - each is an option of the command line
    channel: str,
    /,
    *,
    subdir: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    re_extract: Annotated[bool, FLAG] = False,
    adopt: Annotated[bool, FLAG] = False,
    create: Annotated[bool, FLAG] = False,
    distrust_uploaders: Annotated[bool, FLAG] = False,
    confirm: str | None = None,
    brake_days: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    processes: int | None = None,
    options: Options = DEFAULTS,
) -> Exit:
    """Index a channel without a stack: read, merge, publish and collect garbage.

    Works with every S3 server that supports conditional writes. It is safe to interrupt and rerun,
    and safe to run several times at once or beside a stack on the same state. Exits with 3 if part
    of the run failed. Exits with 1 if removals await confirmation, if the configuration or a patch
    is invalid, or if the channel has neither packages nor a catalog.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    subdir
        Index only this subdir. Repeatable. Exits with 2 if the subdir does not exist.
    re_extract
        Also read every rejected package again.
    adopt
        Take over index files that another state publishes.
    create
        Publish an empty noarch for a new channel that has no packages yet.
    distrust_uploaders
        Read whole packages instead of trusting the digests that rattler-build stores with them.
    confirm
        Apply the pending removals with this digest now. An earlier run prints the digest.
    brake_days
        Number of days for which the removal of most of an index waits unless it is confirmed; 0
        disables the wait. Default: BrakeDays of the stack, or 3.
    processes
        Number of processes that read packages if there are thousands. Default: one for each core.
    """
    opened = options.channel(channel)
    if opened.shares_bucket:
        options.output.note(
            "The state is in the channel's bucket, so anyone who can read the whole bucket can "
            "read the state."
        )
    settings = replace(
        indexing.options_from_stack(opened.stack),
        subdirs=subdir or None,
        re_extract=re_extract,
        adopt=adopt,
        create=create,
        confirm=confirm,
    )
    if brake_days is not None:
        settings = replace(settings, brake_days=brake_days)
    if distrust_uploaders:
        settings = replace(settings, trust_uploader_digests=False)
    readers = choose_readers(
        options.opener.aws,
        opened,
        processes=processes,
        trust_uploader_digests=settings.trust_uploader_digests,
    )
    with bars(options.output) as progress:
        report = indexing.index(opened, settings, readers=readers, progress=progress)
    options.output.print_result(
        report, partial(render_index_report, channel=opened, options=options)
    )
    if report.failures:
        return Exit.FAILED
    return Exit.ISSUES_FOUND if _has_issues(report) else Exit.OK


def _has_issues(report: IndexReport) -> bool:
    return bool(
        report.waiting or report.problems or report.empty is not None or _confirms_nothing(report)
    )


def _confirms_nothing(report: IndexReport) -> bool:
    return report.confirm is not None and not report.confirmed


def render_index_report(
    report: IndexReport, *, channel: Channel, options: Options
) -> RenderableType:
    """Show what a run did."""
    packages, read = (
        format_number(report.packages),
        format_number(report.read),
    )
    parts: list[RenderableType] = [Text(f"{packages} packages, {read} of them read.")]
    if report.subdirs:
        parts.append(
            table(
                "subdir",
                *_NUMBERS,
                rows=(_row(subdir) for subdir in report.subdirs),
                right=_NUMBERS,
            )
        )
    elif report.empty is not None:
        parts = [Text(format_cell(report.empty), style="red")]
    else:
        parts.append(Text("Nothing to do: the index is up to date." if not report.failures else ""))
    parts += _failures(report)
    parts += [Text(format_cell(problem), style="red") for problem in report.problems]
    parts += render_misplaced(report.misplaced)
    address = str(Address(channel.bucket, channel.name))
    for subdir in report.waiting:
        if subdir.waiting:
            command = options.command("index", address, "--confirm", subdir.waiting.digest)
            parts += removals_view.render_waiting(subdir.subdir, subdir.waiting, command)
    if report.confirm is not None and _confirms_nothing(report):
        parts.append(removals_view.render_nothing_confirmed(report.confirm))
    return Group(*parts)


def _failures(report: IndexReport) -> Iterator[Text]:
    """Each reason once: a problem of the whole channel occurs in each of its subdirs."""
    by_reason: dict[str, list[str]] = {}
    for failure in report.failures:
        by_reason.setdefault(failure.reason, []).append(format_cell(failure.object))
    for reason, objects in by_reason.items():
        yield Text(f"{', '.join(objects)}: {format_cell(reason)}", style="red")


_NUMBERS = ("generation", "added", "replaced", "removed", "rejected", "files written", "collected")


def _row(subdir: SubdirIndexed) -> tuple[str, ...]:
    numbers = (
        subdir.added,
        subdir.replaced,
        subdir.removed,
        subdir.rejected,
        subdir.files_written,
        subdir.collected,
    )
    return (
        format_cell(subdir.subdir),
        str(subdir.generation or ""),
        *map(format_number, numbers),
    )
