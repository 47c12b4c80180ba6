"""The commands ``sluice pins``, ``sluice pin`` and ``sluice unpin``."""

from __future__ import annotations

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes import pins as of_channel
from sluice.admin.changes.pins import PinnedFile, Unpinned
from sluice.admin.changes.remove import locate_packages
from sluice.admin.session.known_channels import require_known
from sluice.cli.exits import Exit
from sluice.cli.formatting import format_cell, format_utc
from sluice.cli.options import DEFAULTS, Options, Packages
from sluice.cli.output import table
from sluice.cli.waiting import wait_for_publication


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a pin in one subdir."""

    subdir: str
    files: list[str]
    generation: int | None
    """The generation without the files; ``None`` if they were pinned already."""


def pins(channel: str, /, *, options: Options = DEFAULTS) -> None:
    """List the files that are kept out of the index on purpose.

    A pin or a rollback keeps a file out, and so does an entry under removed in an index that sluice
    took over.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    """
    opened = options.channel(channel)
    pinned_files = of_channel.pins(opened)
    if not pinned_files:
        require_known(opened)
    options.output.print_result(pinned_files, _render_pins)


def pin(channel: str, /, *packages: Packages, reason: str, options: Options = DEFAULTS) -> None:
    """Keep packages out of the index until they are uploaded again or unpinned.

    The package files stay in the bucket. Returns when the new index is published.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    packages
        Each as subdir/file, or as file if only one subdir has it.
    reason
        Reason, stored with the pin and in the history.
    """
    opened = options.channel(channel)
    pinned = []
    for subdir, files in locate_packages(opened, packages).items():
        commit = of_channel.pin(opened, subdir, files, reason=reason).committed
        generation = commit.generation if commit else None
        wait_for_publication(opened, subdir, generation, options.output)
        pinned.append(Pinned(subdir=subdir.name, files=sorted(files), generation=generation))
    options.output.print_result(pinned, _render_pinned)


def unpin(
    channel: str, /, *packages: Packages, reason: str = "", options: Options = DEFAULTS
) -> Exit:
    """Let pinned packages back into the index.

    Reads each package again. Returns when the new index is published. Exits with 1 if a package
    cannot be indexed.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    packages
        Each as subdir/file, or as file if only one subdir has it.
    reason
        Reason, stored in the history.
    """
    opened = options.channel(channel)
    results = []
    for subdir, files in locate_packages(opened, packages).items():
        unpinned = of_channel.unpin(opened, subdir, files, reason=reason)
        wait_for_publication(opened, subdir, unpinned.generation, options.output)
        results.append(unpinned)
    options.output.print_result(results, _render_unpinned)
    return (
        Exit.ISSUES_FOUND
        if any(unpinned.rejected or unpinned.gone for unpinned in results)
        else Exit.OK
    )


def _render_pins(pinned_files: list[PinnedFile]) -> RenderableType:
    if not pinned_files:
        return Text("Nothing is pinned.")
    return table(
        "subdir",
        "file",
        "since",
        "reason",
        rows=(
            (
                pinned.subdir,
                format_cell(pinned.file),
                format_utc(pinned.since),
                format_cell(pinned.reason),
            )
            for pinned in pinned_files
        ),
    )


def _render_pinned(results: list[Pinned]) -> RenderableType:
    return Group(
        *(
            Text(
                f"{pinned.subdir}/{format_cell(file)} is "
                + (
                    f"pinned in generation {pinned.generation}"
                    if pinned.generation
                    else "already pinned"
                )
            )
            for pinned in results
            for file in pinned.files
        )
    )


def _render_unpinned(results: list[Unpinned]) -> RenderableType:
    lines = (
        (unpinned.subdir, file, what, style)
        for unpinned in results
        for files, what, style in (
            (unpinned.indexed, "is in the index again", "green"),
            (unpinned.rejected, "cannot be indexed: see sluice rejects", "red"),
            (unpinned.gone, "is no longer in the bucket", "red"),
        )
        for file in files
    )
    return Group(
        *(
            Text(f"{subdir}/{format_cell(f)} {what}", style=style)
            for subdir, f, what, style in lines
        )
    )
