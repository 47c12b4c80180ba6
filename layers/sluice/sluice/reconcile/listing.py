"""What a LIST shows of the packages of one subdir, by package name."""

from __future__ import annotations

from sluice.catalog.leaf import Listed
from sluice.identity import Identity
from sluice.keys import PACKAGE_SUFFIXES, Subdir, package_name
from sluice.store import ObjectInfo, ObjectStore


class Listing:
    """The packages that lie directly in the folder of a subdir."""

    def __init__(self) -> None:
        self.names: dict[str, dict[str, Identity]] = {}
        """Package name -> filename -> the object that is there."""
        self.objects = 0

    def add(self, filename: str, info: ObjectInfo) -> None:
        """Take in one package."""
        self.names.setdefault(package_name(filename), {})[filename] = Identity.of(info)
        self.objects += 1

    def listed(self, name: str) -> list[Listed]:
        """The files of one package name, in the form whose digest the catalog keeps."""
        files = self.names.get(name, {})
        return [Listed(filename, one.etag, one.size) for filename, one in files.items()]


def list_subdir(channel: ObjectStore, subdir: Subdir) -> Listing:
    """List one subdir; the delimiter keeps its shards from being paged through."""
    listing = Listing()
    for info in channel.list(subdir.prefix, delimiter="/"):
        if info.key.endswith(PACKAGE_SUFFIXES):
            listing.add(info.key.removeprefix(subdir.prefix), info)
    return listing
