"""``sluice snapshot``."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sluice.admin.changes.snapshot import Snapshot
from sluice.admin.changes.snapshot import snapshot as take
from sluice.admin.history.generations import parse_moment, time_of
from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.cli import formatting
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
    """Publish a channel as it was as another channel, without copying a package.

    Parameters
    ----------
    channel
        Its address, s3://bucket/channel.
    at
        A time in UTC (2026-11-27T14:00), how long ago (2h), or the moment in which a generation of
        a subdir was committed (linux-64@17).
    to
        Address of the snapshot, where nothing may be yet.
    base_url
        URL of the channel, for clients who fetch its packages: absolute, or relative to the
        snapshot (conda takes no relative one). Left out: its address.
    """
    opened = options.channel(channel)
    into = options.opener.elsewhere(opened, Address.parse(to))
    options.output.tell(take(opened, into, _time(opened, at), base_url=base_url), _render)


def _time(channel: Channel, at: str) -> datetime:
    subdir, has_generation, generation = at.partition("@")
    if has_generation and is_subdir(subdir) and generation.isdecimal():
        return time_of(channel, channel.subdir(subdir), int(generation))
    moment = parse_moment(at, now=datetime.now(UTC))
    if isinstance(moment, int):
        raise Misused(f"each subdir counts its own generations: say of which, like linux-64@{at}")
    return moment


def _render(done: Snapshot) -> RenderableType:
    missing = [
        Text(f"! {one.subdir}/{formatting.cell(file)} {why}", style="yellow")
        for one in done.subdirs
        for files, why in (
            (one.gone, "is not in the bucket any more"),
            (one.changed, "holds something else now"),
        )
        for file in files
    ]
    return Group(
        Text(f"{done.url} is {done.of} as of {formatting.moment(done.at)}."),
        table(
            "subdir",
            "generation",
            "committed",
            "packages",
            "left out",
            rows=(
                (
                    one.subdir,
                    formatting.number(one.generation),
                    formatting.moment(one.committed_at),
                    formatting.number(one.packages),
                    formatting.number(len(one.gone) + len(one.changed)),
                )
                for one in done.subdirs
            ),
            right=("generation", "packages", "left out"),
        ),
        *missing,
    )
