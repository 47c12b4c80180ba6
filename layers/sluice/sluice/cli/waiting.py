"""Waits until the index of a commit is published."""

from __future__ import annotations

from sluice.admin.changes.wait_published import wait_until_published
from sluice.admin.session.channel import Channel
from sluice.cli.output import Output
from sluice.layout import Subdir


def wait_for_publication(
    channel: Channel, subdir: Subdir, generation: int | None, output: Output
) -> None:
    """Print a message and wait; do neither if there is no new generation."""
    if generation is None:
        return
    output.note(f"Generation {generation} of {subdir.name} is committed. Publishing its index.")
    wait_until_published(channel, subdir, generation)
