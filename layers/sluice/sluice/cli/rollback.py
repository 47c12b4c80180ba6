"""The command ``sluice rollback``."""

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
    """Restore a subdir to an older generation.

    Files added since then are pinned: they stay out of the index until they are uploaded again or
    unpinned. Files removed since then come back if the same object is still in the bucket. No
    package file is changed. Returns when the new index is published.

    Parameters
    ----------
    subdir
        Address of the subdir: s3://bucket/channel/linux-64.
    to
        Number of a generation (17), a time in UTC (2026-11-27T14:00), or an age (2h). A time or an
        age selects the generation that was the newest then.
    dry_run
        Show what would change, and change nothing.
    reason
        Reason, stored with the pins and in the history.
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
        head = f"Generation {result.generation} rolls back {result.rolled_back_from} to {back}."
    elif dry_run:
        head = f"This would roll back {result.rolled_back_from} to {back}."
    else:
        head = f"Generation {result.rolled_back_from} already has the content of {back}."
    counts = f"Restored: {len(result.restored)}. Removed: {len(result.pinned)}."
    return Group(Text(head), *_lines(result), Text(counts))


def _lines(result: Rollback) -> Iterator[Text]:
    changed = set(result.changed)
    for file in result.restored:
        yield Text(f"+ {format_cell(file)}", style="green")
    for file in result.pinned:
        why = " (its content has changed, so it cannot be restored)" if file in changed else ""
        yield Text(f"- {format_cell(file)}{why}", style="red")
    for file in sorted(changed - set(result.pinned)):
        yield Text(f"! {format_cell(file)}: its content has changed, so it cannot be restored")
    for file in result.gone:
        yield Text(f"! {format_cell(file)} is no longer in the bucket, so it cannot be restored")
    for file in result.waiting:
        yield Text(f"? {format_cell(file)} waits for a merge, which will add it to the index")
