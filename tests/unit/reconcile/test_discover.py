"""Finding subdirs in a bucket, wherever the walk through it is interrupted."""

from __future__ import annotations

import pytest

from sluice.layout import Subdir
from sluice.reconcile import discover
from sluice.reconcile.cursor import Cursor, Phase, Unfinished
from sluice.reconcile.discover import DiscoveredSubdir, Discovery
from sluice.reconcile.listing import list_subdir
from testkit.memory_store import MemoryStore

DIGEST = "ab" * 32


def bucket(*keys: str) -> MemoryStore:
    store = MemoryStore()
    for key in keys:
        store.upload(key, b"")
    return store


def discovery(
    channel: MemoryStore,
    state: MemoryStore | None = None,
    *,
    prefixes: tuple[str, ...] = ("",),
    only: str | None = None,
) -> Discovery:
    return Discovery(channel, state or MemoryStore(), prefixes, only)


def found(one: Discovery, cursor: Cursor | None = None) -> list[Subdir]:
    return [it.subdir for it in one.walk(cursor or Cursor()) if it.subdir]


def test_channels_are_found_in_a_bucket_full_of_other_things() -> None:
    channel = bucket(
        "readme.conda",  # in no subdir
        "Conda/Default/linux-64/a-1-0.conda",
        "Conda/Default/linux-64/b-1-0.tar.bz2",
        "Conda/Default/noarch/a-1-0.conda",
        "backup/2024/linux-64.tar.bz2",
        "build-cache/x.conda",
        "logs/2024/01/01.txt",
        "notes/linux-64/readme.md",
        "team//linux-64/a-1-0.conda",  # a URL cannot ask for it
        "win-64/a-1-0.conda",
    )
    assert found(discovery(channel)) == [
        Subdir("Conda/Default", "linux-64"),
        Subdir("Conda/Default", "noarch"),
        Subdir("", "build-cache"),
        Subdir("", "win-64"),
    ]


@pytest.mark.parametrize("stray", [None, "a-1-0.conda", "my-1-0.conda", "z-1-0.conda"])
def test_a_channel_may_be_named_like_a_subdir_and_hold_packages_itself(stray: str | None) -> None:
    channel = bucket("my-channel/linux-64/a-1-0.conda", "my-channel/noarch/a-1-0.conda")
    expected = {Subdir("my-channel", "linux-64"), Subdir("my-channel", "noarch")}
    if stray:
        channel.upload(f"my-channel/{stray}", b"")
        expected.add(Subdir("", "my-channel"))
    subdirs = found(discovery(channel))
    assert set(subdirs) == expected
    assert len(subdirs) == len(expected)


def test_channels_may_nest() -> None:
    channel = bucket(
        "a/linux-64/x-1-0.conda",
        "a/linux-64/b/noarch/x-1-0.conda",
        "a/linux-64/b/noarch/c/noarch/x-1-0.conda",
        "a/linux-64-old/noarch/x-1-0.conda",
        "noarch/x-1-0.conda",
    )
    assert set(found(discovery(channel))) == {
        Subdir("a", "linux-64"),
        Subdir("a/linux-64/b", "noarch"),
        Subdir("a/linux-64/b/noarch/c", "noarch"),
        Subdir("a/linux-64-old", "noarch"),
        Subdir("", "noarch"),
    }


def test_a_subdir_comes_with_the_packages_that_lie_directly_in_it() -> None:
    channel = bucket(
        "a/linux-64/x-1-0.conda",
        "a/linux-64/deeper/y-1-0.conda",
        "a/linux-64/noarch/z-1-0.conda",
        "a/linux-64/repodata.json",
        f"a/linux-64/shards/{DIGEST}.msgpack.zst",
        "a/linux-64/x-2-0.tar.bz2",
        "a/linux-64/zz-1-0.conda",
    )
    listings = {it.subdir: it.listing for it in discovery(channel).walk(Cursor()) if it.subdir}
    for subdir in (Subdir("a", "linux-64"), Subdir("a/linux-64", "noarch")):
        listing, other = listings[subdir], list_subdir(channel, subdir)
        assert listing
        assert (listing.names, listing.package_count) == (other.names, other.package_count)
    assert sorted(list_subdir(channel, Subdir("a", "linux-64")).names) == ["x", "zz"]


