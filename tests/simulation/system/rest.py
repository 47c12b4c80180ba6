"""What must be true once everything has come to rest: the index is what a full index would be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sluice.admin.changes.snapshot import snapshot
from sluice.admin.session.channel import Channel
from sluice.conda.names import NOARCH
from sluice.layout import (
    MISPLACED_RECORD_KEY,
    PATCH_INSTRUCTIONS,
    REPODATA,
    REPODATA_BZ2,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
    SHARDS_FOLDER,
    Subdir,
)
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectStore
from testkit.memory_store import MemoryStore, Stored
from tests.simulation.system import configurations, reading
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.configurations import CURRENT, OPTIONAL, newest
from tests.simulation.system.habits import RejectLimits
from tests.simulation.system.invariants import COLLECTABLE, INDEX_FILES, is_of
from tests.simulation.system.packages import SUFFIXES, full_index, lies_in, misstates
from tests.simulation.system.reading import Index, LeafPlace, Record, Tree
from tests.simulation.system.rejects import Entries, Unnoted, check_document, rejected


def check_indexes(
    channel: Bucket,
    state: Bucket,
    subdirs: Collection[Subdir],
    *,
    tidied: bool,
    limits: RejectLimits,
    unnoted: Unnoted | None = None,
) -> None:
    """Hold published files and rejects against what a full index of the bucket would give.

    ``tidied``: that nothing is left over of earlier configurations as well.  ``limits``: of what is
    kept of rejects.  ``unnoted``: what need not be known in a flood; ``None``: nothing.
    """
    channel = _without_pins(channel, state, subdirs)
    for subdir in subdirs:
        _check_index(channel, state, subdir, tidied=tidied, limits=limits, unnoted=unnoted)
    seen = [subdir for subdir in subdirs if subdir.file_key(REPODATA) in channel.objects]
    for name in {subdir.channel for subdir in seen if _is_public(state, subdir)}:
        key = Subdir(name, NOARCH).file_key(REPODATA)
        assert key in channel.objects, f"{key} is missing, without which {name!r} is no channel"
    assert not (left := state.keys("staging/")), f"staging is left over: {left}"


def check_that_nothing_waits(state: Bucket) -> None:
    """Hold the state against a system that is alive: logs are empty, and nothing is held up."""
    for log in ("staging/", "notes/"):
        assert not (left := state.keys(log)), f"left in the log: {left}"
    for key in state.keys("marks/"):
        waiting = reading.document(state.body(key)).get("waiting")
        assert waiting is None, f"{key}: removals wait in the period {waiting}"


def check_misplaced(channel: Bucket, state: Bucket, subdirs: Collection[Subdir]) -> None:
    """Hold the count of misplaced files, which ``sluice status`` shows, against the bucket."""
    misplaced = [
        key
        for key in channel.objects
        if key.endswith(SUFFIXES) and not any(lies_in(subdir, key) for subdir in subdirs)
    ]
    stored = state.objects.get(MISPLACED_RECORD_KEY)
    channels = reading.document(stored.body)["channels"] if stored else []
    count = sum(files["count"] for files in channels)
    assert count == len(misplaced), f"{count} misplaced files are recorded, not {misplaced}"


def check_snapshots(channels: Iterable[Channel], subdirs: Collection[Subdir], at_ms: int) -> None:
    """Hold a snapshot of each channel, as it is now, against its index.  Changes nothing."""
    for channel in channels:
        mine = [subdir for subdir in subdirs if subdir.channel == channel.name]
        there = _objects(channel.public)
        indexes = {
            subdir.name: reading.repodata(there[key].body)
            for subdir in mine
            if (key := subdir.file_key(REPODATA)) in there
        }
        # Without a generation it is another tool's, in a folder with nothing that can be indexed.
        before = {name: index.records for name, index in indexes.items() if index.generation}
        if not before:
            continue
        public, state = (_copy_of(store) for store in (channel.public, channel.state))
        into = replace(channel, name="a-snapshot", public=MemoryStore(), state=state)
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        snapshot(replace(channel, public=public, state=state), into, at)
        for name, records in before.items():
            key = into.subdir(name).file_key(REPODATA)
            found = reading.repodata(_objects(into.public)[key].body).records
            assert found == records, f"a snapshot of {channel.name}/{name} differs: {found}"


def _objects(store: ObjectStore) -> dict[str, Stored]:
    assert isinstance(store, MemoryStore)
    return store.objects


def _copy_of(store: ObjectStore) -> MemoryStore:
    """The same objects, with nobody who disturbs or watches."""
    copied = MemoryStore()
    copied.objects = dict(_objects(store))
    return copied


def check_garbage(
    channel: Bucket, state: Bucket, subdir: Subdir, reachable: Collection[str]
) -> None:
    """Hold what is stored of one subdir against what its head refers to.

    Nobody can say since when what was moved away is of no use to anybody.  So it stays until there
    is an index again, or the channel is retired.
    """
    if not _is_public(state, subdir) or not _has_index_files(channel, subdir):
        return
    stored = [key for kind in COLLECTABLE for key in state.keys(f"{kind}{subdir.component}/")]
    stored += channel.keys(subdir.prefix + SHARDS_FOLDER)
    garbage = [key for key in stored if key not in reachable]
    assert not garbage, f"{len(garbage)} objects of {subdir} are garbage: {garbage[:3]}"


def _without_pins(channel: Bucket, state: Bucket, subdirs: Collection[Subdir]) -> Bucket:
    """The bucket as an index has it: without the objects that are pinned out."""
    kept_out = set()
    for subdir in subdirs:
        for filename, entry in _entries(state, subdir, _tree(state, subdir)).items():
            stored = channel.objects.get(subdir.file_key(filename))
            if entry["kind"] == "pin" and stored and is_of(entry["identity"], stored):
                kept_out.add(subdir.file_key(filename))
    there = copy(channel)
    there.objects = {key: one for key, one in channel.objects.items() if key not in kept_out}
    return there


def _check_index(
    channel: Bucket,
    state: Bucket,
    subdir: Subdir,
    *,
    tidied: bool,
    limits: RejectLimits,
    unnoted: Unnoted | None,
) -> None:
    files = {
        filename: stored
        for key, stored in channel.objects.items()
        if (filename := lies_in(subdir, key))
    }
    archived = {filename for filename, stored in files.items() if stored.info.archive}
    bodies = {name: stored.body for name, stored in files.items() if name not in archived}
    expected, rejects = full_index(subdir, bodies)
    rejects |= archived
    tree = _tree(state, subdir)
    entries = _entries(state, subdir, tree)
    for filename in _misstated(channel, subdir, entries):
        expected.pop(filename, None)
        rejects.add(filename)
    if unnoted:
        rejects -= unnoted.rejects(entries, rejects)
        for filename in unnoted.packages(subdir, entries, expected):
            del expected[filename]
    assert (tree and tree.public) or not expected, f"{subdir} is missing"
    if tree is None:
        left = _files_of_ours(channel, subdir)
        assert not left, f"{left} are left of {subdir}, which has no catalog"
    if tree and tree.public and (expected or _has_index_files(channel, subdir)):
        _check_files(channel, subdir, tree.generation, expected, tidied=tidied)
    found = rejected(entries)
    assert found == rejects, f"rejects of {subdir} are {sorted(found)}, not {sorted(rejects)}"
    check_document(state, subdir, entries, limits)
    leaves = {name: place for name, (place, _) in tree.names.items()} if tree else {}
    empty = [name for name, place in leaves.items() if not _leaf(state, subdir, place)]
    assert not empty, f"{subdir} knows names of which it knows no file: {empty}"


def _misstated(channel: Bucket, subdir: Subdir, entries: Entries) -> Iterator[str]:
    """The packages of which the metadata states another digest, but not those that were read.

    Who unpins a package has it read whole, and its metadata does not count.
    """
    for key, stored in channel.objects.items():
        filename = lies_in(subdir, key)
        if filename and misstates(stored.info, stored.body):
            entry = entries.get(filename, {})
            if entry.get("digests_from", {}).get("sha256") != "read":
                yield filename


def _check_files(
    channel: Bucket,
    subdir: Subdir,
    generation: int,
    expected: Mapping[str, Record],
    *,
    tidied: bool,
) -> None:
    patch = configurations.patch_in_force(channel, subdir.channel)
    patched = {
        filename: patch.applied(subdir.name, filename, record) if patch else record
        for filename, record in expected.items()
    }
    for file in INDEX_FILES:
        _check_file(channel, subdir, file, generation, patched)
    wanted = configurations.optional_files(channel, subdir.channel)
    there = {file for file in OPTIONAL if subdir.file_key(file) in channel.objects}
    complete = there == wanted if tidied else there >= wanted
    assert complete, f"{subdir} has {sorted(there)} instead of {sorted(wanted)}"
    for file in sorted(wanted - {PATCH_INSTRUCTIONS}):
        key = subdir.file_key(file)
        index = reading.optional(channel.body(key), file)
        assert index.generation == generation, f"{key} is not of the head's generation"
        if file in (RUN_EXPORTS, RUN_EXPORTS_ZST):
            nothing: Mapping[str, Record] = {filename: {"run_exports": {}} for filename in expected}
            assert index.records == nothing, f"{key} is wrong about {index.records}"
        else:
            right = {REPODATA_BZ2: patched, **dict.fromkeys(CURRENT, newest(patched))}
            found = {name: _undated(record) for name, record in index.records.items()}
            assert found == right.get(file, expected), f"{key} is wrong about {found}"


def _check_file(
    channel: Bucket, subdir: Subdir, file: str, generation: int, expected: Mapping[str, Record]
) -> None:
    key = subdir.file_key(file)
    stored = channel.objects.get(key)
    assert stored, f"{key} is missing"
    index = INDEX_FILES[file](stored.body)
    assert index.generation == generation, f"{key} is not of the head's generation"
    found = index.records if file != SHARD_INDEX else _records_of_shards(channel, subdir, index)
    ghosts, lost = sorted(found.keys() - expected.keys()), sorted(expected.keys() - found.keys())
    assert not ghosts, f"{key} has ghosts: {ghosts}"
    assert not lost, f"{key} lost {lost}"
    wrong = [name for name, record in expected.items() if _undated(found[name]) != record]
    assert not wrong, f"{key} is wrong about {wrong}"


def _records_of_shards(channel: Bucket, subdir: Subdir, index: Index) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for digest in index.shards.values():
        records.update(reading.shard(channel.body(subdir.shard_key(digest)), digest))
    return records


def _entries(state: Bucket, subdir: Subdir, tree: Tree | None) -> Entries:
    return {
        filename: entry
        for place, _ in (tree.names.values() if tree else ())
        for filename, entry in _leaf(state, subdir, place).items()
    }


def _leaf(state: Bucket, subdir: Subdir, place: LeafPlace) -> Entries:
    return reading.leaf(state.body(place.key(subdir)), place)


def _tree(state: Bucket, subdir: Subdir) -> Tree | None:
    stored = state.objects.get(subdir.head_key)
    digest = reading.document(stored.body)["tree"] if stored else None
    return reading.tree(state.body(subdir.tree_key(digest))) if digest else None


def _is_public(state: Bucket, subdir: Subdir) -> bool:
    tree = _tree(state, subdir)
    return tree is not None and tree.public


def _files_of_ours(channel: Bucket, subdir: Subdir) -> list[str]:
    """The index files that sluice has published."""
    keys = [subdir.file_key(file) for file in (*INDEX_FILES, *OPTIONAL)]
    stored = [channel.objects[key] for key in keys if key in channel.objects]
    return [one.info.key for one in stored if Stamp.parse(one.info.metadata)]


def _has_index_files(channel: Bucket, subdir: Subdir) -> bool:
    """Whether any file of an index is there.

    A subdir without packages may have none at all, where somebody has deleted them, or where the
    publication of its first package was interrupted and that package is gone.  Sluice never deletes
    them (``Invariants``), unless the channel is retired.
    """
    return any(subdir.file_key(file) in channel.objects for file in (*INDEX_FILES, *OPTIONAL))


def _undated(record: Record) -> dict[str, Any]:
    assert isinstance(record["indexed_timestamp"], int)
    return {key: value for key, value in record.items() if key != "indexed_timestamp"}
