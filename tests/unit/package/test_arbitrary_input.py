"""Whatever bytes lie under a package's name, the answer is contents or a ``BadPackage``."""

from __future__ import annotations

import bz2
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import BadPackage
from sluice.limits import JSON_DEPTH_MAX
from sluice.package.read_limits import FULL_READ
from sluice.package.reader import PackageContents, read_package
from testkit.memory_store import MemoryStore
from tests.support.package_archives import (
    CONDA,
    TAR_BZ2,
    Entry,
    conda,
    index_entry,
    members,
    tar,
    tar_bz2,
    zipped,
    zst,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KNOWN = st.sampled_from(["name", "version", "build", "depends", "subdir", "timestamp", "x"])
INDEXES = st.dictionaries(KNOWN, JSON)
GOOD_CONDA = conda(index_entry(), Entry("info/about.json", b'{"home": "x"}'))
GOOD_TAR = tar([index_entry(), Entry("info/paths.json", b'{"paths": []}')])


def outcome(filename: str, body: bytes) -> PackageContents | BadPackage:
    store = MemoryStore()
    store.upload(f"noarch/{filename}", body)
    found = read_package(
        store, f"noarch/{filename}", FULL_READ, size_hint=len(body), trust_uploader_digests=True
    )
    assert found is not None
    return found.outcome


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """Overwrite, cut out or insert a few bytes."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 8)))
        body = body[:start] + draw(st.binary(max_size=8)) + body[end:]
    return body


@given(st.binary(), st.sampled_from([CONDA, TAR_BZ2]))
def test_arbitrary_bytes_are_refused(body: bytes, filename: str) -> None:
    assert isinstance(outcome(filename, body), BadPackage)


@given(damaged(GOOD_CONDA))
def test_a_damaged_zip_is_contents_or_a_reject(body: bytes) -> None:
    outcome(CONDA, body)


@given(damaged(zst(GOOD_TAR)))
def test_a_damaged_info_archive_is_contents_or_a_reject(info: bytes) -> None:
    outcome(CONDA, zipped(members(info)))


@given(damaged(bz2.compress(GOOD_TAR)))
def test_a_damaged_bzip2_is_contents_or_a_reject(body: bytes) -> None:
    outcome(TAR_BZ2, body)


@given(damaged(GOOD_TAR))
def test_a_damaged_tar_is_contents_or_a_reject(body: bytes) -> None:
    outcome(TAR_BZ2, bz2.compress(body))


@given(st.binary(), st.sampled_from(["index", "about", "paths", "run_exports"]))
def test_arbitrary_files_of_info_are_contents_or_a_reject(data: bytes, name: str) -> None:
    others = [] if name == "index" else [index_entry()]
    found = outcome(CONDA, conda(*others, Entry(f"info/{name}.json", data)))
    assert isinstance(found, PackageContents if others else BadPackage) or data.strip()[:1] == b"{"


@given(INDEXES, INDEXES, INDEXES, INDEXES)
def test_any_index_json_is_read_back_whatever_lies_beside_it(
    index: dict[str, Any], about: dict[str, Any], paths: dict[str, Any], exports: dict[str, Any]
) -> None:
    entries = [
        Entry(f"info/{name}.json", json.dumps(value).encode())
        for name, value in (
            ("about", about),
            ("index", index),
            ("paths", {"paths": [paths]}),
            ("run_exports", exports),
        )
    ]
    for filename, body in ((CONDA, conda(*entries)), (TAR_BZ2, tar_bz2(*entries))):
        found = outcome(filename, body)
        assert isinstance(found, PackageContents)
        assert found.index == index


@given(st.integers(JSON_DEPTH_MAX, 2000), st.sampled_from(["[", '{"a":']))
def test_depth_is_refused_at_every_depth(levels: int, opening: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]
    body = '{"x":' + opening * levels + "1" + closing * levels + "}"
    found = outcome(CONDA, conda(Entry("info/index.json", body.encode())))
    assert isinstance(found, BadPackage)
    assert found.code == "index-json-too-deep"
