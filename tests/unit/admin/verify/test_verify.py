"""Every kind of damage is found, as exactly that, and repaired; a healthy channel has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest

from sluice import zstd
from sluice.admin.session.progress import Step
from sluice.admin.standalone.index import IndexOptions
from sluice.admin.verify.findings import Defect
from sluice.admin.verify.repair import repair
from sluice.admin.verify.verify import VerifyReport, verify
from sluice.catalog import tree as trees
from sluice.catalog.codec import content_digest
from sluice.catalog.head import read_head
from sluice.catalog.leaf_reader import stored_key
from sluice.catalog.tree import Tree
from sluice.extract import staging
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    REPODATA,
    REPODATA_ZST,
    RUN_EXPORTS,
    SHARD_INDEX,
    SLUICE_TOML,
    Subdir,
)
from sluice.limits import PUBLISHING_SECONDS_MAX, SMALL_PACKAGE_BYTES_MAX
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectHeaders
from testkit.channel import PATCHES, Package, conda, patch_package
from tests.support.packed import pack_each_leaf
from tests.support.staging_records import removed
from tests.support.standalone_channel import CHANNEL, LINUX, NOARCH, StandaloneChannel, package

A, A2, B = package("alpha"), package("alpha", "2.0"), package("beta")
PURE = package("pure", subdir="noarch", noarch="generic")
BAD = Package("linux-64", "gamma-1.0-0.conda", b"no zip")
TOML = b"""[sluice]
run-exports = true
channeldata = true
rss = true
current-repodata = true
patches = "team-repodata-patches"
"""


@pytest.fixture(autouse=True, params=[False, True], ids=["leaves", "packs"])
def _in_packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for leaves in packs as well."""
    if request.param:
        pack_each_leaf(monkeypatch)


def a_channel() -> StandaloneChannel:
    """Indexed, with a reject, and at rest."""
    world = StandaloneChannel()
    world.upload(A, A2, B, PURE, BAD)
    world.index()
    world.index()
    return world


def look(world: StandaloneChannel, *, deep: bool = False) -> VerifyReport:
    """Verify; whatever is found, nothing is written."""
    before = dict(world.public.objects), dict(world.state.objects)
    report = verify(world.channel, deep=deep)
    assert (world.public.objects, world.state.objects) == before
    return report


def kinds(report: VerifyReport) -> list[tuple[Defect, str]]:
    """What was found."""
    return [(one.kind, one.object) for one in report.findings]


def tree_of(world: StandaloneChannel, subdir: Subdir = LINUX) -> Tree:
    """The tree that the head names."""
    name = read_head(world.state, subdir).value.tree
    assert name
    return trees.decode_tree(world.state.body(subdir.tree_key(name)), what="tree")


