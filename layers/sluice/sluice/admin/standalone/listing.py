"""Listings of a channel's folder: its subdirs, and the content of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sluice.admin.session.channel import Channel
from sluice.catalog.tree import Tree
from sluice.concurrency import Executor
from sluice.conda.names import is_subdir
from sluice.extract.misplaced import MisplacedTally, Misplacement
from sluice.layout import Subdir, key_after_prefix
from sluice.limits import KEYS_PER_PAGE
from sluice.reconcile.listing import Listing, add_to_listing
from sluice.storage.object_store import ObjectInfo, ObjectStore

_FILES_PER_PART = KEYS_PER_PAGE * 49 // 50
"""Packages per part of a split listing: a page has room for these and a few other objects."""
_PARTS_MAX = 64


def find_subdir_folders(
    channel: Channel, misplaced: MisplacedTally | None = None
) -> Iterator[Subdir]:
    """The subdirs that the channel's folder may have, by the names of folders in it.

    One request per folder, whatever is in it, so neither packages nor shards are listed.

    ``misplaced``: counts the misplaced files that were seen meanwhile, at most a page per folder,
    except those directly in a subdir.
    """
    tally = MisplacedTally() if misplaced is None else misplaced
    prefix = f"{channel.name}/" if channel.name else ""
    after: str | None = None
    while True:
        seen_in_folder = 0
        folder = ""
        misplaced_in: Misplacement | None = None
        for info in channel.public.list(prefix, after=after):
            name, slash, rest = info.key.removeprefix(prefix).partition("/")
            if not slash:
                tally.add_key(info.key)
                continue
            if name != folder:
                folder, seen_in_folder, misplaced_in = name, 0, None
                if is_subdir(name):
                    yield channel.subdir(name)
            seen_in_folder += 1
            if not is_subdir(name) or "/" in rest:
                misplaced_in = tally.add_key(info.key) or misplaced_in
            if seen_in_folder == KEYS_PER_PAGE:  # the rest of this page costs nothing more
                if misplaced_in:
                    tally.note_more(misplaced_in.channel)
                break
        else:
            return
        after = key_after_prefix(f"{prefix}{folder}/")


def list_subdir_in_parts(
    store: ObjectStore, subdir: Subdir, tree: Tree, executor: Executor
) -> Listing:
    """List a subdir as ``list_subdir`` does, in several parts at once.

    The names in the tree decide where to split.  That affects only the time it takes: everything
    between two splits is listed, whatever it is.
    """
    listing = Listing()
    parts = [
        executor.submit(partial(_list_part, store, subdir, key_range))
        for key_range in _key_ranges(subdir, tree)
    ]
    for part in parts:
        for info in part():  # while other parts are still in progress
            add_to_listing(listing, subdir, info)
    return listing


def _key_ranges(subdir: Subdir, tree: Tree) -> list[tuple[str | None, str | None]]:
    """The keys after which each part starts, and at which it ends; ``None``: no limit."""
    size = max(_FILES_PER_PART, -(-tree.files // _PARTS_MAX))
    cuts: list[str] = []
    files, previous = 0, ""
    for name, node in sorted(tree.names.items()):
        count = node.records + node.rejects
        if files and files + count > size:
            cuts.append(subdir.file_key(f"{previous}-~"))  # after all its files
            files = 0
        files, previous = files + count, name
    return list(zip([None, *cuts], [*cuts, None], strict=True))


def _list_part(
    store: ObjectStore, subdir: Subdir, key_range: tuple[str | None, str | None]
) -> list[ObjectInfo]:
    after, last = key_range
    infos: list[ObjectInfo] = []
    for info in store.list(subdir.prefix, delimiter="/", after=after):
        if last is not None and info.key > last:
            break
        infos.append(info)
    return infos
