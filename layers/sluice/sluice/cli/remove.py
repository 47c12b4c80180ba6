"""``sluice remove``."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.remove import GRACE_SECONDS, REASON, Removal, locate
from sluice.admin.changes.remove import remove as take_away
from sluice.admin.session.cdn import Invalidation
from sluice.cli import formatting
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, Options


def remove(
    channel: str,
    /,
    *packages: str,
    reason: str = REASON,
    grace_seconds: int = GRACE_SECONDS,
    options: Options = DEFAULTS,
) -> Exit:
    """Delete packages, each out of the index first, so that no client meets a 404.

    Where the stack has a CDN, they are invalidated there, too. Exits with 1 where that fails, with
    the command to run, or where a package was uploaded again meanwhile: that one is left.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    packages
        Each as subdir/file, or as file alone where one subdir has it.
    reason
        Is kept in the history.
    grace_seconds
        How long to wait, once the index does without them, for clients that still go by the one
        they have: IndexCacheMaxAge of the stack.
    """
    opened = options.channel(channel)
    done = []
    for subdir, files in locate(opened, packages).items():
        options.output.note(
            f"Out of the index of {subdir.name}: {', '.join(sorted(files))}. To be deleted "
            f"{grace_seconds} seconds after that is published."
        )
        done.append(take_away(opened, subdir, files, reason=reason, grace_seconds=grace_seconds))
    options.output.tell(done, _render)
    left = any(one.overwritten for one in done)
    failed = any(each.failure for one in done for each in one.invalidations)
    return Exit.DIFFERENT if left or failed else Exit.FINE


def _render(done: list[Removal]) -> RenderableType:
    lines: list[Text] = []
    for one in done:
        lines += [Text(f"{one.subdir}/{formatting.cell(file)} is deleted") for file in one.deleted]
        lines += [
            Text(f"{one.subdir}/{formatting.cell(file)} was gone already") for file in one.gone
        ]
        lines += [
            Text(
                f"{one.subdir}/{formatting.cell(file)} was uploaded again: it is left",
                style="yellow",
            )
            for file in one.overwritten
        ]
        lines += [line for each in one.invalidations for line in _render_invalidation(each)]
    return Group(*lines)


def _render_invalidation(one: Invalidation) -> list[Text]:
    if one.id is not None:
        paths = formatting.counted(len(one.paths), "path")
        return [Text(f"{paths} invalidated on the CDN, by invalidation {one.id}")]
    return [
        Text(
            "Not invalidated on the CDN, which may go on serving it: "
            f"{formatting.cell(one.failure)}",
            "yellow",
        ),
        Text("To invalidate it, run:"),
        # In one line, however narrow the terminal is, for it is copied.
        Text(f"  {one.command}", no_wrap=True, overflow="ignore"),
    ]