def test_shards_are_not_listed_nor_is_anything_listed_twice() -> None:
    channel = MemoryStore(page_size=10)
    for number in range(25):
        channel.upload(f"c/noarch/a-{number}-0.conda", b"")
        channel.upload(f"c/noarch/shards/{number:064x}.msgpack.zst", b"")
        channel.upload(f"c/noarch/z-{number}-0.conda", b"")
        channel.upload(f"others/{number}", b"")
    assert found(discovery(channel)) == [Subdir("c", "noarch")]
    assert channel.operations() == [("ListObjectsV2", "")] * (3 + 5)


def test_a_shard_of_no_subdir_and_what_is_no_shard_are_keys_like_any_other() -> None:
    channel = bucket(
        f"backup/shards/{DIGEST}.msgpack.zst",
        "backup/shards/noarch/a-1-0.conda",
        "noarch/shards/linux-64/a-1-0.conda",
        "noarch/shards/readme",
    )
    assert found(discovery(channel)) == [
        Subdir("backup/shards", "noarch"),
        Subdir("noarch/shards", "linux-64"),
    ]


def test_a_subdir_without_packages_is_found_by_its_head_and_then_by_what_is_staged() -> None:
    channel = bucket("a/noarch/x-1-0.conda", f"b/noarch/shards/{DIGEST}.msgpack.zst")
    full, empty = Subdir("a", "noarch"), Subdir("b", "noarch")
    staged, root = Subdir("c/d", "noarch"), Subdir("", "linux-64")
    fresh = Subdir("a", "osx-64")
    channel.upload(fresh.file_key("x-1-0.conda"), b"")
    state = bucket(
        fresh.staging_key("x-1-0.conda", "1"),
        full.head_key,
        empty.head_key,
        root.staging_key("x-1-0.conda", "1"),
        full.staging_key("x-1-0.conda", "1"),
        empty.staging_key("x-1-0.conda", "1"),
        staged.staging_key("x-1-0.conda", "1"),
        staged.staging_key("x-1-0.conda", "2"),
        "heads/stray",
        "staging/stray",
    )
    assert found(discovery(channel, state)) == [full, fresh, empty, root, staged]
    resumed = [Cursor(phase=Phase.HEADS), Cursor(phase=Phase.STAGING), Cursor(phase=None)]
    assert [found(discovery(channel, state), cursor) for cursor in resumed] == [
        [empty, root, staged],
        [root, staged],
        [],
    ]


def test_only_subdirs_below_the_prefixes_are_found_and_nothing_else_is_listed() -> None:
    keys = [f"{channel}/noarch/x-1-0.conda" for channel in ("a", "ab", "b", "b/c", "d")]
    state = bucket(
        *(Subdir(one, "linux-64").head_key for one in ("a", "b", "d")),
        *(Subdir(one, "osx-64").staging_key("x-1-0.conda", "1") for one in ("a", "b", "d")),
    )
    channel = bucket(*keys)
    some = discovery(channel, state, prefixes=("b/", "ab", "b/c/"))
    assert found(some) == [
        Subdir("ab", "noarch"),
        Subdir("b/c", "noarch"),
        Subdir("b", "noarch"),
        Subdir("b", "linux-64"),
        Subdir("b", "osx-64"),
    ]
    listed = [key for operation, key in channel.operations()]
    assert listed == ["ab", "b/", "b/linux-64/", "b/osx-64/"]


