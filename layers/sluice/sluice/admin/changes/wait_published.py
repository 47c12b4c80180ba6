"""Waits until a generation is published."""

from __future__ import annotations

import time
from collections.abc import Callable

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.merge_in_process import merge_in_process
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.errors import Unavailable
from sluice.layout import PATCH_INSTRUCTIONS, Subdir
from sluice.publish.fence import Stamp
from sluice.publish.outputs import wanted_outputs
from sluice.storage.versioned_object import ObjectVersion, read_newest

Pause = Callable[[float], None]
"""Waits for a number of seconds."""

PUBLISHED_WITHIN_SECONDS = 300
"""Seconds: longer than a window, the queue and a merge should take together."""
_POLL_SECONDS = 1.0


def wait_until_published(
    channel: Channel,
    subdir: Subdir,
    generation: int,
    *,
    pause: Pause = time.sleep,
    seconds_max: float = PUBLISHED_WITHIN_SECONDS,
) -> None:
    """Return once every index file is of this generation or a later one.

    The merge that was requested with the commit publishes it; without a stack, this function does.
    Raises ``Unavailable`` if that takes longer than ``seconds_max``.  The generation is committed
    then, and will still be published.
    """
    if channel.merges is None:
        merge_in_process(channel, [subdir])
    waited = 0.0
    while not is_published(channel, subdir, generation):
        if waited >= seconds_max:
            raise Unavailable(
                f"generation {generation} of {subdir.prefix} is committed, but was not published "
                f"within {seconds_max:.0f} seconds. Check MergeQueue and the log of MergeFunction"
            )
        pause(_POLL_SECONDS)
        waited += _POLL_SECONDS


def is_published(channel: Channel, subdir: Subdir, generation: int) -> bool:
    """Whether no index file of a subdir is older than this generation."""

    def read(version: ObjectVersion[Head]) -> list[str]:
        catalog = CatalogReader(channel.state, subdir, channel.executor)
        tree = catalog.tree(version.value.tree)
        return wanted_outputs(tree, catalog.rules(tree).config)

    files = read_newest(head_object(channel.state, subdir), read)
    # That file has the generation in which its patch became active.
    keys = [subdir.file_key(file) for file in files if file != PATCH_INSTRUCTIONS]
    stamps = (
        Stamp.parse(info.metadata) if info else None
        for info in channel.executor.map(channel.public.head, keys)
    )
    return all(stamp is not None and stamp.generation >= generation for stamp in stamps)
