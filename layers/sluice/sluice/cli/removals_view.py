"""Renders pending removals for the terminal, with the command that applies them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from sluice.catalog.brake import WaitingRemovals
from sluice.cli.formatting import format_cell, format_count, format_number, format_utc


def render_waiting(where: str, removals: WaitingRemovals, command: str) -> Iterator[Text]:
    """Show what waits in a subdir, until when, and what to do about it."""
    packages = f"{format_number(removals.packages)} of {format_count(removals.of, 'package')}"
    verb = "is" if removals.packages == 1 else "are"
    yield Text(f"{format_cell(where)}: {packages} {verb} missing from the bucket.", style="red")
    if removals.until is None:
        yield Text("  They stay in the index until they have been missing for BrakeDays.")
    else:
        yield Text(
            f"  They have been missing since {format_utc(removals.since)}, and stay in the index "
            f"until the first comparison after {format_utc(removals.until)}."
        )
    yield Text("  If they were deleted by mistake, restore them. To remove them now, run:")
    yield Text(f"  {format_cell(command)}")


def render_nothing_confirmed(digest: str) -> Text:
    """Show that a digest names no waiting removals."""
    return Text(f"No pending removals have the digest {digest}: nothing was removed.", style="red")