@pytest.mark.parametrize("keys_per_tick", [1, 1000])
def test_a_walk_below_prefixes_goes_on_with_the_prefixes_that_are_left(
    keys_per_tick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", keys_per_tick)
    channel = bucket(*(f"{one}/noarch/x-1-0.conda" for one in "abcd"))
    left: list[list[Subdir]] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        one = discovery(channel, prefixes=("a/", "b/", "d/"))
        stop = next((it for it in one.walk(cursor) if it.subdir), None)
        cursor = stop.resume if stop else None
        if cursor:
            left.append(found(discovery(channel, prefixes=("a/", "b/", "d/")), cursor))
    b, d = Subdir("b", "noarch"), Subdir("d", "noarch")
    assert left == [[b, d], [d], []]


def test_a_walk_through_other_things_can_be_interrupted_every_so_many_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", 2)
    channel = bucket("log/1", "log/2", "log/3", "log/4", "log/5")
    state = bucket(*(f"heads/{number}" for number in range(5)))
    assert list(discovery(channel, state).walk(Cursor())) == [
        DiscoveredSubdir(Cursor(phase=Phase.PACKAGES, after="log/2")),
        DiscoveredSubdir(Cursor(phase=Phase.PACKAGES, after="log/4")),
        DiscoveredSubdir(Cursor(phase=Phase.HEADS, after="heads/1")),
        DiscoveredSubdir(Cursor(phase=Phase.HEADS, after="heads/3")),
    ]


def test_what_a_walk_has_found_it_does_not_look_at_again() -> None:
    channel = bucket("a/noarch/x-1-0.conda", "b/noarch/x-1-0.conda")
    state = bucket(
        Subdir("a", "noarch").head_key,
        Subdir("a", "noarch").staging_key("x-1-0.conda", "1"),
        Subdir("b", "noarch").staging_key("x-1-0.conda", "1"),
        Subdir("c", "noarch").head_key,
        Subdir("c", "noarch").staging_key("x-1-0.conda", "1"),
    )
    assert [one.name for one in found(discovery(channel, state))] == ["noarch"] * 3
    assert channel.operations() == [("ListObjectsV2", ""), ("ListObjectsV2", "c/noarch/")]
    assert {operation for operation, _ in state.operations()} == {"ListObjectsV2"}


def test_a_walk_that_is_taken_up_again_asks_only_for_the_subdirs_that_it_is_in() -> None:
    channel = bucket("team/linux-64/x-1-0.conda", "team/linux-64/y-1-0.conda", "z")
    assert found(discovery(channel), Cursor(after="team/linux-64/x-1-0.conda")) == []
    assert channel.operations() == [
        ("ListObjectsV2", "team/linux-64/"),
        ("ListObjectsV2", ""),
    ]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("a", [Subdir("a", "noarch"), Subdir("a", "linux-64"), Subdir("a", "osx-64")]),
        ("a/b", [Subdir("a/b", "noarch")]),
        ("", [Subdir("", "noarch"), Subdir("", "win-64")]),
        ("none", []),
    ],
)
def test_one_channel_can_be_looked_for(only: str, expected: list[Subdir]) -> None:
    channel = bucket("a/noarch/x-1-0.conda", "a/b/noarch/x-1-0.conda", "noarch/x-1-0.conda")
    state = bucket(
        Subdir("a", "linux-64").head_key,
        Subdir("", "win-64").head_key,
        Subdir("a", "osx-64").staging_key("x-1-0.conda", "1"),
        Subdir("aa", "osx-64").staging_key("x-1-0.conda", "1"),
    )
    assert found(discovery(channel, state, only=only)) == expected
    folder = f"{only}/" if only else ""
    assert all(key.startswith(folder) for _, key in channel.operations())


NESTED = [
    "a/linux-64/a-1-0.conda",
    "a/linux-64/b/noarch/b-1-0.conda",
    "a/linux-64/b/noarch/c-1-0.conda",
    "a/linux-64/b/other",
    "a/linux-64/c-1-0.conda",
    "a/linux-64/repodata.json",
    f"a/linux-64/shards/{DIGEST}.msgpack.zst",
    "a/linux-64/z/noarch/x-1-0.conda",
    "a/noarch/repodata.json",
    "a/noarch/x-1-0.conda",
    "my-channel/linux-64/x-1-0.conda",
    "my-channel/m-1-0.conda",
    "my-channel/noarch/x-1-0.conda",
    "my-channel/z",
    "y",
    "z",
]


def test_a_walk_tells_of_index_files_before_and_behind_the_packages_of_a_folder() -> None:
    channel = bucket(
        "a/linux-64/patch_instructions.json",
        "a/linux-64/q-1-0.conda",
        "a/linux-64/q/noarch/repodata.json",
        "a/linux-64/q/noarch/x-1-0.conda",
        "a/linux-64/repodata.json.bz2",
        "a/linux-64/somebody.json",
    )
    found = {
        one.subdir: one.listing.index_files
        for one in discovery(channel, bucket()).walk(Cursor())
        if one.subdir and one.listing
    }
    outer = Subdir("a", "linux-64")
    assert {subdir: set(files) for subdir, files in found.items()} == {
        outer: {"patch_instructions.json", "repodata.json.bz2"},
        Subdir("a/linux-64/q", "noarch"): {"repodata.json"},
    }
    assert list_subdir(channel, outer).index_files == found[outer]


