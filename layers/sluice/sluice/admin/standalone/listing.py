"""Looking through a channel's folder: which subdirs it has, and what lies in one of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sluice.admin.session.channel import Channel
from sluice.catalog.tree import Tree
from sluice.concurrency import Gather
from sluice.conda.names import is_subdir
from sluice.layout import Subdir, behind
from sluice.limits import KEYS_PER_PAGE
from sluice.reconcile.listing import Listing, add_listed
from sluice.storage.object_store import ObjectInfo, ObjectStore

_FILES_PER_PART = KEYS_PER_PAGE * 49 // 50
"""Packages that one of several listings is to find: a page of them and of what else is there."""
_PARTS_MAX = 64


def find_folders(channel: Channel) -> Iterator[Subdir]:
    """The subdirs that the channel's folder may have, told by the names of folders in it.

    One request per folder, whatever is in there, so neither packages nor shards are paged through.
    """
    prefix = f"{channel.name}/" if channel.name else ""
    after: str | None = None
    while True:
        passed = 0
        folder = ""
        for info in channel.public.list(prefix, after=after):
            name, slash, _ = info.key.removeprefix(prefix).partition("/")
            if not slash:
                continue
            if name != folder:
                folder, passed = name, 0
                if is_subdir(name):
                    yield channel.subdir(name)
            passed += 1
            if passed == KEYS_PER_PAGE:  # what else is in this page was paid for
                break
        else:
            return
        after = behind(f"{prefix}{folder}/")


def list_in_parts(store: ObjectStore, subdir: Subdir, tree: Tree, gather: Gather) -> Listing:
    """List a subdir as ``list_subdir`` does, in several parts at once.

    Where to cut is told by the names that the tree knows.  It decides nothing but how long it
    takes: what lies between two cuts is listed, whatever it is.
    """
    listing = Listing()
    parts = [gather.start(partial(_part, store, subdir, cut)) for cut in _cuts(subdir, tree)]
    for part in parts:
        for info in part():  # while others are still coming
            add_listed(listing, subdir, info)
    return listing


def _cuts(subdir: Subdir, tree: Tree) -> list[tuple[str | None, str | None]]:
    """The keys behind which each part begins, and with which it ends; ``None``: there is none."""
    size = max(_FILES_PER_PART, -(-tree.files // _PARTS_MAX))
    cuts: list[str] = []
    files, before = 0, ""
    for name, node in sorted(tree.names.items()):
        count = node.records + node.rejects
        if files and files + count > size:
            cuts.append(subdir.public(f"{before}-~"))  # behind all its files
            files = 0
        files, before = files + count, name
    return list(zip([None, *cuts], [*cuts, None], strict=True))


def _part(
    store: ObjectStore, subdir: Subdir, cut: tuple[str | None, str | None]
) -> list[ObjectInfo]:
    after, last = cut
    found: list[ObjectInfo] = []
    for info in store.list(subdir.prefix, delimiter="/", after=after):
        if last is not None and info.key > last:
            break
        found.append(info)
    return found
