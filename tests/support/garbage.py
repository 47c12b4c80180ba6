"""Collecting the garbage of a ``World`` as reconcile does, and telling what must not go."""

from __future__ import annotations

from hashlib import sha256

import msgpack
import msgspec
import zstandard

from sluice.catalog.head import Head, read_head
from sluice.catalog.leaf_reader import stored_key
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree, decode_tree
from sluice.concurrency import in_order
from sluice.conda.names import parse_filename
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.publish.fence import Stamp
from sluice.reconcile.garbage import CollectedGarbage, GarbageContext, collect_subdir_garbage
from sluice.reconcile.publication_log import Marks, read_marks
from testkit.memory_store import MemoryStore
from tests.support.staging_records import A, record_of
from tests.support.subdir_world import World, foreign_repodata

DAY = 24 * 60 * 60
RETENTION_DAYS = 7


def published_at(world: World, head: Head) -> int | None:
    """Since when a head is published, ms; ``None`` if it is not, or not all of it.  No request."""
    if head.tree is None:
        return None
    if not _tree(world, head.tree).public:
        return world.state.objects[world.subdir.head_key].info.modified * 1000
    files = [
        world.channel.objects.get(world.subdir.file_key(file))
        for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)
    ]
    stamps = [Stamp.parse(file.info.metadata) if file else None for file in files]
    if any(stamp is None or stamp.tree != head.tree for stamp in stamps):
        return None
    return max(file.info.modified for file in files if file) * 1000


def collect_garbage(
    world: World, *, retention_days: int = RETENTION_DAYS, dry_run: bool = False
) -> CollectedGarbage:
    """Collect, a second later, as a reconcile does that has just read the head."""
    world.tick()
    version = read_head(world.state, world.subdir)
    return collect_subdir_garbage(
        GarbageContext(world.channel, world.state, retention_days, lambda: world.now_ms),
        world.subdir,
        version,
        CatalogReader(world.state, world.subdir, in_order),
        published_at=published_at(world, version.value),
        dry_run=dry_run,
    )


def index_with_another_tool(world: World) -> set[str]:
    """Index what is there as rattler-index does, which writes no shard that is there already.

    Returns the keys of the shards that its index names.
    """
    records = {
        filename: record_of(filename, stored.body)
        for key, stored in world.channel.objects.items()
        if parse_filename(filename := key.removeprefix(world.subdir.prefix))
    }
    shards = {}
    for name in sorted({record["name"] for record in records.values()}):
        files = {file: record for file, record in records.items() if record["name"] == name}
        body = _zstd(msgpack.packb({"packages": {}, "packages.conda": files}))
        shards[name] = sha256(body).digest()
        if (key := world.subdir.shard_key(shards[name].hex())) not in world.channel.objects:
            world.channel.upload(key, body)
    world.tick()
    info = {"subdir": world.subdir.name, "base_url": "", "shards_base_url": "./shards/"}
    index = {"info": {**info, "created_at": world.now_ms}, "shards": shards}
    repodata = msgspec.json.encode(foreign_repodata(records, subdir=world.subdir.name))
    for file, body in (
        (SHARD_INDEX, _zstd(msgpack.packb(index))),
        (REPODATA_ZST, _zstd(repodata)),
        (REPODATA, repodata),
    ):
        world.channel.upload(world.subdir.file_key(file), body)
    return {world.subdir.shard_key(digest.hex()) for digest in shards.values()}


def marks(world: World) -> Marks:
    """The marks as stored."""
    return read_marks(world.state, world.subdir).marks


def reachable(world: World, *, tree: str, commit: str | None) -> set[str]:
    """The keys of all that a generation consists of."""
    subdir = world.subdir
    nodes = _tree(world, tree).names.values()
    return {
        subdir.tree_key(tree),
        *([subdir.commit_key(commit)] if commit else []),
        *(stored_key(subdir, node) for node in nodes),
        *(subdir.shard_key(node.shard.hex()) for node in nodes if node.shard),
    }


def immutable(world: World) -> set[str]:
    """The keys of all that is there and named by its digest."""
    subdir = world.subdir
    folders = (
        subdir.commits,
        subdir.trees,
        subdir.leaves,
        subdir.packs,
        subdir.taken_over_indexes,
        subdir.shards,
    )
    keys = (*world.state.keys(), *world.channel.keys())
    return {key for key in keys if any(folder.digest_of(key) for folder in folders)}


def _tree(world: World, digest: str) -> Tree:
    key = world.subdir.tree_key(digest)
    return decode_tree(world.state.body(key), what=key)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def generation(world: World) -> set[str]:
    """All that the head's generation consists of."""
    head = world.head()
    assert head.tree
    return reachable(world, tree=head.tree, commit=head.commit)


def two_generations() -> tuple[World, set[str], set[str]]:
    """A name that changes once; what the first and what the second generation consists of."""
    world = World()
    world.add(A, b"one")
    world.merge()
    first = generation(world)
    world.add(A, b"two")
    world.merge()
    return world, first, generation(world)


def requests(*stores: MemoryStore) -> int:
    """How many requests there were."""
    return sum(len(store.requests) for store in stores)
