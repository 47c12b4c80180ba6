"""Where the fuzzer starts: small files of every kind that the reader tells apart.

``python -m tests.fuzz.seeds`` writes them into the corpus again, after a change here.
"""

from __future__ import annotations

import bz2
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from sluice.conda.record_fields import FIELD_RULES
from tests.support.package_archives import (
    FLAGS,
    HEADER_OFFSET,
    INDEX,
    SIZE,
    STEM,
    Entry,
    index_entry,
    members,
    tar,
    tar_bz2,
    with_directory_field,
    zipped,
    zipped_as_stream,
    zipped_as_zip64,
    zst,
)

Seeds = Iterator[tuple[str, bytes]]
"""Names and contents."""

CORPUS = Path(__file__).parent / "corpus"
DICTIONARY = Path(__file__).parent / "tokens.dict"

_BESIDE = (
    Entry("info/about.json", b'{"summary": "s", "license": "MIT", "tags": ["a"]}'),
    Entry("info/paths.json", b'{"paths": [{"_path": "bin/.a-post-link.sh"}]}'),
    Entry("info/run_exports.json", b'{"weak": ["a >=1"], "strong": []}'),
)
_INFO = f"info-{STEM}.tar.zst"
_INFO_TAR = tar([index_entry(), *_BESIDE])
_FULL_INDEX = dict(INDEX) | {
    "arch": "x86_64",
    "constrains": ["a <2"],
    "extra_depends": {},
    "features": "mkl",
    "legacy_bz2_md5": "0" * 32,
    "license": "MIT",
    "noarch": "python",
    "purls": ["pkg:pypi/a@1?x=y#z"],
    "run_exports": {"weak": ["a"]},
    "timestamp": 1_700_000_000_000,
    "track_features": ["a", "b"],
    "unknown": {"a": [1e300, -(2**63), 2**64 - 1, None, True, "\u00e9\U0001f600"]},
}
_REVISION_3 = {
    "depends": ["a[extras=[b]]", "c[build='^d[0-9]+', when=\"e\"]"],
    "extra_depends": {"f": ["g"]},
    "flags": ["h", "i:j"],
    "repodata_revision": 3,
    "schema_version": 3,
}


