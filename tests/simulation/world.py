"""One subdir in memory: people who upload, merges, and what must be true at every step and at rest.

The checks know nothing of how a merge works: they read the published files as a client would,
and hold them against the objects that are there or have ever been uploaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import cache
from hashlib import md5, sha256
from typing import Any

import msgpack
import zstandard

from sluice.admin.changes import pins
from sluice.admin.changes.rollback import rollback
from sluice.admin.session.channel import Channel
from sluice.catalog import entry as leaf
from sluice.catalog import tree as trees
from sluice.catalog.entry import Pin
from sluice.catalog.tree import Tree
from sluice.concurrency import in_order
from sluice.conda.names import parse_filename
from sluice.extract import staging
from sluice.extract.staging import ConfigChanged, Indexed, Rejected, Removed
from sluice.layout import (
    REPODATA,
    REPODATA_ZST,
    RUN_EXPORTS,
    RUN_EXPORTS_ZST,
    SHARD_INDEX,
    SLUICE_TOML,
    Subdir,
    config_key,
)
from sluice.merge.context import MergeContext
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.messages.merge_request import MergeRequest
from sluice.publish.publisher import Publisher
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag
from testkit.memory_queue import MemoryQueue
from testkit.memory_store import MemoryStore

SUBDIR = Subdir("team/channel", "linux-64")
INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)
OWNER = "stack"
NOW = 1_700_000_000
CORRUPT = b"corrupt"

Records = dict[str, dict[str, Any]]
"""By filename, as a client reads them."""


class World:
    """A channel with one subdir, its state bucket and its queue.

    The clock stands still: whatever rests on two things not happening in the same millisecond
    shows.
    """

    def __init__(self) -> None:
        self.channel = MemoryStore(lambda: NOW)
        self.state = MemoryStore(lambda: NOW)
        self.queue = MemoryQueue(lambda: NOW)
        self._settled: set[str] = set()  # indexed and not touched since: never to be missed
        self._uploaded: set[tuple[str, str]] = set()
        self._pinned: dict[str, tuple[ETag, int]] = {}  # with the generation that leaves it out
        self._wants_run_exports = False
        self._numbered = 0
        self._seen_head = ("", -1, -1)
        self._seen: dict[str, tuple[str, int]] = {}

    def copy(self) -> World:
        """Make a world that goes its own way from here."""
        other = copy(self)
        other.channel, other.state = MemoryStore(lambda: NOW), MemoryStore(lambda: NOW)
        other.channel.objects, other.state.objects = (
            dict(self.channel.objects),
            dict(self.state.objects),
        )
        other.queue = MemoryQueue(lambda: NOW)
        other._settled, other._uploaded = set(self._settled), set(self._uploaded)
        other._seen = dict(self._seen)
        other._pinned = dict(self._pinned)
        return other

    def _new_id(self) -> str:
        self._numbered += 1
        return f"{self._numbered:08}"

    # --- people, and what extract makes of what they do -------------------------------------

    def upload(self, filename: str, body: bytes | None = None) -> None:
        """Put a package there; its events are still on the way."""
        body = content(filename) if body is None else body
        self.channel.upload(SUBDIR.file_key(filename), body)
        self._settled.discard(filename)
        self._uploaded.add((filename, sha256(body).hexdigest()))

    def remove(self, filename: str) -> None:
        """Delete a package; its event is still on the way."""
        self.channel.remove(SUBDIR.file_key(filename))
        self._settled.discard(filename)

    def stage(self, filename: str) -> None:
        """Let extract look at the object and write down what it finds."""
        stored = self.channel.objects.get(SUBDIR.file_key(filename))
        self.stage_as(filename, stored.body if stored else None)

    def stage_as(self, filename: str, body: bytes | None) -> None:
        """Let extract write down what it found some time ago; ``None``: nothing."""
        if body is None:
            record: staging.StagingRecord = Removed(filename=filename, extractor=1, at=NOW)
        elif body == CORRUPT:
            record = Rejected(
                filename=filename,
                extractor=1,
                at=NOW,
                identity=_identity(body),
                code="not-a-zip",
                sentence="It is not a zip archive.",
            )
        else:
            record = Indexed(
                filename=filename,
                extractor=1,
                at=NOW,
                identity=_identity(body),
                record=record_of(filename, body),
                digests_from={"sha256": "read", "md5": "read"},
            )
        staging.write_staging_record(self.state, SUBDIR, record, unique_id=self._new_id())

    def ask_for_run_exports(self, *, wanted: bool) -> None:
        """Change the configuration of the channel, and let extract get to it."""
        config = f"[sluice]\nrun-exports = {str(wanted).lower()}\n"
        self.channel.upload(config_key(SUBDIR.channel), config.encode())
        self._wants_run_exports = wanted
        record = ConfigChanged(filename=SLUICE_TOML, extractor=1, at=NOW)
        staging.write_staging_record(self.state, SUBDIR, record, unique_id=self._new_id())

    def publish(self, *filenames: str) -> None:
        """Upload packages and have them in the index, settled."""
        for filename in filenames:
            self.upload(filename)
            self.stage(filename)
        self.merge()
        self._settled.update(filenames)

    def index_as_others_do(self, filenames: Iterable[str]) -> None:
        """Upload packages and index them with another tool, which knows nothing of sluice."""
        packages = {}
        for filename in filenames:
            self.upload(filename)
            packages[filename] = record_of(filename, content(filename))
        repodata = {
            "info": {"subdir": SUBDIR.name},
            "packages": {},
            "packages.conda": packages,
            "removed": [],
            "repodata_version": 1,
        }
        body = json.dumps(repodata).encode()
        self.channel.upload(SUBDIR.file_key(REPODATA), body)
        self.channel.upload(
            SUBDIR.file_key(REPODATA_ZST), zstandard.ZstdCompressor().compress(body)
        )
        self._settled.update(packages)

    # --- merges -----------------------------------------------------------------------------

    def merger(self) -> MergeContext:
        """What the merge function is wired to."""
        return MergeContext(
            channel=self.channel,
            state=self.state,
            bucket="channels",
            publisher=Publisher(self.channel, self.state, OWNER, max_age_seconds=60),
            merge_queue=self.queue,
            executor=in_order,
            clock=lambda: NOW * 1000,
            new_id=self._new_id,
            debounce_seconds=10,
        )

    def merge(self) -> MergeReport:
        """Let the queue deliver one request."""
        request = MergeRequest(SUBDIR, not_before=0)
        return merge(self.merger(), request, time_left_ms=lambda: 900_000)

    # --- what operators do ------------------------------------------------------------------

    def opened(self) -> Channel:
        """The channel as a person opens it."""
        return Channel(
            bucket="channels",
            name=SUBDIR.channel,
            public=self.channel,
            state=self.state,
            executor=in_order,
            clock=lambda: NOW * 1000,
            new_id=self._new_id,
            owner=OWNER,
            merges=self.queue,
        )

    def pin(self, *filenames: str) -> None:
        """Keep files out of the index."""
        self._settled.difference_update(filenames)
        kept = pins.pin(self.opened(), SUBDIR, filenames, reason="Broken.")
        if kept.committed:
            etags = {name: identity.etag for name, identity in kept.identities.items()}
            self._has_pinned(etags, kept.committed.generation)

    def roll_back(self, generation: int, *filenames: str) -> None:
        """Go back to an old generation, which did not have these files as they are."""
        self._settled.difference_update(filenames)
        done = rollback(self.opened(), SUBDIR, generation)
        if done.generation:
            entries = self._pins_of(done.generation)
            self._has_pinned({name: entries[name] for name in done.pinned}, done.generation)

    def _has_pinned(self, files: Mapping[str, str], generation: int) -> None:
        """From here on, what is pinned must not show, until it is uploaded again."""
        for filename, etag in files.items():
            self._pinned[filename] = ETag(etag), generation

    def _pins_of(self, generation: int) -> dict[str, str]:
        """The ETags of the files that a generation pins."""
        for key in self.state.keys(f"trees/{SUBDIR.component}/"):
            tree = _parse_tree(self.state.body(key))
            if tree.generation == generation:
                bodies = [
                    self.state.body(SUBDIR.leaf_key(node.leaf.hex()))
                    for node in tree.names.values()
                ]
                entries = [leaf.decode_leaf(body, what="leaf").entries for body in bodies]
                return {
                    filename: entry.identity.etag
                    for of_name in entries
                    for filename, entry in of_name.items()
                    if isinstance(entry, Pin) and entry.identity
                }
        raise AssertionError(f"there is no tree of generation {generation}")

    # --- what a client sees -----------------------------------------------------------------

    def records(self, file: str = REPODATA) -> Records | None:
        """Read an index file (and the shards it names) as a client does; ``None``: not there."""
        stored = self.channel.objects.get(SUBDIR.file_key(file))
        return None if stored is None else self._parse(file, stored.body)[1]

    def generation(self, file: str = REPODATA) -> int:
        """The generation that an index file carries; 0 for another tool's."""
        return self._parse(file, self.channel.body(SUBDIR.file_key(file)))[0]

    def published(self) -> dict[str, bytes]:
        """The bytes of the index files that are there."""
        keys = {file: SUBDIR.file_key(file) for file in INDEX_FILES}
        return {
            file: self.channel.body(key)
            for file, key in keys.items()
            if key in self.channel.objects
        }

    def head(self) -> dict[str, Any]:
        """The head as stored."""
        head: dict[str, Any] = json.loads(self.state.body(SUBDIR.head_key))
        return head

    # --- what must be true ------------------------------------------------------------------

    def check_step(self) -> None:
        """Hold what is there now against everything that must be true between two requests."""
        self._check_head()
        for file in INDEX_FILES:
            self._check_file(file)

    def check_at_rest(self) -> None:
        """Hold the index against the bucket, with all merges done and nothing on its way."""
        self.check_step()
        there = {
            key.removeprefix(SUBDIR.prefix): stored.body
            for key, stored in self.channel.objects.items()
            if parse_filename(key.removeprefix(SUBDIR.prefix))
        }
        good = {
            name: record_of(name, body)
            for name, body in there.items()
            if body != CORRUPT and not self._is_pinned(name)
        }
        for file in INDEX_FILES:
            found = self.records(file)
            assert found is not None, f"{file} is missing"
            ghosts, lost = sorted(found.keys() - good.keys()), sorted(good.keys() - found.keys())
            assert not ghosts, f"{file} has ghosts: {ghosts}"
            assert not lost, f"{file} lost: {lost}"
            outdated = [name for name in good if _undated(found[name]) != good[name]]
            assert not outdated, f"{file} is out of date: {outdated}"
            assert self.generation(file) == self._tree_generation(), f"{file} is behind the head"
        if self._wants_run_exports:  # one that is not wanted, an older merge may write again
            for file in (RUN_EXPORTS, RUN_EXPORTS_ZST):
                assert SUBDIR.file_key(file) in self.channel.objects, f"{file} is missing"
        assert self.published()[REPODATA] == _unzstd(self.published()[REPODATA_ZST])
        assert self._rejects() == {name for name, body in there.items() if body == CORRUPT}
        assert self.state.keys(SUBDIR.staging_prefix) == [], "staging is left over"

    def _is_pinned(self, filename: str) -> bool:
        stored = self.channel.objects.get(SUBDIR.file_key(filename))
        pinned = self._pinned.get(filename)
        return bool(stored and pinned and stored.info.etag == pinned[0])

    def _check_head(self) -> None:
        stored = self.state.objects.get(SUBDIR.head_key)
        etag, *newest = self._seen_head
        if stored is None:
            assert not etag, "the head is gone"
            return
        if stored.info.etag == etag:
            return
        head = self.head()
        found = [head["generation"], head["epoch"]]
        assert found > newest, "the head went back"
        self._seen_head = (stored.info.etag, *found)
        if head["tree"] is None:
            return
        tree = _parse_tree(self.state.body(SUBDIR.tree_key(head["tree"])))
        missing = [
            key
            for store, key in [
                (self.state, SUBDIR.commit_key(head["commit"])),
                *((self.state, SUBDIR.leaf_key(node.leaf.hex())) for node in tree.names.values()),
                *(
                    (self.channel, SUBDIR.shard_key(node.shard.hex()))
                    for node in tree.names.values()
                    if node.shard
                ),
            ]
            if key not in store.objects
        ]
        assert missing == [], "the head refers to what is not there"

    def _check_file(self, file: str) -> None:
        stored = self.channel.objects.get(SUBDIR.file_key(file))
        etag, newest = self._seen.get(file, ("", 0))
        if stored is None:
            assert not etag, f"{file} is gone"
            return
        if stored.info.etag == etag:
            return
        generation, records = self._parse(file, stored.body)
        assert generation >= newest, f"an older {file} was left over a newer one"
        assert generation == 0 or generation <= self.head()["generation"], (
            f"{file} is ahead of the head"
        )
        never = [
            name
            for name, record in records.items()
            if (name, record["sha256"]) not in self._uploaded
        ]
        assert never == [], f"{file} has what was never uploaded"
        assert self._settled <= records.keys(), f"{file} lost what nobody touched"
        shown = [
            name
            for name, (etag, since) in self._pinned.items()
            if name in records and generation >= since and etag == f'"{records[name]["md5"]}"'
        ]
        assert shown == [], f"{file} shows what is pinned out"
        self._seen[file] = stored.info.etag, generation

    def _parse(self, file: str, body: bytes) -> tuple[int, Records]:
        if file != SHARD_INDEX:
            return _parse_repodata(_unzstd(body) if file == REPODATA_ZST else body)
        generation, shards = _parse_shard_index(body)
        records: Records = {}
        for digest in shards:
            records.update(_parse_shard(self.channel.body(SUBDIR.shard_key(digest.hex())), digest))
        return generation, records

    def _rejects(self) -> set[str]:
        stored = self.state.objects.get(SUBDIR.rejects_key)
        if stored is None:
            return set()
        return {reject["filename"] for reject in json.loads(stored.body)["rejects"]}

    def _tree_generation(self) -> int:
        return _parse_tree(self.state.body(SUBDIR.tree_key(self.head()["tree"]))).generation


