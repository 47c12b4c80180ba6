"""The command ``sluice snapshot``."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.snapshot import Snapshot
from sluice.admin.changes.snapshot import snapshot as take
from sluice.admin.history.generations import generation_time, parse_generation_ref
from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.cli.formatting import format_cell, format_number, format_utc
from sluice.cli.options import DEFAULTS, Options
from sluice.cli.output import table
from sluice.conda.names import is_subdir
from sluice.errors import Misused


def snapshot(
    channel: str,
    /,
    *,
    at: str,
    to: str,
    base_url: str | None = None,
    options: Options = DEFAULTS,
) -> None:
    """Publish a past state of a channel as a new channel, without copying packages.

    Parameters
    ----------
    channel
        Address of the channel: s3://bucket/channel.
    at
        A time in UTC (2026-11-27T14:00), an age (2h), or a generation of a subdir (linux-64@17) for
        its commit time.
    to
        Address of the snapshot. Nothing may exist there yet.
    base_url
        URL from which clients of the snapshot download the packages: absolute, or relative to the
        snapshot. conda does not support a relative URL. Default: the address of the channel.
    """
    opened = options.channel(channel)
    into = options.opener.elsewhere(opened, Address.parse(to))
    options.output.print_result(
        take(opened, into, _parse_time(opened, at), base_url=base_url), _render
    )


def _parse_time(channel: Channel, at: str) -> datetime:
    subdir, has_generation, generation = at.partition("@")
    if has_generation and is_subdir(subdir) and generation.isdecimal():
        return generation_time(channel, channel.subdir(subdir), int(generation))
    ref = parse_generation_ref(at, now=datetime.now(UTC))
    if isinstance(ref, int):
        raise Misused(
            f"generation {at} is ambiguous, because each subdir counts its own: name the subdir, "
            f"for example linux-64@{at}"
        )
    return ref


def _render(result: Snapshot) -> RenderableType:
    missing = [
        Text(f"! {subdir.subdir}/{format_cell(file)} {why}", style="yellow")
        for subdir in result.subdirs
        for files, why in (
            (subdir.gone, "is no longer in the bucket"),
            (subdir.changed, "has changed"),
        )
        for file in files
    ]
    return Group(
        Text(f"{result.url} is {result.of} as of {format_utc(result.at)}."),
        table(
            "subdir",
            "generation",
            "committed",
            "packages",
            "left out",
            rows=(
                (
                    subdir.subdir,
                    format_number(subdir.generation),
                    format_utc(subdir.committed_at),
                    format_number(subdir.packages),
                    format_number(len(subdir.gone) + len(subdir.changed)),
                )
                for subdir in result.subdirs
            ),
            right=("generation", "packages", "left out"),
        ),
        *missing,
    )
