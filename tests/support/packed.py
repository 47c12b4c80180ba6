"""Worlds in which every commit of more than one name writes packs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from sluice.catalog.pack import LeafPlace
from sluice.catalog.tree import Node
from sluice.merge import leaf_writer
from tests.support.subdir_world import World


def pack_from(
    monkeypatch: pytest.MonkeyPatch,
    leaves: int,
    *,
    pack_bytes: int | None = None,
    leaf_bytes: int | None = None,
) -> None:
    """Have commits of so many leaves write packs; ``pack_bytes``, ``leaf_bytes``: the bounds."""
    monkeypatch.setattr(leaf_writer, "PACKED_LEAVES_MIN", leaves)
    if pack_bytes is not None:
        monkeypatch.setattr(leaf_writer, "PACK_BYTES_MAX", pack_bytes)
    if leaf_bytes is not None:
        monkeypatch.setattr(leaf_writer, "PACKED_LEAF_BYTES_MAX", leaf_bytes)


def pack_each_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every commit write packs, with one leaf in each."""
    pack_from(monkeypatch, 1, pack_bytes=1)


def filename(name: str, version: int = 1) -> str:
    """A package of a name."""
    return f"{name}-{version}-0.conda"


def add_names(world: World, names: Iterable[str], version: int = 1) -> None:
    """Upload a package of each name, and merge."""
    for name in names:
        world.add(filename(name, version))
    world.merge()


def place_of(node: Node) -> LeafPlace:
    """Where the leaf of a node is in its pack."""
    assert node.place
    return node.place


def packs(world: World) -> set[str]:
    """The packs that the head refers to, in hex."""
    return {node.place.pack.hex() for node in world.tree().names.values() if node.place}
