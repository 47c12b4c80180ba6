"""``sluice rebind``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.rebind import Rebinding
from sluice.admin.changes.rebind import rebind as move
from sluice.admin.changes.rebind_subdir import SubdirRebound
from sluice.admin.standalone.index import options_of
from sluice.cli import formatting
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table

_NUMBERS = ("generation", "packages", "there", "missing", "changed", "taken over", "pins")


def rebind(
    channel: str,
    /,
    *,
    confirm: str | None = None,
    dry_run: Annotated[bool, FLAG] = False,
    options: Options = DEFAULTS,
) -> Exit:
    """Bind the catalog of a channel to another bucket, or to one that was restored.

    Run it after a channel was moved, or its bucket restored from a copy. It compares the catalog
    with the bucket by filename and size, keeps pins, rejects and dates, and publishes the index
    there. Until then sluice changes nothing in a bucket that the catalog does not belong to.

    Where the comparison leaves doubts, it changes nothing and exits with 1: fewer than half of the
    packages of a subdir are there, a file that is kept out is not there, or part of the catalog
    cannot be read. Then look at what it found, and repeat the command with --confirm.

    Parameters
    ----------
    channel
        Its address in the bucket that the catalog shall belong to, s3://bucket/channel.
    confirm
        The digest of a comparison with doubts, to bind the catalog all the same.
    dry_run
        Only compare.
    """
    opened = options.channel(channel)
    defaults = options_of(opened.stack)
    with options.output.busy("comparing the catalog with the bucket"):
        done = move(
            opened,
            confirm=confirm,
            dry_run=dry_run,
            max_age_seconds=defaults.max_age_seconds,
            brake_days=defaults.brake_days,
        )
    options.output.tell(done, _render)
    if done.done:
        return Exit.FAILED if done.failures else Exit.FINE
    return Exit.DIFFERENT if done.doubts else Exit.FINE


def _render(found: Rebinding) -> RenderableType:
    rows = (_row(one) for one in found.subdirs)
    return Group(
        table("subdir", *_NUMBERS, rows=rows, right=_NUMBERS),
        *_lines(found),
        *(Text(formatting.cell(one), style="red") for one in _problems(found)),
        Text(_outcome(found)),
    )


def _problems(found: Rebinding) -> list[str]:
    """What could not be moved, or else what stands in the way."""
    if not found.done:
        return found.doubts
    return [f"{one.object}: {one.reason}" for one in found.failures]


def _outcome(found: Rebinding) -> str:
    address = f"s3://{found.bucket}/{found.channel}".rstrip("/")
    before = found.bound_to or "not recorded"
    there = f"{formatting.number(found.there)} of {formatting.counted(found.packages, 'package')}"
    if found.done:
        return (
            f"The catalog belongs to the bucket {found.bucket} now (before: {before}). {there} "
            f"are there. Next, index what differs: sluice index {address}, or with a stack "
            f"sluice reconcile {address}"
        )
    if not found.doubts:
        return f"This would bind the catalog to {found.bucket} (now: {before}). {there} are there."
    return (
        f"Nothing was changed. {there} are in {found.bucket}; the catalog belongs to: {before}. "
        "If that is right, bind the catalog all the same: "
        f"sluice rebind {address} --confirm {found.digest}"
    )


def _row(one: SubdirRebound) -> tuple[str, ...]:
    return (
        formatting.cell(one.subdir),
        str(one.generation or ""),
        formatting.number(one.packages),
        formatting.number(one.there),
        formatting.number(one.missing_count),
        formatting.number(one.changed_count),
        formatting.number(one.taken_over),
        formatting.number(one.pins),
    )


def _lines(found: Rebinding) -> Iterator[Text]:
    for one in found.subdirs:
        for file in one.missing:
            yield Text(f"- {one.subdir}/{formatting.cell(file)} is not there", style="yellow")
        for file in one.changed:
            yield Text(f"~ {one.subdir}/{formatting.cell(file)} has another size", style="yellow")
        for file in one.lost_pins:
            yield Text(
                f"! {one.subdir}/{formatting.cell(file)} was kept out, and is another package now: "
                "it will be indexed",
                style="red",
            )
