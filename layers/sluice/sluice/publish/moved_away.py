"""Subdirs that were moved away: without packages, and without the index files that they had.

``aws s3 mv --recursive`` moves packages and index files alike, and the packages may come back or
not.  So nothing writes an empty index again: the subdir does not change until there is a package, a
request to create it, or ``sluice retire``.

Each subdir is decided on its own.  Others may be anywhere between their packages and their last
removal, and a decision that depends on them would be outdated when it is used.  Clients take a
missing subdir for an empty one.  The exception is ``noarch`` (CEP 26).  The other subdirs request
it: when an index with packages is first published, and in each comparison of a subdir that is not
moved away.
"""

from __future__ import annotations

from collections.abc import Iterable

from sluice.catalog.tree import Tree


def is_moved_away(tree: Tree, files: Iterable[object]) -> bool:
    """Whether a subdir was moved away.  Pure.

    ``files``: what is known of each of its index files; only true values are files that exist.
    They are looked at only if the tree is public and has no packages.
    """
    return tree.public and not tree.has_records and not any(files)