def flip(store: object, key: str) -> None:
    """Change one bit, and nothing else that can be seen."""
    stored = store.objects[key]  # type: ignore[attr-defined]
    body = bytearray(stored.body)
    body[len(body) // 2] ^= 1
    store.objects[key] = replace(stored, body=bytes(body))  # type: ignore[attr-defined]


def leaf_key(world: StandaloneChannel, name: str) -> str:
    return stored_key(LINUX, tree_of(world).names[name])


def shard_key(world: StandaloneChannel, name: str) -> str:
    shard = tree_of(world).names[name].shard
    assert shard
    return LINUX.shard_key(shard.hex())


def flip_a_leaf(world: StandaloneChannel) -> tuple[Defect, str]:
    flip(world.state, key := leaf_key(world, "alpha"))
    return Defect.LEAF_DAMAGED, key


def lose_a_leaf(world: StandaloneChannel) -> tuple[Defect, str]:
    world.state.remove(key := leaf_key(world, "alpha"))
    return Defect.LEAF_DAMAGED, key


def lose_a_shard(world: StandaloneChannel) -> tuple[Defect, str]:
    world.public.remove(key := shard_key(world, "alpha"))
    return Defect.SHARD_DAMAGED, key


def lose_a_shard_of_beta(world: StandaloneChannel) -> tuple[Defect, str]:
    world.public.remove(key := shard_key(world, "beta"))
    return Defect.SHARD_DAMAGED, key


def flip_a_shard(world: StandaloneChannel) -> tuple[Defect, str]:
    flip(world.public, key := shard_key(world, "alpha"))
    return Defect.SHARD_DAMAGED, key


def overwrite_repodata(world: StandaloneChannel) -> tuple[Defect, str]:
    body = world.public.body(key := LINUX.file_key(REPODATA))
    world.tick()
    world.public.upload(key, body)
    return Defect.FILE_FOREIGN, key


def flip_repodata(world: StandaloneChannel) -> tuple[Defect, str]:
    flip(world.public, key := LINUX.file_key(REPODATA))
    return Defect.FILE_WRONG, key


def compress_something_else(world: StandaloneChannel) -> tuple[Defect, str]:
    key = LINUX.file_key(REPODATA_ZST)
    stored = world.public.objects[key]
    world.public.objects[key] = replace(stored, body=zstd.compress(b"{}"))
    return Defect.FILE_WRONG, key


def flip_the_shard_index(world: StandaloneChannel) -> tuple[Defect, str]:
    flip(world.public, key := LINUX.file_key(SHARD_INDEX))
    return Defect.FILE_WRONG, key


def lose_the_shard_index(world: StandaloneChannel) -> tuple[Defect, str]:
    world.public.remove(key := LINUX.file_key(SHARD_INDEX))
    return Defect.FILE_MISSING, key


def restore_an_old_file(world: StandaloneChannel) -> tuple[Defect, str]:
    key = LINUX.file_key(REPODATA)
    stored = world.public.objects[key]
    stamp = Stamp.parse(stored.info.metadata)
    assert stamp
    old = replace(stamp, generation=stamp.generation - 1, tree="0" * 64)
    body = json.dumps(json.loads(stored.body) | {"sluice": old.body}).encode()
    world.tick()
    world.public.upload(key, body, metadata=old.metadata)
    return Defect.FILE_BEHIND, key


def leave_a_file(world: StandaloneChannel) -> tuple[Defect, str]:
    stored = world.public.objects[LINUX.file_key(REPODATA)]
    stamp = Stamp.parse(stored.info.metadata)
    assert stamp
    old = replace(stamp, generation=0)
    world.public.put(
        key := LINUX.file_key(RUN_EXPORTS),
        b"{}",
        ObjectHeaders("application/json", None, old.metadata),
    )
    return Defect.FILE_BEHIND, key


def change_the_rejects(world: StandaloneChannel) -> tuple[Defect, str]:
    flip(world.state, key := LINUX.rejects_key)
    return Defect.FILE_WRONG, key


def replace_a_package(world: StandaloneChannel) -> tuple[Defect, str]:
    world.upload(other := package("beta", timestamp=1_700_000_000_000))
    return Defect.PACKAGE_CHANGED, f"{CHANNEL}/{other.path}"


def add_a_package(world: StandaloneChannel) -> tuple[Defect, str]:
    world.upload(new := package("delta"))
    return Defect.PACKAGE_UNKNOWN, f"{CHANNEL}/{new.path}"


def remove_a_package(world: StandaloneChannel) -> tuple[Defect, str]:
    world.public.remove(key := f"{CHANNEL}/{B.path}")
    return Defect.PACKAGE_GONE, key


def damage_the_tree(world: StandaloneChannel) -> tuple[Defect, str]:
    flip(world.state, key := LINUX.tree_key(read_head(world.state, LINUX).value.tree or ""))
    return Defect.TREE_DAMAGED, key


def lose_the_tree(world: StandaloneChannel) -> tuple[Defect, str]:
    world.state.remove(key := LINUX.tree_key(read_head(world.state, LINUX).value.tree or ""))
    return Defect.TREE_DAMAGED, key


def damage_the_head(world: StandaloneChannel) -> tuple[Defect, str]:
    world.state.upload(key := LINUX.head_key, b"{}")
    return Defect.HEAD_DAMAGED, key


def lie_in_the_tree(world: StandaloneChannel) -> tuple[Defect, str]:
    """Say of a name what its leaf does not, and sign that."""
    version, tree = read_head(world.state, LINUX), tree_of(world)
    node = msgspec.structs.replace(tree.names["beta"], newest=1)
    body = trees.encode_tree(msgspec.structs.replace(tree, names={**tree.names, "beta": node}))
    world.state.upload(LINUX.tree_key(content_digest(body)), body)
    commit = json.loads(world.state.body(LINUX.commit_key(version.value.commit or "")))
    commit_body = json.dumps({**commit, "tree": content_digest(body)}).encode()
    world.state.upload(LINUX.commit_key(content_digest(commit_body)), commit_body)
    head = msgspec.structs.replace(
        version.value,
        generation=version.value.generation,
        tree=content_digest(body),
        commit=content_digest(commit_body),
    )
    world.state.upload(LINUX.head_key, msgspec.json.encode(head))
    for key in [LINUX.file_key(file) for file in (SHARD_INDEX, REPODATA_ZST, REPODATA)]:
        world.public.remove(key)  # what remains is for the fence to write again
    return Defect.NODE_WRONG, stored_key(LINUX, node)


ALL = [
    flip_a_leaf,
    lose_a_leaf,
    lose_a_shard,
    flip_a_shard,
    overwrite_repodata,
    flip_repodata,
    compress_something_else,
    flip_the_shard_index,
    lose_the_shard_index,
    restore_an_old_file,
    leave_a_file,
    change_the_rejects,
    replace_a_package,
    add_a_package,
    remove_a_package,
    damage_the_tree,
    lose_the_tree,
    damage_the_head,
]


def test_a_healthy_channel_has_no_findings() -> None:
    report = look(a_channel(), deep=True)
    assert (report.findings, report.unchecked, report.healthy) == ([], [], True)
    assert [(one.subdir, one.packages, one.hashed) for one in report.subdirs] == [
        ("linux-64", 4, 3),
        ("noarch", 1, 1),
    ]


def test_nor_has_one_with_everything_switched_on() -> None:
    world = a_channel()
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", TOML)
    patch = patch_package(
        "1",
        {
            "linux-64": {
                "patch_instructions_version": 1,
                "packages.conda": {B.filename: {"license": "MIT"}},
                "remove": [A.filename],
            }
        },
    )
    assert patch.filename.startswith(PATCHES)
    world.upload(patch)
    for _ in range(3):
        world.index()
    assert look(world, deep=True).findings == []
    assert f"{CHANNEL}/{CHANNELDATA}" in world.public.objects


@pytest.mark.parametrize("damage", ALL)
def test_each_damage_is_found_as_what_it_is_and_as_nothing_else(
    damage: Callable[[StandaloneChannel], tuple[Defect, str]],
) -> None:
    world = a_channel()
    planted = damage(world)
    report = look(world)
    assert kinds(report) == [planted]
    assert not report.healthy
    assert report.findings[0].reason


@pytest.mark.parametrize("damage", [*ALL, lie_in_the_tree])
def test_each_damage_is_repaired(damage: Callable[[StandaloneChannel], tuple[Defect, str]]) -> None:
    world = a_channel()
    damage(world)
    world.tick()
    report = look(world)
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert kinds(look(world, deep=True)) == []
    expected = sorted(
        key.rpartition("/")[2]
        for key in world.public.keys(LINUX.prefix)
        if key.endswith(".conda") and not key.endswith(BAD.filename)
    )
    assert world.filenames() == expected


@pytest.mark.parametrize("damage", [flip_a_leaf, lose_a_leaf, damage_the_tree, damage_the_head])
def test_what_is_repaired_keeps_the_dates_of_the_packages(
    damage: Callable[[StandaloneChannel], tuple[Defect, str]],
) -> None:
    world = a_channel()
    before = world.published().records
    damage(world)
    world.tick(3600)
    repair(
        world.channel, look(world).findings, IndexOptions(subdirs_at_once=1), **world.one_reader()
    )
    world.index()
    assert world.published().records == before


@pytest.mark.parametrize("body", [b"{}", b'{"packages": {"other-1-0.tar.bz2": {"name": "other"}}}'])
def test_they_keep_them_also_where_somebody_overwrote_the_index(body: bytes) -> None:
    world = a_channel()
    before = world.published().records
    flip_a_leaf(world)
    world.tick(3600)
    world.public.upload(LINUX.file_key(REPODATA), body)
    repair(
        world.channel, look(world).findings, IndexOptions(subdirs_at_once=1), **world.one_reader()
    )
    assert world.published().records == before


def test_a_leaf_and_its_shard_may_both_be_lost() -> None:
    world = a_channel()
    before = world.published().records
    key = shard_key(world, "alpha")
    lose_a_leaf(world)
    world.public.remove(key)
    world.tick(3600)
    repair(
        world.channel, look(world).findings, IndexOptions(subdirs_at_once=1), **world.one_reader()
    )
    assert kinds(look(world, deep=True)) == []
    assert world.published().records == before


def test_a_lie_in_the_tree_is_found() -> None:
    world = a_channel()
    planted = lie_in_the_tree(world)
    assert planted in kinds(look(world))


def test_a_lost_commit_is_told_of_and_cannot_be_repaired() -> None:
    world = a_channel()
    world.state.remove(key := LINUX.commit_key(read_head(world.state, LINUX).value.commit or ""))
    report = look(world)
    assert kinds(report) == [(Defect.COMMIT_DAMAGED, key)]
    assert report.findings[0].kind.repair.startswith("cannot be repaired")


def test_two_damages_in_one_subdir_are_both_found_and_repaired() -> None:
    world = a_channel()
    planted = [lose_a_shard(world), overwrite_repodata(world), add_a_package(world)]
    report = look(world)
    assert sorted(kinds(report), key=str) == sorted(planted, key=str)
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert kinds(look(world)) == []


def test_a_digest_that_an_uploader_made_up_is_found_by_hashing_and_repaired() -> None:
    world = StandaloneChannel()
    noise = b"".join(sha256(str(number).encode()).digest() for number in range(150_000))
    index = {"name": "large", "version": "1", "build": "0", "build_number": 0, "depends": []}
    large = conda({**index, "subdir": "linux-64"}, payload=noise)
    assert len(large.body) > SMALL_PACKAGE_BYTES_MAX
    made_up = {"package-sha256": "0" * 64, "package-md5": "0" * 32}
    world.public.upload(key := f"{CHANNEL}/{large.path}", large.body, metadata=made_up)
    world.index()
    world.index()
    assert look(world).healthy
    report = look(world, deep=True)
    assert kinds(report) == [(Defect.PACKAGE_WRONG, key)]
    assert "sha256 is" in report.findings[0].reason
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert look(world, deep=True).healthy


def test_what_is_staged_is_on_its_way_and_no_finding() -> None:
    world = a_channel()
    world.public.remove(f"{CHANNEL}/{B.path}")
    staging.write_staging_record(world.state, LINUX, removed(B.filename), unique_id="x")
    assert kinds(look(world)) == []


def test_index_files_that_are_behind_are_no_finding_while_their_merge_is_under_way() -> None:
    world = a_channel()
    behind, key = restore_an_old_file(world)
    assert kinds(look(world)) == [(behind, key)]
    staging.write_staging_record(world.state, LINUX, removed("gamma-1-0.conda"), unique_id="x")
    report = look(world)
    assert kinds(report) == []
    assert report.unchecked == [f"the index files of {LINUX.prefix}: a merge is publishing changes"]
    world.tick(PUBLISHING_SECONDS_MAX)
    assert kinds(look(world)) == [(behind, key)]


def test_a_damaged_catalog_is_told_to_keep_files_from_being_checked() -> None:
    world = a_channel()
    flip_a_leaf(world)
    assert "because the catalog is damaged" in look(world).unchecked[0]


def test_whose_the_files_are_is_told_even_then() -> None:
    world = a_channel()
    planted = [flip_a_leaf(world), lose_a_shard_of_beta(world), overwrite_repodata(world)]
    planted.append(replace_a_package(world))
    report = look(world)
    assert sorted(kinds(report), key=str) == sorted(planted, key=str)
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert kinds(look(world, deep=True)) == []


def test_a_folder_that_was_never_indexed_is_told_of() -> None:
    world = StandaloneChannel()
    world.upload(A)
    report = look(world)
    assert kinds(report) == [
        (Defect.PACKAGE_UNKNOWN, f"{CHANNEL}/{A.path}"),
        (Defect.FILE_MISSING, NOARCH.file_key(REPODATA)),
    ]


def test_another_owner_is_told_of() -> None:
    world = a_channel()
    world.channel = replace(world.channel, owner="another")
    report = look(world)
    assert {kind for kind, _ in kinds(report)} == {Defect.FILE_FOREIGN}
    assert "not by another" in report.findings[0].reason


def test_damage_of_the_channels_files_is_found_and_repaired() -> None:
    world = a_channel()
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", b"[sluice]\nchanneldata = true\nrss = true\n")
    world.index()
    world.index()
    assert kinds(look(world)) == []
    flip(world.public, key := f"{CHANNEL}/{CHANNELDATA}")
    report = look(world)
    assert kinds(report) == [(Defect.FILE_WRONG, key)]
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert kinds(look(world)) == []


NOTICE = b'[[index-config.notices]]\nid = "1"\nmessage = "Hello"\n'


@pytest.mark.parametrize("notices", [b"[index-config]\nnotices = []\n", NOTICE])
@pytest.mark.parametrize("file", [None, "channeldata", "rss", "page", "run-exports"])
def test_no_change_of_a_healthy_channel_puts_a_file_behind(
    file: str | None, notices: bytes
) -> None:
    """Notices are published when the configuration is read, the others when packages change."""
    world = StandaloneChannel()
    world.upload(A, PURE)
    sluice = f"[sluice]\n{file} = true\n".encode() if file else b""
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", notices + sluice)
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: world.upload(B),
        lambda: world.public.remove(f"{CHANNEL}/{B.path}"),
        lambda: world.upload(BAD),
        lambda: world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", NOTICE.lower() + sluice),
        lambda: world.upload(package("other", subdir="osx-64")),
        lambda: world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", sluice),
    ]
    for change in changes:
        world.tick()
        change()
        world.index()
        report = look(world)
        assert (kinds(report), report.unchecked) == ([], [])