def record_of(filename: str, body: bytes) -> dict[str, Any]:
    """The record that extract would make of a good package."""
    name = parse_filename(filename)
    assert name is not None
    return {
        "build": name.build,
        "build_number": 0,
        "constrains": [],
        "depends": [],
        "md5": md5(body, usedforsecurity=False).hexdigest(),
        "name": name.name,
        "sha256": sha256(body).hexdigest(),
        "size": len(body),
        "subdir": SUBDIR.name,
        "version": name.version,
    }


# What is parsed recurs from schedule to schedule, since equal worlds give equal bytes.


@cache
def _parse_repodata(body: bytes) -> tuple[int, Records]:
    repodata = json.loads(body)
    generation = repodata.get("sluice", {}).get("generation", 0)
    return generation, {**repodata["packages"], **repodata["packages.conda"]}


@cache
def _parse_shard_index(body: bytes) -> tuple[int, list[bytes]]:
    index = msgpack.unpackb(_unzstd(body))
    return index["info"].get("sluice", {}).get("generation", 0), list(index["shards"].values())


@cache
def _parse_shard(body: bytes, digest: bytes) -> Records:
    assert sha256(body).digest() == digest
    shard = msgpack.unpackb(_unzstd(body))
    return {
        filename: {
            key: value.hex() if isinstance(value, bytes) else value
            for key, value in record.items()
            if key != "run_exports"  # CEP 21: in shards alone
        }
        for filename, record in {**shard["packages"], **shard["packages.conda"]}.items()
    }


