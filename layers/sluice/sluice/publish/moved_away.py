"""Subdirs that were moved away: without packages, and without the index files that they had.

``aws s3 mv --recursive`` moves packages and index files alike.  Nobody can say whether packages
come back.  So nothing writes an empty index again: the subdir stays as it is until there is a
package, a request to create it, or ``sluice retire``.

This is decided of each subdir by itself.  Others may be anywhere between their packages and their
last removal, and a decision that depends on them would be outdated when it is used.  Clients take a
missing subdir for an empty one.  The exception is ``noarch`` (CEP 26).  It is seen to by the other
subdirs: whatever publishes an index with packages where none is requests it, and so does each
comparison of a subdir that is not moved away.
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
