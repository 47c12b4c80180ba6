"""The LIST of one subdir: its packages, by package name, and its index files."""

from __future__ import annotations

from sluice.catalog.entry import ListedFile, listed_file
from sluice.conda.names import NO_NAME, PACKAGE_SUFFIXES, package_name
from sluice.extract.misplaced import MisplacedTally
from sluice.layout import Subdir, is_package_file
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectInfo, ObjectStore

INDEX_FILES = frozenset(ALL_OUTPUTS)
"""Files that sluice may have published next to the packages."""


class Listing:
    """The objects directly in the folder of a subdir."""

    def __init__(self) -> None:
        self.names: dict[str, dict[str, ObjectId]] = {}
        """Package name -> filename -> the object."""
        self.package_count = 0
        """Number of packages."""
        self.archived: set[str] = set()
        """Packages that are in an archive, and not restored, as far as a LIST shows that."""
        self.index_files: dict[str, ObjectId] = {}
        """By filename."""
        self.misplaced = MisplacedTally()
        """Files in the folder that end like packages and are none."""

    def add(self, filename: str, info: ObjectInfo) -> str:
        """Add one package; returns its name."""
        name = package_name(filename)
        self.names.setdefault(name, {})[filename] = ObjectId.from_info(info)
        self.package_count += 1
        if info.archive:
            self.archived.add(filename)
        return name

    def listed_files(self, name: str) -> list[ListedFile]:
        """The files of one package name, in the form whose digest the catalog keeps."""
        files = self.names.get(name, {})
        return [
            listed_file(filename, identity.etag, identity.size, archived=filename in self.archived)
            for filename, identity in files.items()
        ]


def list_subdir(channel: ObjectStore, subdir: Subdir) -> Listing:
    """List one subdir; the delimiter skips its shards."""
    listing = Listing()
    for info in channel.list(subdir.prefix, delimiter="/"):
        add_to_listing(listing, subdir, info)
    return listing


def add_to_listing(listing: Listing, subdir: Subdir, info: ObjectInfo) -> None:
    """Add an object that is directly in the folder of a subdir."""
    filename = info.key.removeprefix(subdir.prefix)
    if is_package_file(filename):
        if listing.add(filename, info) == NO_NAME:
            listing.misplaced.add_key(info.key)
    elif filename.endswith(PACKAGE_SUFFIXES):
        listing.misplaced.add_key(info.key)
    elif filename in INDEX_FILES:
        listing.index_files[filename] = ObjectId.from_info(info)
