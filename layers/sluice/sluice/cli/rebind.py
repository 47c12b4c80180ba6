"""The command ``sluice rebind``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.rebind import Rebinding
from sluice.admin.changes.rebind import rebind as move
from sluice.admin.changes.rebind_subdir import SubdirRebound
from sluice.admin.standalone.index import options_from_stack
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_count, format_number
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table

_NUMBERS = ("generation", "packages", "present", "missing", "changed", "taken over", "pins")


def rebind(
    channel: str,
    /,
    *,
    confirm: str | None = None,
    dry_run: Annotated[bool, FLAG] = False,
    options: Options = DEFAULTS,
) -> Exit:
    """Bind the catalog of a channel to another bucket, or to a restored one.

    Run this after moving a channel or restoring its bucket from a copy. It compares the catalog
    with the bucket by filename and size, keeps pins, rejects and dates, and publishes the index in
    the bucket. Until then, sluice changes nothing in a bucket that the catalog is not bound to.

    If the comparison finds a problem, the command changes nothing and exits with 1. Problems are:
    the bucket has fewer than half of the packages of a subdir, a pinned file is missing, or part of
    the catalog cannot be read. Check the output, and repeat the command with --confirm.

    Parameters
    ----------
    channel
        Address of the channel in the new bucket: s3://bucket/channel.
    confirm
        Digest of a comparison that found problems. Binds the catalog despite them.
    dry_run
        Only compare.
    """
    opened = options.channel(channel)
    defaults = options_from_stack(opened.stack)
    with options.output.busy("comparing the catalog with the bucket"):
        result = move(
            opened,
            confirm=confirm,
            dry_run=dry_run,
            max_age_seconds=defaults.max_age_seconds,
            brake_days=defaults.brake_days,
        )
    options.output.print_result(result, _render)
    if result.done:
        return Exit.FAILED if result.failures else Exit.OK
    return Exit.ISSUES_FOUND if result.doubts else Exit.OK


def _render(result: Rebinding) -> RenderableType:
    rows = (_row(problem) for problem in result.subdirs)
    return Group(
        table("subdir", *_NUMBERS, rows=rows, right=_NUMBERS),
        *_lines(result),
        *(Text(format_cell(problem), style="red") for problem in _problems(result)),
        Text(_outcome(result)),
    )


def _problems(result: Rebinding) -> list[str]:
    """The subdirs that could not be rebound, or else the doubts."""
    if not result.done:
        return result.doubts
    return [f"{failure.object}: {failure.reason}" for failure in result.failures]


def _outcome(result: Rebinding) -> str:
    address = f"s3://{result.bucket}/{result.channel}".rstrip("/")
    before = result.bound_to or "not recorded"
    there = (
        f"{format_number(result.packages_present)} of {format_count(result.packages, 'package')}"
    )
    if result.done:
        return (
            f"The catalog is now bound to the bucket {result.bucket} (before: {before}), which has "
            f"{there}. To index the differences, run: sluice index {address} (with a stack: sluice "
            f"reconcile {address})"
        )
    if not result.doubts:
        return (
            f"This would bind the catalog to the bucket {result.bucket} (now: {before}), which has "
            f"{there}."
        )
    return (
        f"Nothing was changed. {result.bucket} has {there}; the catalog is bound to: {before}. "
        "To bind the catalog despite these problems, run: "
        f"sluice rebind {address} --confirm {result.digest}"
    )


def _row(subdir: SubdirRebound) -> tuple[str, ...]:
    return (
        format_cell(subdir.subdir),
        str(subdir.generation or ""),
        format_number(subdir.packages),
        format_number(subdir.there),
        format_number(subdir.missing_count),
        format_number(subdir.changed_count),
        format_number(subdir.taken_over),
        format_number(subdir.pins),
    )


def _lines(result: Rebinding) -> Iterator[Text]:
    for row in result.subdirs:
        for file in row.missing:
            yield Text(f"- {row.subdir}/{format_cell(file)} is missing", style="yellow")
        for file in row.changed:
            yield Text(f"~ {row.subdir}/{format_cell(file)} has a different size", style="yellow")
        for file in row.lost_pins:
            yield Text(
                f"! {row.subdir}/{format_cell(file)} was pinned, but is a different package in "
                "this bucket: it will be indexed",
                style="red",
            )
