"""Channels that were emptied, and whose index files somebody has deleted or moved away.

Nobody can say whether its packages come back, so nothing writes an empty index again: the channel
stays as it is until there is a package, or ``sluice retire``.
"""

from __future__ import annotations

from sluice.catalog.tree import Tree
from sluice.layout import (
    REPODATA,
    REPODATA_ZST,
    SHARD_INDEX,
    Subdir,
    is_package_file,
    parse_state_key,
    state_prefix,
)
from sluice.storage.object_store import ObjectStore

_MAIN_FILES = (REPODATA, REPODATA_ZST, SHARD_INDEX)


def is_abandoned(channel: ObjectStore, state: ObjectStore, subdir: Subdir, tree: Tree) -> bool:
    """Whether a subdir has no index file, and no known subdir of its channel has a package.

    ``tree``: of the subdir.  The others are judged by the bucket, for their removals may not be
    merged yet.  No request if the tree has packages, and one HEAD if there is an index.  Raises
    ``Unavailable``.
    """
    if not tree.public or has_packages(tree):
        return False
    if any(channel.head(subdir.file_key(file)) for file in _MAIN_FILES):
        return False
    heads = state.list(state_prefix("heads", subdir.channel))
    known = [parse_state_key(info.key) for info in heads]
    return not any(_is_in_bucket(channel, sibling) for sibling in known if sibling)


def has_packages(tree: Tree) -> bool:
    """Whether there is anything in the index, seen by clients or removed by a patch."""
    return tree.records > 0 or tree.visible_records > 0


def _is_in_bucket(channel: ObjectStore, subdir: Subdir) -> bool:
    listing = channel.list(subdir.prefix, delimiter="/")
    return any(is_package_file(info.key.rpartition("/")[2]) for info in listing)