@pytest.mark.parametrize("keys_per_tick", [1, 2, 3, 1000])
def test_each_subdir_is_found_once_with_all_its_packages_wherever_the_walk_stops(
    keys_per_tick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", keys_per_tick)
    channel, empty = bucket(*NESTED), Subdir("e", "noarch")
    state = bucket(empty.head_key, Subdir("f", "noarch").staging_key("x-1-0.conda", "1"))
    whole = [it for it in discovery(channel, state).walk(Cursor()) if it.subdir]
    expected = {it.subdir: it.listing.names if it.listing else {} for it in whole if it.subdir}
    assert len(whole) == len(expected) == 9
    cursor: Cursor | None = Cursor()
    got: list[Subdir] = []
    steps = 0
    while cursor is not None:
        steps += 1
        assert steps < 100
        for left in cursor.unfinished:
            got.append(left.subdir)
            assert list_subdir(channel, left.subdir).names == expected[left.subdir]
        stop = next(discovery(channel, state).walk(cursor), None)
        if stop and stop.subdir:
            assert (stop.listing.names if stop.listing else {}) == expected[stop.subdir]
            got.append(stop.subdir)
        cursor = stop.resume if stop else None
    assert sorted(got) == sorted(expected)


def test_a_stop_inside_of_a_subdir_leaves_it_to_be_begun_anew() -> None:
    channel = bucket("a-b/l-64/noarch/x-1-0.conda", "a-b/l-64/a-1-0.conda", "a-b/a-1-0.conda")
    outer, middle = Subdir("", "a-b"), Subdir("a-b", "l-64")
    stop = next(discovery(channel).walk(Cursor()))
    assert stop == DiscoveredSubdir(
        Cursor(after="a-b/l-64/noarch0", unfinished=(Unfinished(middle), Unfinished(outer))),
        Subdir("a-b/l-64", "noarch"),
        stop.listing,
    )


MISPLACED = (
    "a/linux-64/my x-1-0.conda",
    "a/linux-64/old/x-1-0.conda",
    "a/linux64/x-1-0.conda",
    "a/linux64/y-1-0.conda",
    "a/x-1-0.conda",
    "my team/linux-64/x-1-0.conda",
    "z.conda",
)


def bucket_with_misplaced_files() -> MemoryStore:
    return bucket(
        *MISPLACED,
        "a/linux-64/b/noarch/x-1-0.conda",
        "a/linux-64/x-1-0.conda",
        "a/linux-64/z-1-0.conda",
        f"a/linux-64/shards/{DIGEST}.msgpack.zst",
        "a/noarch/x-1-0.conda",
        "a/readme.md",
    )


def misplaced(one: Discovery) -> list[str]:
    return sorted(example.key for files in one.misplaced.files for example in files.examples)


def test_a_walk_counts_what_ends_like_a_package_and_is_where_none_is() -> None:
    channel = bucket_with_misplaced_files()
    one = discovery(channel)
    found(one)
    assert misplaced(one) == sorted(MISPLACED)
    assert one.misplaced.count == len(MISPLACED)
    assert [operation for operation, _ in channel.operations()] == ["ListObjectsV2"] * 2


@pytest.mark.parametrize("stop_check", [1, 2, 3, 1000])
def test_wherever_a_walk_is_interrupted_each_misplaced_file_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, stop_check: int
) -> None:
    monkeypatch.setattr(discover, "KEYS_PER_STOP_CHECK", stop_check)
    channel = bucket_with_misplaced_files()
    whole = [it.resume for it in discovery(channel).walk(Cursor())]
    for stop in range(len(whole)):
        first, second = discovery(channel), discovery(channel)
        walk = first.walk(Cursor())
        for _ in range(stop + 1):
            resume = next(walk).resume
        found(second, resume)
        assert sorted(misplaced(first) + misplaced(second)) == sorted(MISPLACED), stop


@pytest.mark.parametrize(
    ("prefixes", "only", "counted"),
    [
        (("a/",), None, MISPLACED[:5]),
        (("a/linux64/", "my"), None, (*MISPLACED[2:4], MISPLACED[5])),
        (("",), "a", MISPLACED[:5]),
        (("a/linux64/",), "a", MISPLACED[2:4]),
        (("b/",), None, ()),
    ],
)
def test_nothing_is_said_of_what_is_outside_of_the_prefixes(
    prefixes: tuple[str, ...], only: str | None, counted: tuple[str, ...]
) -> None:
    one = discovery(bucket_with_misplaced_files(), prefixes=prefixes, only=only)
    found(one)
    assert misplaced(one) == sorted(counted)


def test_a_channel_with_a_space_that_an_earlier_sluice_accepted_is_left_alone() -> None:
    spaced = Subdir("my team", "linux-64")
    channel = bucket(spaced.file_key("x-1-0.conda"), "a/noarch/x-1-0.conda")
    state = bucket(spaced.head_key, spaced.staging_key("x-1-0.conda", "1"))
    assert found(discovery(channel, state)) == [Subdir("a", "noarch")]
    channel.remove(spaced.file_key("x-1-0.conda"))
    assert found(discovery(channel, state)) == [Subdir("a", "noarch")]
