"""The command ``sluice remove``."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.remove import GRACE_SECONDS, REASON, Removal, locate_packages
from sluice.admin.changes.remove import remove as take_away
from sluice.admin.session.cdn import Invalidation
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_count
from sluice.cli.options import DEFAULTS, Options, Packages


def remove(
    channel: str,
    /,
    *packages: Packages,
    reason: str = REASON,
    grace_seconds: int = GRACE_SECONDS,
    options: Options = DEFAULTS,
) -> Exit:
    """Remove packages from the index, then delete them, so that no client gets a 404.

    If the stack has a CDN, the packages are invalidated there as well. If that fails, the command
    exits with 1 and prints the command to run. It also exits with 1 if a package was uploaded again
    in the meantime; that package is kept.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    packages
        Each as subdir/file, or as file if only one subdir has it.
    reason
        Reason, stored in the history.
    grace_seconds
        Seconds between publishing the new index and deleting the packages, for clients that still
        use the old index. Set it to IndexCacheMaxAge of the stack.
    """
    opened = options.channel(channel)
    removals = []
    for subdir, files in locate_packages(opened, packages).items():
        options.output.note(
            f"Removing from the index of {subdir.name}: {', '.join(sorted(files))}. Deletion "
            f"follows {format_count(grace_seconds, 'second')} after the index is published."
        )
        removals.append(
            take_away(opened, subdir, files, reason=reason, grace_seconds=grace_seconds)
        )
    options.output.print_result(removals, _render)
    left = any(removal.overwritten for removal in removals)
    failed = any(
        invalidation.failure for removal in removals for invalidation in removal.invalidations
    )
    return Exit.ISSUES_FOUND if left or failed else Exit.OK


def _render(removals: list[Removal]) -> RenderableType:
    lines: list[Text] = []
    for removal in removals:
        lines += [
            Text(f"{removal.subdir}/{format_cell(file)} is deleted") for file in removal.deleted
        ]
        lines += [
            Text(f"{removal.subdir}/{format_cell(file)} was already deleted")
            for file in removal.gone
        ]
        lines += [
            Text(
                f"{removal.subdir}/{format_cell(file)} was uploaded again: it is kept",
                style="yellow",
            )
            for file in removal.overwritten
        ]
        lines += [
            line
            for invalidation in removal.invalidations
            for line in _render_invalidation(invalidation)
        ]
    return Group(*lines)


def _render_invalidation(invalidation: Invalidation) -> list[Text]:
    if invalidation.id is not None:
        paths = format_count(len(invalidation.paths), "path")
        return [Text(f"{paths} invalidated on the CDN (invalidation {invalidation.id})")]
    return [
        Text(
            "The CDN invalidation failed, so the CDN may still serve the packages: "
            f"{format_cell(invalidation.failure)}",
            "yellow",
        ),
        Text("To invalidate them, run:"),
        # In one line, however narrow the terminal is, because people copy it.
        Text(f"  {invalidation.command}", no_wrap=True, overflow="ignore"),
    ]
