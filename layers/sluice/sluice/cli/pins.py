"""``sluice pins``, ``sluice pin`` and ``sluice unpin``."""

from __future__ import annotations

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes import pins as of_channel
from sluice.admin.changes.pins import PinnedFile, Unpinned
from sluice.admin.changes.remove import locate
from sluice.cli import formatting
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, Options
from sluice.cli.output import table
from sluice.cli.waiting import wait


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the files of one subdir that were to be pinned."""

    subdir: str
    files: list[str]
    generation: int | None
    """The one that leaves them out; ``None`` where they were pinned already."""


def pins(channel: str, /, *, options: Options = DEFAULTS) -> None:
    """List what is kept out of a channel on purpose: by pin, by rollback, or before sluice.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    """
    options.output.tell(of_channel.pins(options.channel(channel)), _render_pins)


def pin(channel: str, /, *packages: str, reason: str, options: Options = DEFAULTS) -> None:
    """Keep packages out of a channel, until they are uploaded again or unpinned.

    The files stay where they are. Returns when clients see it.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    packages
        Each as subdir/file, or as file alone where one subdir has it.
    reason
        Is kept with the pin and in the history.
    """
    opened = options.channel(channel)
    done = []
    for subdir, files in locate(opened, packages).items():
        amended = of_channel.pin(opened, subdir, files, reason=reason).committed
        generation = amended.generation if amended else None
        wait(opened, subdir, generation, options.output)
        done.append(Pinned(subdir=subdir.name, files=sorted(files), generation=generation))
    options.output.tell(done, _render_pinned)


def unpin(channel: str, /, *packages: str, reason: str = "", options: Options = DEFAULTS) -> Exit:
    """Let packages into a channel again that are pinned out of it.

    Each is read again. Returns when clients see it; exits with 1 where one cannot be indexed.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    packages
        Each as subdir/file, or as file alone where one subdir has it.
    reason
        Is kept in the history.
    """
    opened = options.channel(channel)
    done = []
    for subdir, files in locate(opened, packages).items():
        one = of_channel.unpin(opened, subdir, files, reason=reason)
        wait(opened, subdir, one.generation, options.output)
        done.append(one)
    options.output.tell(done, _render_unpinned)
    return Exit.DIFFERENT if any(one.rejected or one.gone for one in done) else Exit.FINE


def _render_pins(found: list[PinnedFile]) -> RenderableType:
    if not found:
        return Text("Nothing is pinned.")
    return table(
        "subdir",
        "file",
        "since",
        "reason",
        rows=(
            (
                one.subdir,
                formatting.cell(one.file),
                formatting.moment(one.since),
                formatting.cell(one.reason),
            )
            for one in found
        ),
    )


def _render_pinned(done: list[Pinned]) -> RenderableType:
    return Group(
        *(
            Text(
                f"{one.subdir}/{formatting.cell(file)} is kept out"
                + (f" since generation {one.generation}" if one.generation else " already")
            )
            for one in done
            for file in one.files
        )
    )


def _render_unpinned(done: list[Unpinned]) -> RenderableType:
    told = (
        (one.subdir, file, what, style)
        for one in done
        for files, what, style in (
            (one.indexed, "is in the index again", "green"),
            (one.rejected, "cannot be indexed: see sluice rejects", "red"),
            (one.gone, "is not in the bucket any more", "red"),
        )
        for file in files
    )
    return Group(
        *(
            Text(f"{subdir}/{formatting.cell(f)} {what}", style=style)
            for subdir, f, what, style in told
        )
    )
