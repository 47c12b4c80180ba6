"""One subdir in memory, in which packages are staged, merged and read back.

The clock moves with every upload, so that what happens later is later.  What is published is read
the way clients read it, all three ways, which must agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgpack
import zstandard
from msgspec import structs

from sluice.catalog import node, tree
from sluice.catalog.codec import content_digest
from sluice.catalog.commit import Commit, decode_commit
from sluice.catalog.entry import Entry
from sluice.catalog.head import Head, head_object, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import in_order
from sluice.conda.names import parse_filename
from sluice.extract import extract, staging
from sluice.extract.staging import ConfigChanged, Indexed, Rejected, StagingRecord
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, SLUICE_TOML, Subdir, config_key
from sluice.merge.context import MergeContext
from sluice.merge.handler import carry_out_merge_request, parse_merge_message
from sluice.merge.merge import merge
from sluice.merge.outcome import MergeReport
from sluice.merge.warm_cache import WarmCache
from sluice.messages.merge_request import MergeRequest
from sluice.storage.object_id import ObjectId
from sluice.storage.versioned_object import LOST
from testkit.system import System
from tests.support.staging_records import START_MS, SUBDIR, indexed, record_of, rejected, removed

OWNER = "arn:aws:cloudformation:eu-west-1:1:stack/sluice/one"
BUCKET = "channels"
DEBOUNCE_SECONDS = 10
PLENTY_MS = 900_000

Records = dict[str, dict[str, Any]]
"""By filename."""


class World:
    """A channel bucket, a state bucket and a merge queue, in memory."""

    def __init__(
        self, *, subdir: Subdir = SUBDIR, owner: str = OWNER, page_size: int = 1000
    ) -> None:
        self.subdir = subdir
        self.system = System(
            START_MS,
            bucket=BUCKET,
            owner=owner,
            debounce_seconds=DEBOUNCE_SECONDS,
            page_size=page_size,
        )
        self.channel = self.system.channel
        self.state = self.system.state
        self.queue = self.system.merges
        self.new_id = self.system.new_id
        self.tick = self.system.tick

    @property
    def now_ms(self) -> int:
        """The system's time."""
        return self.system.now_ms

    @now_ms.setter
    def now_ms(self, now_ms: int) -> None:
        self.system.now_ms = now_ms

    @property
    def merger(self) -> MergeContext:
        """What merges are wired to."""
        return self.system.merger

    @merger.setter
    def merger(self, merger: MergeContext) -> None:
        self.system.merger = merger

    # --- what happens -----------------------------------------------------------------------

    def upload(self, filename: str, body: bytes = b"") -> ObjectId:
        """Put a package there, a second after everything before."""
        self.tick()
        return ObjectId.from_info(self.channel.upload(self.subdir.file_key(filename), body))

    def remove(self, filename: str) -> None:
        """Delete a package."""
        self.channel.remove(self.subdir.file_key(filename))

    def stage(self, *records: StagingRecord) -> None:
        """Write staging records as they are."""
        for record in records:
            staging.write_staging_record(self.state, self.subdir, record, unique_id=self.new_id())

    def add(self, filename: str, body: bytes | None = None) -> Indexed:
        """Upload a good package and stage it."""
        body = filename.encode() if body is None else body
        record = indexed(
            filename,
            body,
            identity=self.upload(filename, body),
            at=self.now_ms,
            extractor=extract.EXTRACTOR_VERSION,
        )
        record.record["subdir"] = self.subdir.name
        self.stage(record)
        return record

    def add_corrupt(self, filename: str, body: bytes = b"corrupt") -> Rejected:
        """Upload a bad package and stage its reject."""
        identity = self.upload(filename, body)
        record = rejected(
            filename, identity=identity, at=self.now_ms, extractor=extract.EXTRACTOR_VERSION
        )
        self.stage(record)
        return record

    def drop(self, filename: str) -> None:
        """Delete a package and stage its removal."""
        self.remove(filename)
        self.stage(removed(filename, at=self.now_ms))

    def index_as_others_do(self, *filenames: str, shards: bytes | None = None) -> Records:
        """Upload packages and have another tool index them."""
        records = {}
        for filename in filenames:
            self.upload(filename, filename.encode())
            records[filename] = record_of(filename, filename.encode(), subdir=self.subdir.name)
        body = json.dumps(foreign_repodata(records, subdir=self.subdir.name)).encode()
        self.channel.upload(self.subdir.file_key(REPODATA), body)
        self.channel.upload(
            self.subdir.file_key(REPODATA_ZST), zstandard.ZstdCompressor().compress(body)
        )
        if shards is not None:
            self.channel.upload(self.subdir.file_key(SHARD_INDEX), shards)
        return records

    def configure(self, text: str | None) -> None:
        """Write ``sluice.toml``, or remove it, and have the subdir look at it."""
        self.tick()
        key = config_key(self.subdir.channel)
        if text is None:
            self.channel.remove(key)
        else:
            self.channel.upload(key, text.encode())
        self.stage(ConfigChanged(filename=SLUICE_TOML, extractor=0, at=self.now_ms))

    def merge(
        self,
        *,
        create: bool = False,
        adopt: bool = False,
        time_left_ms: Callable[[], int] = lambda: PLENTY_MS,
    ) -> MergeReport:
        """Merge what is staged, a second later, as somebody asks for who has seen all that is."""
        self.tick()
        if create:  # as the sender of such a request has done before
            self.merger.bucket_check.bind(self.subdir.channel)
        now = self.merger.clock()
        request = MergeRequest(self.subdir, not_before=now, create=create, adopt=adopt)
        return merge(self.merger, request, time_left_ms=time_left_ms)

    def replace_execution_environment(self) -> None:
        """Have the next merge in another execution environment."""
        self.merger = replace(self.merger, warm_cache=WarmCache())

    def deliver(self) -> list[MergeRequest]:
        """Carry out every request in the queue, and those that follow from them."""
        done = []
        while self.queue.messages:
            request = parse_merge_message(self.queue.messages.pop(0).body)
            self.tick()
            if isinstance(request, MergeRequest):
                done.append(request)
            carry_out_merge_request(request, self.merger, time_left_ms=lambda: PLENTY_MS)
        return done

    def owned_by(self, owner: str) -> MergeContext:
        """The merger of another stack on the same buckets."""
        publisher = replace(self.merger.publisher, owner=owner)
        return replace(self.merger, publisher=publisher)

    def commit_entries(self, name: str, entries: Mapping[str, Entry]) -> None:
        """Give a name these entries, as an operator's tool would."""
        version, parent = read_head(self.state, self.subdir), self.tree()
        at, generation = parent.at + 1, parent.generation + 1
        rendered = node.render_node(name, entries, at=at)
        grown = tree.next_tree(
            parent,
            {name: rendered.node},
            generation=generation,
            at=at,
            public=parent.public,
            rejects_changed=True,
        )
        body = tree.encode_tree(grown)
        self.state.upload(self.subdir.leaf_key(rendered.node.leaf.hex()), rendered.leaf_body)
        self.state.upload(self.subdir.tree_key(content_digest(body)), body)
        head = structs.replace(version.value, generation=generation, tree=content_digest(body))
        assert (
            head_object(self.state, self.subdir).swap(
                head, expected=version.etag, not_after_ms=None
            )
            is not LOST
        )

    # --- what can be seen -------------------------------------------------------------------

    def head(self) -> Head:
        """The head as stored."""
        return read_head(self.state, self.subdir).value

    def tree(self) -> Tree:
        """The tree that the head names."""
        return self._catalog().tree(self.head().tree)

    def commit(self) -> Commit:
        """The commit that the head names."""
        name = self.head().commit
        assert name
        return decode_commit(self.state.body(self.subdir.commit_key(name)), what="commit")

    def entries(self) -> dict[str, Entry]:
        """Everything that the catalog knows, by filename."""
        leaves = self._catalog().entries(self.tree().names.values())
        return {filename: entry for entries in leaves for filename, entry in entries.items()}

    def staged(self) -> list[str]:
        """The keys of the staging records."""
        return self.state.keys(self.subdir.staging_prefix)

    def rejects(self) -> list[dict[str, Any]]:
        """The reject document's list."""
        found: list[dict[str, Any]] = json.loads(self.state.body(self.subdir.rejects_key))[
            "rejects"
        ]
        return found

    def body(self, file: str = REPODATA) -> bytes:
        """A published file."""
        return self.channel.body(self.subdir.file_key(file))

    def index_files(self) -> dict[str, bytes]:
        """Every file under the subdir that is not a package."""
        return {
            key.removeprefix(self.subdir.prefix): self.channel.body(key)
            for key in self.channel.keys(self.subdir.prefix)
            if parse_filename(key.rpartition("/")[2]) is None
        }

    def published(self) -> Records:
        """The records that a client finds, whichever of the three files it reads."""
        repodata = json.loads(self.body())
        assert json.loads(unzstd(self.body(REPODATA_ZST))) == repodata
        records: Records = {**repodata["packages"], **repodata["packages.conda"]}
        assert self.published_in_shards() == records
        return records

    def published_in_shards(self) -> Records:
        """The records that a client of CEP 16 finds, digests in hex."""
        records: Records = {}
        for name, shard_digest in msgpack.unpackb(unzstd(self.body(SHARD_INDEX)))["shards"].items():
            body = self.channel.body(self.subdir.shard_key(shard_digest.hex()))
            assert sha256(body).digest() == shard_digest
            shard = msgpack.unpackb(unzstd(body))
            for filename, record in {**shard["packages"], **shard["packages.conda"]}.items():
                assert record["name"] == name
                record.pop("run_exports", None)
                records[filename] = {
                    key: value.hex() if isinstance(value, bytes) else value
                    for key, value in record.items()
                }
        return records

    def _catalog(self) -> CatalogReader:
        return CatalogReader(self.state, self.subdir, in_order)


def foreign_repodata(records: Mapping[str, Mapping[str, Any]], *, subdir: str) -> dict[str, Any]:
    """A ``repodata.json`` as other tools write it."""
    return {
        "info": {"subdir": subdir},
        "packages": {name: r for name, r in records.items() if name.endswith(".tar.bz2")},
        "packages.conda": {name: r for name, r in records.items() if name.endswith(".conda")},
        "removed": [],
        "repodata_version": 1,
    }


def unzstd(body: bytes) -> bytes:
    """Decompress as clients do: one frame, sized by its header."""
    return zstandard.ZstdDecompressor().decompress(body)
