"""The view of waiting removals for people, with the command that carries them out."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from sluice.catalog.brake import WaitingRemovals
from sluice.cli.formatting import format_cell, format_count, format_number, format_utc


def render_waiting(where: str, removals: WaitingRemovals, command: str) -> Iterator[Text]:
    """Show what waits in a subdir, until when, and what to do about it."""
    packages = f"{format_number(removals.packages)} of {format_count(removals.of, 'package')}"
    verb = "is" if removals.packages == 1 else "are"
    yield Text(f"{format_cell(where)}: {packages} {verb} gone from the bucket.", style="red")
    if removals.until is None:
        yield Text("  They stay in the index until comparisons find them missing for BrakeDays.")
    else:
        yield Text(
            f"  They have been found missing since {format_utc(removals.since)}, and stay "
            f"in the index until the first comparison after {format_utc(removals.until)}."
        )
    yield Text("  Deleted by mistake: restore them. Deleted on purpose: remove them now with")
    yield Text(f"  {format_cell(command)}")


def render_nothing_confirmed(digest: str) -> Text:
    """Show that a digest names no waiting removals."""
    return Text(f"No removals wait under {digest}: nothing was confirmed.", style="red")
