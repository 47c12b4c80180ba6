"""``sluice rebind``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.cli import words
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.output import table
from sluice.operate.index import options_of
from sluice.operate.rebind import Rebinding, SubdirRebound
from sluice.operate.rebind import rebind as move

_NUMBERS = ("generation", "packages", "there", "missing", "changed", "pins")


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
    there. Until then sluice changes nothing in a bucket that the catalog does not belong to. Exits
    with 1 where less than half of the packages are there: then it needs --confirm.

    Parameters
    ----------
    channel
        Its address in the bucket that the catalog shall belong to, s3://bucket/channel.
    confirm
        The digest of a comparison that showed less than half of the packages.
    dry_run
        Only compare.
    """
    opened = options.channel(channel)
    with options.output.busy("comparing the catalog with the bucket"):
        done = move(
            opened,
            confirm=confirm,
            dry_run=dry_run,
            max_age_seconds=options_of(opened.stack).max_age_seconds,
        )
    options.output.tell(done, lambda told: _render(told, dry_run=dry_run))
    if done.failures:
        return Exit.FAILED
    return Exit.FINE if done.done or dry_run else Exit.DIFFERENT


def _render(found: Rebinding, *, dry_run: bool) -> RenderableType:
    rows = (_row(one) for one in found.subdirs)
    return Group(
        table("subdir", *_NUMBERS, rows=rows, right=_NUMBERS),
        *_lines(found),
        *(
            Text(f"{words.cell(one.object)}: {words.cell(one.reason)}", style="red")
            for one in found.failures
        ),
        Text(_outcome(found, dry_run=dry_run)),
    )


def _outcome(found: Rebinding, *, dry_run: bool) -> str:
    address = f"s3://{found.bucket}/{found.channel}".rstrip("/")
    before = found.bound_to or "no bucket that is known"
    there = f"{words.number(found.there)} of {words.counted(found.packages, 'package')}"
    if found.done:
        return (
            f"The catalog belongs to the bucket {found.bucket} now (before: {before}). {there} "
            f"are there. Next, index what differs: sluice index {address}, or with a stack "
            f"sluice reconcile {address}"
        )
    if dry_run:
        return f"This would bind the catalog to {found.bucket} (now: {before}). {there} are there."
    return (
        f"Nothing was changed: only {there} are in {found.bucket}, so it may be the wrong bucket "
        f"(the catalog belongs to {before}). To bind it all the same: sluice rebind {address} "
        f"--confirm {found.digest}"
    )


def _row(one: SubdirRebound) -> tuple[str, ...]:
    return (
        words.cell(one.subdir),
        str(one.generation or ""),
        words.number(one.packages),
        words.number(one.there),
        words.number(one.missing_count),
        words.number(one.changed_count),
        words.number(one.pins),
    )


def _lines(found: Rebinding) -> Iterator[Text]:
    for one in found.subdirs:
        for file in one.missing:
            yield Text(f"- {one.subdir}/{words.cell(file)} is not there", style="yellow")
        for file in one.changed:
            yield Text(f"~ {one.subdir}/{words.cell(file)} has another size", style="yellow")
        for file in one.lost_pins:
            yield Text(
                f"! {one.subdir}/{words.cell(file)} was kept out, and is another package now: it "
                "will be indexed",
                style="red",
            )
