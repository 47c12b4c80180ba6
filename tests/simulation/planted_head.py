"""Heads that are swapped in another way than they should be: for bugs planted on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Literal, Protocol

from sluice.catalog.head import Head, head_object
from sluice.layout import Subdir
from sluice.storage.object_store import ETag, ObjectStore
from sluice.storage.versioned_object import ObjectVersion, Swap, VersionedObject

Swapped = ObjectVersion[Head] | Literal[Swap.LOST]


class SwapFunction(Protocol):
    """Stands in for ``VersionedObject.swap`` of a head."""

    def __call__(
        self,
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        """Swap the head."""
        ...


def head_object_with(
    swap: SwapFunction,
) -> Callable[[ObjectStore, Subdir], VersionedObject[Head]]:
    """Stands in for ``head_object``: the same, but for its ``swap``."""

    def make(state: ObjectStore, subdir: Subdir) -> VersionedObject[Head]:
        class Planted(VersionedObject[Head]):
            def swap(
                self, value: Head, *, expected: ETag | None, not_after_ms: int | None = None
            ) -> Swapped:
                return swap(state, subdir, value, expected=expected, not_after_ms=not_after_ms)

        plain = head_object(state, subdir)
        return Planted(**{field.name: getattr(plain, field.name) for field in fields(plain)})

    return make