def _conda() -> Seeds:
    info = zst(_INFO_TAR)
    whole = members(info)
    good = zipped(whole)
    yield "good", good
    yield "info-first", zipped(reversed(whole))
    yield "stream", zipped_as_stream(whole)
    yield "zip64", zipped_as_zip64(whole)
    yield "comment", zipped(whole, comment=b"c" * 300)
    yield "prepended", b"#!/bin/sh\n" + good
    yield "deflated", zipped(whole, compression=zipfile.ZIP_DEFLATED)
    yield "encrypted", with_directory_field(good, _INFO, FLAGS, "<H", 1)
    yield "overlapping", with_directory_field(good, _INFO, HEADER_OFFSET, "<L", 0)
    yield "negative", with_directory_field(good, _INFO, SIZE, "<L", 2**32 - 1)
    yield "misnamed", zipped(members(info, stem="other-1-0"))
    yield "cut", good[: len(good) // 2]
    yield "no-info", zipped(whole[:2])


def _tar_bz2() -> Seeds:
    plain = tar([index_entry(), *_BESIDE, Entry("lib/a", b"payload")])
    packed = bz2.compress(plain)
    yield "good", packed
    yield "streams", bz2.compress(plain[:700]) + bz2.compress(plain[700:])
    yield "garbage-behind", packed + b"garbage"
    yield "cut", packed[:-5]
    yield "empty-streams", bz2.compress(b"") * 3 + packed
    yield "payload-first", tar_bz2(Entry("lib/a", b"payload"), index_entry())


def _zstd() -> Seeds:
    info = zst(_INFO_TAR)
    yield "good", info
    yield "frames", zst(_INFO_TAR[:600]) + zst(_INFO_TAR[600:])
    yield "skippable", b"\x50\x2a\x4d\x18\x04\0\0\0skip" + info
    yield "cut", info[:-3]
    yield "window", b"\x28\xb5\x2f\xfd\0\x88" + info[6:]  # asks for 128 MiB
    yield "zeros", zst(bytes(100_000))


def _tar() -> Seeds:
    odd = [
        Entry("./info//index.json", json.dumps(INDEX).encode()),
        Entry("info/l", kind=tarfile.SYMTYPE, target="index.json"),
        Entry("x" * 120, b"long"),
        Entry("../../etc/passwd", b"traversal"),
        Entry("d/", kind=tarfile.DIRTYPE),
    ]
    for style, name in (
        (tarfile.USTAR_FORMAT, "ustar"),
        (tarfile.GNU_FORMAT, "gnu"),
        (tarfile.PAX_FORMAT, "pax"),
    ):
        entries = odd if style != tarfile.USTAR_FORMAT else [odd[0], odd[1], *odd[3:]]
        yield name, _unclosed([*entries, *_BESIDE], style=style)
    yield "pax-path", _unclosed([Entry("x", b"{}", pax={"path": "info/index.json"})])
    yield "pax-size", _unclosed([Entry("info/a", b"{}", pax={"size": "2"}), index_entry()])
    yield "twice", _unclosed([index_entry(), index_entry()])
    yield "link", _unclosed([Entry("info/index.json", kind=tarfile.LNKTYPE, target="a")])
    yield "payload-first", _unclosed([Entry("lib/a", b"payload"), index_entry()])


def _index_json() -> Seeds:
    yield "least", json.dumps(INDEX).encode()
    yield "full", json.dumps(_FULL_INDEX, ensure_ascii=False).encode()
    yield "escaped", json.dumps(_FULL_INDEX).encode()
    yield "surrogate", rb'{"name": "\ud800", "x\udfff": "\u0000\u001b[2J"}'
    yield "key-twice", b'{"name": "a", "name": "b"}'
    yield "nan", b'{"x": [NaN, Infinity, 1e999, -0.0]}'
    yield "deep", b'{"x":' + b"[" * 40 + b"]" * 40 + b"}"
    yield "wide-integer", b'{"build_number": 18446744073709551616}'
    yield "revision-3", json.dumps(dict(INDEX) | _REVISION_3).encode()
    yield "revision-4", json.dumps(dict(INDEX) | {"schema_version": 4}).encode()
    yield "revision-0", json.dumps(dict(INDEX) | _REVISION_3 | {"repodata_revision": 0}).encode()
    yield "condition-outdated", json.dumps(dict(INDEX) | {"depends": ["a; if b"]}).encode()
    yield "utf-16", "{}".encode("utf-16")


def _beside_index_json() -> Seeds:
    for entry in _BESIDE:
        yield Path(entry.name).stem, entry.data
    yield "list", b'["a >=1"]'
    yield (
        "prefixes",
        (
            b'{"paths": [{"_path": "etc/conda/activate.d/a", "file_mode": "binary", '
            b'"prefix_placeholder": "/p"}]}'
        ),
    )


def _filename() -> Seeds:
    yield "good", STEM.encode()
    yield "upper-case", b"Demo-1.0-h1_0"
    yield "epoch-and-local", b"a.b_c-1!2.0_rc1+cpu.3-h1_0"
    yield "traversal", b"..-..-.."
    yield "controls", b"a\n{}\x1b[2J\x7f\xe2\x80\xae-%(x)s-0"
    yield "long", b"a" * 70 + b"-1-0"


def _unclosed(entries: Iterable[Entry], *, style: int = tarfile.PAX_FORMAT) -> bytes:
    """Make a tar without the zeros that close it, which readers forgive."""
    archive = tar(entries, style=style)
    blocks = -(-len(archive.rstrip(b"\0")) // tarfile.BLOCKSIZE)
    return archive[: blocks * tarfile.BLOCKSIZE]


SEEDS: Mapping[str, Callable[[], Seeds]] = {
    "conda": _conda,
    "tar-bz2": _tar_bz2,
    "zstd": _zstd,
    "tar": _tar,
    "index-json": _index_json,
    "beside-index-json": _beside_index_json,
    "filename": _filename,
}
"""By layer."""


def tokens() -> str:
    """What the fuzzer tries beside bytes: keys that mean something, and marks of formats."""
    texts = [
        *FIELD_RULES,
        "run_exports",
        "_path",
        "file_mode",
        "prefix_placeholder",
        "weak",
        "strong",
    ]
    texts += ["pkg:pypi/a", "[extras=[a]]", "; if a", "info/index.json", "path=", "size=", "null"]
    marks = ["PK\\x03\\x04", "PK\\x01\\x02", "PK\\x05\\x06", "PK\\x06\\x06", "PK\\x07\\x08"]
    marks += ["BZh9", "\\x31\\x41\\x59\\x26\\x53\\x59", "\\x28\\xb5\\x2f\\xfd", "ustar\\x00"]
    return "".join(f'"{token}"\n' for token in [*texts, *marks])


def write() -> None:
    """Write the corpus; what the fuzzer found stays."""
    for layer, seeds in SEEDS.items():
        folder = CORPUS / layer
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in seeds():
            (folder / name).write_bytes(content)
    DICTIONARY.write_text(tokens())


if __name__ == "__main__":
    write()
