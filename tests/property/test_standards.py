"""However a channel came to be what it is, its files are those of its final state.

Uploads, overwrites, deletions, patches and configurations come in any order, and are published as
they come.  Then the final state is indexed from nothing, and fed the times and the generation of
the first: every published file must be the same, to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.catalog import node as render
from sluice.catalog.commit import decode_commit
from sluice.catalog.entry import Entries, Entry, Record, Reject, decode_leaf
from sluice.catalog.head import read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Inputs, Node, Tree
from sluice.concurrency import in_order
from sluice.conda.names import parse_filename
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.layout import Subdir, config_key, parse_package_key
from sluice.messages import merge_request
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.publish.publisher import Publisher
from testkit.channel import PATCHES, conda, patch_package, tar_bz2
from testkit.memory_store import MemoryStore
from testkit.system import System

START_MS = 1_750_000_000_000
LATER_MS = START_MS * 2
CHANNEL = "team"
LINUX, NOARCH = Subdir(CHANNEL, "linux-64"), Subdir(CHANNEL, "noarch")
SUBDIRS = (LINUX, NOARCH)
CONFIG = config_key(CHANNEL)
INVALID = b"[sluice]\npatch = true\n"
CONFIGS = (
    b"",
    INVALID,
    b"[sluice]\nrun-exports = true\n",
    f'[sluice]\npatches = "{PATCHES}"\n'.encode(),
    f'[sluice]\npatches = "{PATCHES}"\nrun-exports = true\ntimestamps = "reject"\n'.encode(),
    b'[sluice]\npatches = "alpha"\nrepodata-bz2 = true\ncurrent-repodata = true\n',
    b'[index-config]\nwrite-zst = false\nbase-url = "https://packages.example/"\n',
    f'[index-config]\nwrite-shards = false\n[sluice]\npatches = "{PATCHES}"\n'.encode(),
    b"""[index-config]
