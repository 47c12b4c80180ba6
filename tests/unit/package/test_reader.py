from __future__ import annotations

import tracemalloc
from hashlib import md5, sha256

import pytest

from sluice.conda.digests import Digests
from sluice.errors import BadPackage, Changed, Unavailable
from sluice.limits import MIB, SMALL_PACKAGE_BYTES_MAX
from sluice.package.read_limits import FULL_READ, ReadLimits
from sluice.package.reader import PackageContents, PackageRead, read_package
from testkit.memory_store import LostAnswer, MemoryStore
from tests.support.package_archives import (
    CONDA,
    INDEX,
    TAR_BZ2,
    Entry,
    HugeStore,
    conda,
    index_entry,
    members,
    tar,
    tar_bz2,
    zipped,
    zst,
)

CONDA_KEY = f"ch/noarch/{CONDA}"
TAR_BZ2_KEY = f"ch/noarch/{TAR_BZ2}"
CLAIMS = {"package-sha256": "a" * 64, "package-md5": "b" * 32}
GIB = 1024 * MIB

INFO = [
    index_entry(),
    Entry("info/about.json", b'{"home": "https://example.org"}'),
    Entry("info/run_exports.json", b'{"weak": ["demo >=1"]}'),
]
NOISE = b"".join(sha256(bytes([n % 256, n // 256])).digest() for n in range(40_000)) * 4
SMALL_CONDA = conda(*INFO)
LARGE_CONDA = conda(*INFO, payload=NOISE)
SMALL_TAR_BZ2 = tar_bz2(*INFO, Entry("lib/a", b"payload"))
LARGE_TAR_BZ2 = tar_bz2(*INFO, Entry("lib/a", NOISE))
assert len(LARGE_CONDA) > SMALL_PACKAGE_BYTES_MAX < len(LARGE_TAR_BZ2)


def read_digests(body: bytes) -> Digests:
    return Digests(sha256(body).hexdigest(), md5(body).hexdigest(), "read", "read")  # noqa: S324


def contents(digests: Digests) -> PackageContents:
    return PackageContents(
        index=dict(INDEX),
        run_exports={"weak": ["demo >=1"]},
        channeldata={"home": "https://example.org"},
        digests=digests,
    )


def read(
    store: MemoryStore,
    key: str,
    limits: ReadLimits = FULL_READ,
    *,
    hint: int | None = None,
    trust: bool = True,
) -> PackageRead | None:
    return read_package(store, key, limits, size_hint=hint, trust_uploader_digests=trust)


def operations(store: MemoryStore) -> list[str]:
    return [operation for operation, _ in store.operations()]


def received(store: MemoryStore) -> int:
    return sum(request.received for request in store.requests)


@pytest.mark.parametrize(("key", "body"), [(CONDA_KEY, SMALL_CONDA), (TAR_BZ2_KEY, SMALL_TAR_BZ2)])
def test_a_small_package_is_one_get(key: str, body: bytes) -> None:
    store = MemoryStore()
    info = store.upload(key, body, metadata=CLAIMS)
    expected = PackageRead(info, contents(read_digests(body)))
    assert read(store, key, hint=len(body)) == expected
    assert operations(store) == ["GetObject"]


@pytest.mark.parametrize(
    "path",
    [
        "info/recipe/meta.yaml",
        "info/recipe/meta.yaml.rendered",
        "info/meta.yaml",
        "info/recipe/recipe.yaml",
        "info/recipe/rendered_recipe.yaml",
    ],
)
def test_a_recipe_is_not_read(path: str) -> None:
    """It may name what only the builder has, and its YAML costs more than all of the rest."""
    recipe = Entry(path, b"source:\n  url: /home/me/src.tar.gz\nabout:\n  home: https://other\n")
    bodies = {CONDA_KEY: conda(*INFO, recipe), TAR_BZ2_KEY: tar_bz2(*INFO, recipe)}
    for key, body in bodies.items():
        store = MemoryStore()
        info = store.upload(key, body)
        assert read(store, key) == PackageRead(info, contents(read_digests(body)))


@pytest.mark.parametrize(("key", "body"), [(CONDA_KEY, SMALL_CONDA), (TAR_BZ2_KEY, SMALL_TAR_BZ2)])
def test_a_small_package_of_unknown_size_is_head_and_get(key: str, body: bytes) -> None:
    store = MemoryStore()
    info = store.upload(key, body)
    assert read(store, key) == PackageRead(info, contents(read_digests(body)))
    assert operations(store) == ["HeadObject", "GetObject"]


def test_a_large_conda_whose_digests_are_known_costs_its_tail() -> None:
    store = MemoryStore()
    info = store.upload(CONDA_KEY, LARGE_CONDA, metadata=CLAIMS, parts=2)
    digests = Digests("a" * 64, "b" * 32, "uploader", "uploader")
    found = read(store, CONDA_KEY, hint=len(LARGE_CONDA))
    assert found == PackageRead(info, contents(digests))
    assert operations(store) == ["HeadObject", "GetObject"]
    assert received(store) < MIB


def test_a_large_conda_with_info_in_front_costs_one_range_more() -> None:
    files = members(zst(tar(INFO)), payload=NOISE)
    store = MemoryStore()
    info = store.upload(CONDA_KEY, zipped([files[2], *files[:2]]), metadata=CLAIMS, parts=2)
    digests = Digests("a" * 64, "b" * 32, "uploader", "uploader")
    assert read(store, CONDA_KEY, hint=info.size) == PackageRead(info, contents(digests))
    assert operations(store) == ["HeadObject", "GetObject", "GetObject"]
    assert received(store) < MIB


def test_what_s3_computed_spares_reading_too() -> None:
    store = MemoryStore()
    store.upload(CONDA_KEY, LARGE_CONDA, checksum=True)
    found = read(store, CONDA_KEY, hint=len(LARGE_CONDA), trust=False)
    known = read_digests(LARGE_CONDA)
    assert found is not None
    assert found.outcome == contents(Digests(known.sha256, known.md5, "s3", "etag"))
    assert received(store) < MIB


@pytest.mark.parametrize("trust", [True, False])
def test_a_large_conda_without_digests_that_count_is_streamed_once(*, trust: bool) -> None:
    store = MemoryStore()
    info = store.upload(CONDA_KEY, LARGE_CONDA, metadata={} if trust else CLAIMS)
    found = read(store, CONDA_KEY, hint=len(LARGE_CONDA), trust=trust)
    assert found == PackageRead(info, contents(read_digests(LARGE_CONDA)))
    assert operations(store) == ["HeadObject", "GetObject", "GetObject"]


def test_a_large_tar_bz2_is_streamed_once_for_info_and_digests() -> None:
    store = MemoryStore()
    info = store.upload(TAR_BZ2_KEY, LARGE_TAR_BZ2)
    found = read(store, TAR_BZ2_KEY, hint=len(LARGE_TAR_BZ2))
    assert found == PackageRead(info, contents(read_digests(LARGE_TAR_BZ2)))
    assert operations(store) == ["HeadObject", "GetObject"]
    assert received(store) == len(LARGE_TAR_BZ2)


def test_a_large_tar_bz2_whose_digests_are_known_is_left_behind_info() -> None:
    store = MemoryStore()
    info = store.upload(TAR_BZ2_KEY, LARGE_TAR_BZ2, metadata=CLAIMS, parts=2)
    digests = Digests("a" * 64, "b" * 32, "uploader", "uploader")
    found = read(store, TAR_BZ2_KEY, hint=len(LARGE_TAR_BZ2))
    assert found == PackageRead(info, contents(digests))
    assert received(store) < len(LARGE_TAR_BZ2) / 2


@pytest.mark.parametrize(("key", "body"), [(CONDA_KEY, LARGE_CONDA), (TAR_BZ2_KEY, LARGE_TAR_BZ2)])
def test_a_package_larger_than_the_event_said_is_not_read_whole_into_memory(
    key: str, body: bytes
) -> None:
    store = MemoryStore()
    info = store.upload(key, body, metadata=CLAIMS, parts=2)
    digests = Digests("a" * 64, "b" * 32, "uploader", "uploader")
    assert read(store, key, hint=100) == PackageRead(info, contents(digests))
    assert operations(store)[:1] == ["GetObject"]
    assert "HeadObject" not in operations(store)
    assert store.requests[0].received == 0


def test_a_package_smaller_than_the_event_said_is_read_all_the_same() -> None:
    store = MemoryStore()
    info = store.upload(CONDA_KEY, SMALL_CONDA)
    expected = PackageRead(info, contents(read_digests(SMALL_CONDA)))
    assert read(store, CONDA_KEY, hint=10 * GIB) == expected


@pytest.mark.parametrize("hint", [None, 1, 10 * GIB])
def test_no_such_key_is_none(hint: int | None) -> None:
    assert read(MemoryStore(), CONDA_KEY, hint=hint) is None


@pytest.mark.parametrize("hint", [None, 1, 10 * GIB])
@pytest.mark.parametrize(
    ("key", "body"),
    [(CONDA_KEY, SMALL_CONDA), (CONDA_KEY, LARGE_CONDA), (TAR_BZ2_KEY, LARGE_TAR_BZ2)],
)
def test_an_archived_package_is_a_reject_with_its_identity(
    hint: int | None, key: str, body: bytes
) -> None:
    store = MemoryStore()
    info = store.upload(key, body, archived=True)
    found = read(store, key, hint=hint)
    assert found is not None
    assert found.info == info
    assert isinstance(found.outcome, BadPackage)
    assert found.outcome.code == "archived"


@pytest.mark.parametrize(
    ("key", "body", "code"),
    [
        (CONDA_KEY, b"", "empty-file"),
        (TAR_BZ2_KEY, b"", "empty-file"),
        (CONDA_KEY, b"x", "zip-invalid"),
        (TAR_BZ2_KEY, b"x", "bz2-invalid"),
        (CONDA_KEY, SMALL_TAR_BZ2, "zip-invalid"),
        (TAR_BZ2_KEY, SMALL_CONDA, "bz2-invalid"),
        (CONDA_KEY, LARGE_CONDA[:-1], "zip-invalid"),
        (TAR_BZ2_KEY, SMALL_TAR_BZ2[:-1], "truncated"),
        (TAR_BZ2_KEY, LARGE_TAR_BZ2[:-1], "truncated"),
        (TAR_BZ2_KEY, LARGE_TAR_BZ2[: -2 * MIB], "truncated"),
        (CONDA_KEY, conda(index_entry(), Entry("info/index.json", b"{}")), "info-member-duplicate"),
        (CONDA_KEY, conda(Entry("info/index.json", b"[]")), "index-json-invalid"),
    ],
)
def test_a_bad_package_is_a_reject_with_its_identity(key: str, body: bytes, code: str) -> None:
    store = MemoryStore()
    info = store.upload(key, body)
    found = read(store, key, hint=len(body))
    assert found is not None
    assert found.info == info
    assert isinstance(found.outcome, BadPackage)
    assert found.outcome.code == code
    assert key.rpartition("/")[2] in found.outcome.sentence
    assert found.outcome.__traceback__ is None


@pytest.mark.parametrize("after_requests", [1, 2])
@pytest.mark.parametrize("becomes", [LARGE_CONDA + b" ", None])
def test_a_package_overwritten_or_deleted_while_it_is_read_is_changed_not_mixed(
    after_requests: int, becomes: bytes | None
) -> None:
    store = MemoryStore()
    store.upload(CONDA_KEY, LARGE_CONDA)

    def meanwhile(_operation: str, _key: str) -> None:
        if len(store.requests) == after_requests:
            if becomes is None:
                store.remove(CONDA_KEY)
            else:
                store.upload(CONDA_KEY, becomes)

    store.after = meanwhile
    with pytest.raises(Changed):
        read(store, CONDA_KEY, hint=len(LARGE_CONDA))


def test_a_store_that_does_not_answer_is_no_reject() -> None:
    store = MemoryStore()
    store.upload(CONDA_KEY, LARGE_CONDA)

    def lost(operation: str, _key: str) -> None:
        if operation == "GetObject":
            raise LostAnswer

    store.before = lost
    with pytest.raises(Unavailable):
        read(store, CONDA_KEY, hint=len(LARGE_CONDA))


def test_a_gibibyte_whose_digests_are_known_moves_less_than_a_mebibyte() -> None:
    store = HugeStore(GIB, metadata=CLAIMS)
    found = read(store, store.KEY, hint=GIB)
    assert found is not None
    assert isinstance(found.outcome, PackageContents)
    assert store.moved < MIB
    assert len(store.requests) == 2


def test_a_large_package_is_streamed_with_a_few_chunks_in_memory() -> None:
    store = HugeStore(64 * MIB)
    tracemalloc.start()
    found = read(store, store.KEY, hint=64 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert isinstance(found.outcome, PackageContents)
    assert store.moved > 64 * MIB
    assert peak < 16 * MIB


def test_a_package_that_is_restored_while_it_is_read_is_read_again() -> None:
    store = MemoryStore()
    key = "demo/noarch/" + CONDA
    body = conda(index_entry())
    store.upload(key, body)
    store.archive(key, "GLACIER")

    def restore(operation: str, _key: str) -> None:
        if operation == "HeadObject":
            store.restore(key)

    store.before = restore
    read = read_package(store, key, FULL_READ, size_hint=len(body), trust_uploader_digests=True)
    assert read
    assert isinstance(read.outcome, PackageContents)