def test_notices_that_stand_since_an_older_generation_are_compared_all_the_same() -> None:
    world = a_channel()
    toml = NOTICE + b"[sluice]\nchanneldata = true\n"
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", toml)
    world.index()
    world.upload(package("other"))
    world.index()
    key = f"{CHANNEL}/{NOTICES}"
    stored = world.public.objects[key]
    said = stored.body.replace(b"Hello", b"HELLO")
    world.public.objects[key] = replace(stored, body=said)
    report = look(world)
    assert kinds(report) == [(Defect.FILE_WRONG, key)]
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert kinds(look(world)) == []
    assert b"Hello" in world.public.body(key)


def test_a_page_that_somebody_wrote_by_hand_stays_and_is_no_finding() -> None:
    world = a_channel()
    key, page = f"{CHANNEL}/{PAGE}", b"<html>mine</html>"
    world.public.upload(key, page)
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", b"[sluice]\npage = true\n")
    world.index()
    assert kinds(look(world)) == []
    flip(world.public, data := f"{CHANNEL}/{PAGE_DATA}")
    report = look(world)
    assert kinds(report) == [(Defect.FILE_WRONG, data)]
    repair(world.channel, report.findings, IndexOptions(subdirs_at_once=1), **world.one_reader())
    assert (kinds(look(world)), world.public.body(key)) == ([], page)


def test_a_page_of_sluice_that_is_damaged_or_missing_is_found_and_repaired() -> None:
    world = a_channel()
    world.public.upload(f"{CHANNEL}/{SLUICE_TOML}", b"[sluice]\npage = true\n")
    world.index()
    key = f"{CHANNEL}/{PAGE}"
    damages: list[tuple[Callable[[], object], Defect]] = [
        (lambda: flip(world.public, key), Defect.FILE_WRONG),
        (lambda: world.public.remove(key), Defect.FILE_MISSING),
    ]
    for damage, kind in damages:
        damage()
        report = look(world)
        assert kinds(report) == [(kind, key)]
        options = IndexOptions(subdirs_at_once=1)
        repair(world.channel, report.findings, options, **world.one_reader())
        assert kinds(look(world)) == []


def test_progress_is_told() -> None:
    told: list[tuple[Step, int]] = []

    class Told:
        def expect(self, step: Step, count: int) -> None:
            pass

        def done(self, step: Step, count: int) -> None:
            told.append((step, count))

    verify(a_channel().channel, deep=True, progress=Told())
    assert sum(count for step, count in told if step is Step.NAMES) == 4
    assert sum(count for step, count in told if step is Step.HASHED) == 4