@cache
def _parse_tree(body: bytes) -> Tree:
    return trees.decode_tree(body, what="tree")


@cache
def _unzstd(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(body)


def _identity(body: bytes) -> ObjectId:
    etag = md5(body, usedforsecurity=False).hexdigest()
    return ObjectId(etag=f'"{etag}"', modified=NOW, size=len(body))


def _undated(record: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(record["indexed_timestamp"], int)
    return {key: value for key, value in record.items() if key != "indexed_timestamp"}


Event = Callable[[World], object]
"""Something that happens in the world between two requests."""


def content(filename: str) -> bytes:
    """The package that ``upload`` puts there unless told otherwise."""
    return filename.encode()


def uploads(filename: str, body: bytes | None = None) -> Event:
    """Somebody uploads a package, over the one that is there if there is one."""
    return lambda world: world.upload(filename, body)


def removes(filename: str) -> Event:
    """Somebody deletes a package."""
    return lambda world: world.remove(filename)


def stages(filename: str) -> Event:
    """An extract gets to the object."""
    return lambda world: world.stage(filename)


def asks_for_run_exports(*, wanted: bool) -> Event:
    """Somebody switches ``run_exports.json`` on or off."""
    return lambda world: world.ask_for_run_exports(wanted=wanted)


def stages_late(filename: str, seen: bytes | None) -> Event:
    """An extract that looked at the object some time ago gets to write down what it saw."""
    return lambda world: world.stage_as(filename, seen)


def rolls_back(generation: int, *filenames: str) -> Event:
    """Somebody goes back to an old generation, which did not have these files as they are."""
    return lambda world: world.roll_back(generation, *filenames)


def pins_out(*filenames: str) -> Event:
    """Somebody keeps files out of the index."""
    return lambda world: world.pin(*filenames)
