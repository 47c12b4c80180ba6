"""``sluice rollback``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.rollback import Rollback
from sluice.admin.changes.rollback import rollback as roll_back
from sluice.admin.history.generations import parse_generation_ref
from sluice.cli.formatting import format_cell, format_utc
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.cli.waiting import wait_for_publication


def rollback(
    subdir: str,
    /,
    *,
    to: str,
    dry_run: Annotated[bool, FLAG] = False,
    reason: str = "",
    options: Options = DEFAULTS,
) -> None:
    """Give a subdir the content of an old generation.

    What came into the index since then is kept out until it is uploaded again or unpinned; what
    left it comes back if the very same object still exists. No package is touched. Returns when
    clients see it.

    Parameters
    ----------
    subdir
        Its address, s3://bucket/channel/subdir.
    to
        A generation (17), a time in UTC (2026-11-27T14:00), or how long ago (2h): then the
        generation that was the newest.
    dry_run
        Show what would change, and change nothing.
    reason
        Is kept with the pins and in the history.
    """
    channel, target = options.subdir(subdir)
    ref = parse_generation_ref(to, now=datetime.now(UTC))
    result = roll_back(channel, target, ref, reason=reason, dry_run=dry_run)
    wait_for_publication(channel, target, result.generation, options.output)
    options.output.print_result(result, lambda outcome: _render(outcome, dry_run=dry_run))


def _render(result: Rollback, *, dry_run: bool) -> RenderableType:
    back = (
        f"generation {result.rolled_back_to} of {result.subdir}, "
        f"committed {format_utc(result.to_committed_at)}"
    )
    if result.generation is not None:
        head = f"Generation {result.generation} goes back from {result.rolled_back_from} to {back}."
    elif dry_run:
        head = f"This would go back from {result.rolled_back_from} to {back}."
    else:
        head = f"Generation {result.rolled_back_from} has the content of {back} already."
    counts = f"Restored: {len(result.restored)}. Removed: {len(result.pinned)}."
    return Group(Text(head), *_lines(result), Text(counts))


def _lines(result: Rollback) -> Iterator[Text]:
    changed = set(result.changed)
    for file in result.restored:
        yield Text(f"+ {format_cell(file)}", style="green")
    for file in result.pinned:
        why = " (it holds something else now, and cannot come back)" if file in changed else ""
        yield Text(f"- {format_cell(file)}{why}", style="red")
    for file in sorted(changed - set(result.pinned)):
        yield Text(f"! {format_cell(file)} holds something else now, and cannot come back")
    for file in result.gone:
        yield Text(f"! {format_cell(file)} is not in the bucket any more, and cannot come back")
    for file in result.waiting:
        yield Text(f"? {format_cell(file)} waits for a merge, which brings it into the index")
