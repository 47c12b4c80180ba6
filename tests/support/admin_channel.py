"""The channel of a ``World``, as the admin API opens it."""

from __future__ import annotations

from sluice.admin.session.channel import Channel
from sluice.concurrency import in_order
from tests.support.subdir_world import BUCKET, OWNER, World


def admin_channel(world: World) -> Channel:
    """The channel of a world's subdir."""
    return Channel(
        bucket=BUCKET,
        name=world.subdir.channel,
        public=world.channel,
        state=world.state,
        executor=in_order,
        clock=lambda: world.now_ms,
        new_id=world.new_id,
        owner=OWNER,
        merges=world.queue,
    )
