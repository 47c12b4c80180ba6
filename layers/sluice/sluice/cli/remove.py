"""``sluice remove``."""

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
    """Delete packages, each out of the index first, so that no client meets a 404.

    If the stack has a CDN, they are invalidated there, too. Exits with 1 if that fails, with the
    command to run, or if a package was uploaded again meanwhile: that one is kept.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    packages
        Each as subdir/file, or as file alone if only one subdir has it.
    reason
        Is kept in the history.
    grace_seconds
        How long to wait for clients with an old index, after the new one is published:
        IndexCacheMaxAge of the stack.
    """
    opened = options.channel(channel)
    removals = []
    for subdir, files in locate_packages(opened, packages).items():
        options.output.note(
            f"Out of the index of {subdir.name}: {', '.join(sorted(files))}. To be deleted "
            f"{format_count(grace_seconds, 'second')} after that is published."
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
            Text(f"{removal.subdir}/{format_cell(file)} was gone already") for file in removal.gone
        ]
        lines += [
            Text(
                f"{removal.subdir}/{format_cell(file)} was uploaded again: it is left",
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
        return [Text(f"{paths} invalidated on the CDN, by invalidation {invalidation.id}")]
    return [
        Text(
            "Not invalidated on the CDN, which may go on serving it: "
            f"{format_cell(invalidation.failure)}",
            "yellow",
        ),
        Text("To invalidate it, run:"),
        # In one line, however narrow the terminal is, because people copy it.
        Text(f"  {invalidation.command}", no_wrap=True, overflow="ignore"),
    ]
