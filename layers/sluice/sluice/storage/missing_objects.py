"""Checks that the objects a listing leaves out really do not exist.

S3's LIST is strongly consistent, but not every S3 is AWS's, and the index of a bucket can be
damaged.  So before sluice draws conclusions from many missing objects, it checks some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from sluice.concurrency import Executor
from sluice.errors import BrokenListing, Unavailable
from sluice.layout import Subdir, is_key_text
from sluice.limits import LISTING_ATTEMPTS_MAX, MISSING_CHECKS_MAX
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectStore

T = TypeVar("T")


def confirm_listing(
    listing: T,
    missing: Callable[[T], Collection[str]],
    *,
    find_existing: Callable[[Sequence[str]], Mapping[str, ObjectId]],
    list_again: Callable[[], T],
    label: str,
) -> T:
    """Return the listing, or a later one, once no checked object exists that it leaves out.

    ``missing``: returns the filenames that a listing leaves out, in any order.  ``find_existing``:
    returns those of some files that exist.  ``label``: names the listing in errors.

    A file may have been uploaded after the listing was made, and then proves nothing.  So the
    folder is listed again.  The listing is broken only if the file existed both before and after
    that.  Raises ``BrokenListing`` then, and ``Unavailable`` if uploads are always faster.
    """
    for _ in range(LISTING_ATTEMPTS_MAX):
        existing = find_existing(sample_evenly(sorted(missing(listing)), MISSING_CHECKS_MAX))
        if not existing:
            return listing
        listing = list_again()
        left_out = sorted(existing.keys() & set(missing(listing)))
        still_existing = find_existing(left_out)
        for filename in left_out:
            if still_existing.get(filename) == existing[filename]:
                raise BrokenListing(
                    f"a listing of {label} omits {filename}, which exists. So sluice removes "
                    "nothing. Check the bucket index of the S3 server"
                )
    raise Unavailable(f"{label} changes too fast to be listed. Try again")


def head_packages(
    channel: ObjectStore, subdir: Subdir, executor: Executor, files: Sequence[str]
) -> dict[str, ObjectId]:
    """Find those packages of a subdir that exist, by HEAD; raises ``Unavailable``.

    What lies under a key that sluice refuses is no package, so it does not exist here.
    """
    files = [file for file in files if is_key_text(file)]
    infos = executor.map(channel.head, map(subdir.file_key, files))
    return {
        file: ObjectId.from_info(info)
        for file, info in zip(files, infos, strict=True)
        if info is not None
    }


def sample_evenly(ordered: Sequence[str], count_max: int) -> list[str]:
    """Pick at most ``count_max`` strings, evenly spaced, including the first and the last."""
    count = len(ordered)
    if count <= count_max:
        return list(ordered)
    return [ordered[place * (count - 1) // (count_max - 1)] for place in range(count_max)]