package-revision-assignment = "latest"
repodata-revisions = ["v3"]
channel-relations = { base = "../main" }
""",
)
ALPHA, ALPHA_BZ2, BETA = "alpha-1-0.conda", "alpha-1-0.tar.bz2", "beta-2-py_0.conda"
FILENAMES = (ALPHA, ALPHA_BZ2, BETA)
VARIANTS: tuple[dict[str, Any], ...] = (
    {"depends": ["python"]},
    {"depends": [], "timestamp": START_MS * 10},
    {"depends": ["python[when='__unix']"]},
    {"flags": ["cuda"], "depends": []},
)
INSTRUCTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"patch_instructions_version": 1, "packages": {ALPHA_BZ2: {"depends": ["patched"]}}},
    {
        "patch_instructions_version": 1,
        "packages.conda": {BETA: {"license": "MIT", "sha256": "0", "depends": ["beta ;if x"]}},
        "remove": [ALPHA_BZ2],
    },
    {
        "patch_instructions_version": 2,
        "packages.conda": {ALPHA: {"run_exports": {"weak": ["alpha"]}, "timestamp": 1}},
        "revoke": [BETA],
        "v3": {"conda": {"alpha-1-0": {"license": "v3"}}},
    },
    {"patch_instructions_version": 3},
)
PATCH_VERSIONS = ("1.9", "1.10", "1.10rc1")


@dataclass(frozen=True)
class Change:
    """A file that somebody puts there, or with no body removes."""

    key: str
    body: bytes | None = field(repr=False)
    what: str


def package(subdir: Subdir, filename: str, variant: int | None) -> Change:
    """A package in one of its variants, a corrupt one, or (``None``) its removal."""
    key = subdir.file_key(filename)
    if variant is None:
        return Change(key, None, "removed")
    if variant == len(VARIANTS):
        return Change(key, b"corrupt", "corrupt")
    name = parse_filename(filename)
    assert name
    index = {
        "name": name.name,
        "version": name.version,
        "build": name.build,
        "build_number": 0,
        "subdir": subdir.name,
        **VARIANTS[variant],
    }
    if name.suffix == ".tar.bz2":
        return Change(key, tar_bz2(index).body, f"variant {variant}")
    exports = {"strong": [f"{name.name} {variant}"]} if variant % 2 else None
    return Change(key, conda(index, run_exports=exports).body, f"variant {variant}")


def patch(version: str, of_linux: int, of_noarch: int | None) -> Change:
    """A patch package; ``of_noarch`` ``None``: it is removed."""
    told = {LINUX.name: INSTRUCTIONS[of_linux]}
    if of_noarch:
        told[NOARCH.name] = INSTRUCTIONS[of_noarch]
    made = patch_package(version, told)
    body = None if of_noarch is None else made.body
    return Change(NOARCH.file_key(made.filename), body, f"patch {of_linux}, {of_noarch}")


def configuration(number: int | None) -> Change:
    """One of the configurations, or (``None``) its removal."""
    return Change(CONFIG, None if number is None else CONFIGS[number], f"configuration {number}")


CHANGES = st.one_of(
    st.builds(
        package,
        st.sampled_from(SUBDIRS),
        st.sampled_from(FILENAMES),
        st.none() | st.integers(0, len(VARIANTS)),
    ),
    st.builds(
        patch,
        st.sampled_from(PATCH_VERSIONS),
        st.integers(0, len(INSTRUCTIONS) - 1),
        st.none() | st.integers(0, len(INSTRUCTIONS) - 1),
    ),
    st.builds(configuration, st.none() | st.integers(0, len(CONFIGS) - 1)),
)
HISTORIES = st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=1, max_size=8)


class History:
    """A channel in which things happen, and what its files must be dated."""

    def __init__(self) -> None:
        self.sluice = System(START_MS)
        self.good_config: bytes | None = None
        """The last that a subdir with an index could be made by."""
        self._dates: dict[str, tuple[str, int]] = {}
        """SHA-256 of each indexed package by key, and when it came into the index."""
        self._commits: dict[Subdir, str | None] = dict.fromkeys(SUBDIRS)

    def happen(self, changes: list[Change]) -> None:
        """Let changes happen, and sluice publish what comes of them."""
        for change in changes:
            self.sluice.tick()
            if change.body is not None:
                self.sluice.upload({change.key: change.body})
            elif change.key in self.sluice.channel.objects:
                self.sluice.channel.remove(change.key)
        for change in changes:
            look_at(self.sluice, change.key)
        self.sluice.run_until_idle()
        for subdir in SUBDIRS:
            self._date(subdir)
        there = self.sluice.channel.objects.get(CONFIG)
        if self.public and (there is None or there.body != INVALID):
            self.good_config = there.body if there else None

    @property
    def public(self) -> list[Subdir]:
        """The subdirs that have an index."""
        return [subdir for subdir in SUBDIRS if catalog_of(self.sluice, subdir)[0].public]

    def dated(self, subdir: Subdir, filename: str, record: dict[str, Any]) -> dict[str, Any]:
        """The record with the date that it must have."""
        sha256, at = self._dates[subdir.file_key(filename)]
        assert sha256 == record["sha256"]
        return {**record, "indexed_timestamp": at}

    def _date(self, subdir: Subdir) -> None:
        """Read in the commits when each package came."""
        head = read_head(self.sluice.state, subdir).value
        news, digest = [], head.commit
        while digest and digest != self._commits[subdir]:
            commit = decode_commit(self.sluice.state.body(subdir.commit_key(digest)), what=digest)
            news.append(commit)
            digest = commit.parent
        self._commits[subdir] = head.commit
        for commit in reversed(news):
            for filename in commit.removed:
                self._dates.pop(subdir.file_key(filename), None)
            for filename in [*commit.added, *commit.replaced]:
                key = subdir.file_key(filename)
                sha256 = self._sha256_at(subdir, commit.tree, filename)
                if self._dates.get(key, ("",))[0] != sha256:
                    self._dates[key] = sha256, commit.at

    def _sha256_at(self, subdir: Subdir, tree: str, filename: str) -> str:
        catalog = CatalogReader(self.sluice.state, subdir, in_order)
        for entries in catalog.entries(catalog.tree(tree).names.values()):
            match entries.get(filename):
                case Record(record=record):
                    return str(record["sha256"])
        raise AssertionError(f"{filename} was committed, and is not there")


def look_at(sluice: System, key: str) -> None:
    """What the function does that events of objects go to."""
    if parse_package_key(key):
        sluice.extract(key)
        return
    ConfigBroadcast(sluice.merger).notify_all(CHANNEL)


def from_nothing(history: History) -> System:
    """Index what is there now, with the last good configuration, knowing nothing of before."""
    fresh = System(LATER_MS)
    fresh.channel.objects = {
        key: stored
        for key, stored in history.sluice.channel.objects.items()
        if parse_package_key(key)
    }
    packages = list(fresh.channel.objects)
    if history.good_config is not None:
        fresh.upload({CONFIG: history.good_config})
    for key in packages:
        look_at(fresh, key)
    for subdir in history.public:  # one may have become empty, and is an index nevertheless
        merge_request.merge_message(
            subdir, now_ms=fresh.now_ms, debounce_seconds=10, create=True
        ).send_to(fresh.merges)
    fresh.run_until_idle()
    return fresh


def catalog_of(sluice: System, subdir: Subdir) -> tuple[Tree, CatalogReader]:
    """The tree of the head, and what reads what it refers to."""
    catalog = CatalogReader(sluice.state, subdir, in_order)
    return catalog.tree(read_head(sluice.state, subdir).value.tree), catalog


def settled(inputs: Inputs) -> tuple[Any, ...]:
    """What a subdir was made of, but for the times."""
    patch = inputs.patch
    return (
        inputs.config.settings,
        patch and (patch.package, patch.sha256, patch.instructions is None),
        {(one.filename, one.identity) for one in inputs.problems if one.filename != "sluice.toml"},
    )


def check(history: History, fresh: System, subdir: Subdir) -> None:
    """Compare one subdir of both."""
    tree, catalog = catalog_of(history.sluice, subdir)
    anew, anew_catalog = catalog_of(fresh, subdir)
    assert anew.public == tree.public
    if not tree.public:
        return
    assert tree.inputs
    assert anew.inputs
    assert settled(tree.inputs) == settled(anew.inputs)
    rules = anew_catalog.rules(anew)
    nodes: dict[str, Node] = {}
    shards: dict[str, bytes] = {}
    for name in sorted(tree.names.keys() | anew.names.keys()):
        (entries,) = anew_catalog.entries([anew.names.get(name)])
        (known,) = catalog.entries([tree.names.get(name)])
        assert entries
        assert known.keys() == entries.keys()
        entries = fed(history, subdir, entries, known)
        assert entries == known
        node = tree.names[name]
        body = history.sluice.state.body(subdir.leaf_key(node.leaf.hex()))
        rendered = render.render_node(
            name, entries, at=decode_leaf(body, what=name).at, rules=rules
        )
        nodes[name] = rendered.node
        if rendered.node.shard and rendered.shard_body:
            shards[subdir.shard_key(rendered.node.shard.hex())] = rendered.shard_body
        anew_catalog.cache_entries(rendered.node, entries)
    assert nodes == tree.names
    for key, body in shards.items():
        assert history.sluice.channel.body(key) == body
    head = read_head(history.sluice.state, subdir).value
    assert head.tree
    anew_catalog.cache_tree(
        head.tree,
        msgspec.structs.replace(
            anew,
            generation=tree.generation,
            at=tree.at,
            names=nodes,
            rejects_generation=0,
            inputs=since(anew.inputs, tree.inputs),
        ),
    )
    bare, state = MemoryStore(), MemoryStore()
    state.upload(subdir.head_key, history.sluice.state.body(subdir.head_key))
    owner = history.sluice.merger.publisher.owner
    Publisher(bare, state, owner, max_age_seconds=60).publish(subdir, head, anew_catalog)
    assert files(history.sluice.channel, subdir) == files(bare, subdir)


def fed(history: History, subdir: Subdir, entries: Entries, known: Entries) -> Entries:
    """Entries with the dates of the other world."""
    dated: dict[str, Entry] = {}
    for filename, entry in entries.items():
        match entry, known[filename]:
            case Record(record=record), _:
                record = history.dated(subdir, filename, record)
                dated[filename] = msgspec.structs.replace(entry, record=record)
            case Reject(), Reject(at=at):
                dated[filename] = msgspec.structs.replace(entry, at=at)
    return dated


def since(inputs: Inputs, known: Inputs) -> Inputs:
    """Inputs with a patch that came when that of the other world did."""
    if inputs.patch is None or known.patch is None:
        return inputs
    patch = msgspec.structs.replace(inputs.patch, at=known.patch.at)
    return msgspec.structs.replace(inputs, patch=patch)


def files(channel: MemoryStore, subdir: Subdir) -> dict[str, bytes]:
    """All files for clients but shards."""
    return {
        file: channel.body(subdir.file_key(file))
        for file in ALL_OUTPUTS
        if subdir.file_key(file) in channel.objects
    }


@settings(max_examples=100)
@given(HISTORIES)
def test_any_history_gives_the_files_of_its_final_state(history: list[list[Change]]) -> None:
    told = History()
    for changes in history:
        told.happen(changes)
    fresh = from_nothing(told)
    for subdir in SUBDIRS:
        check(told, fresh, subdir)
