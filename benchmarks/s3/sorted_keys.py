"""Keys in order, of which there may be a million: a page of them costs what the page holds.

Blocks of a bounded size, each sorted: adding and removing move a block's worth of pointers at
most.  Strings compare by code points, which is the order of their UTF-8 bytes, and so S3's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

_BLOCK_KEYS_MAX = 2000


class SortedKeys:
    """A sorted set of strings."""

    def __init__(self) -> None:
        self._blocks: list[list[str]] = []
        self._firsts: list[str] = []
        """The first key of each block."""

    def add(self, key: str) -> None:
        """Add a key that is not there."""
        if not self._blocks:
            self._blocks, self._firsts = [[key]], [key]
            return
        number = self._find(key)
        block = self._blocks[number]
        insort(block, key)
        self._firsts[number] = block[0]
        if len(block) > _BLOCK_KEYS_MAX:
            rest = block[_BLOCK_KEYS_MAX // 2 :]
            del block[_BLOCK_KEYS_MAX // 2 :]
            self._blocks.insert(number + 1, rest)
            self._firsts.insert(number + 1, rest[0])

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        number = self._find(key)
        block = self._blocks[number]
        del block[bisect_left(block, key)]
        if block:
            self._firsts[number] = block[0]
        else:
            del self._blocks[number], self._firsts[number]

    def at_or_after(self, key: str) -> str | None:
        """The first key that is not before ``key``."""
        return next(self.beginning_with(key), None)

    def beginning_with(self, key: str) -> Iterator[str]:
        """The keys from the first one that is not before ``key``."""
        if not self._blocks:
            return
        number = self._find(key)
        begin = bisect_left(self._blocks[number], key)
        for block in self._blocks[number:]:
            yield from block[begin:]
            begin = 0

    def copy(self) -> SortedKeys:
        """Another set with the same keys."""
        other = SortedKeys()
        other._blocks = [block.copy() for block in self._blocks]
        other._firsts = self._firsts.copy()
        return other

    def _find(self, key: str) -> int:
        """The block in which a key is, or would be."""
        return max(0, bisect_right(self._firsts, key) - 1)
