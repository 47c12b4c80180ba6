"""Package files taken apart: builders for archives that no real builder would write.

For packages as they should be, with everything in its place, see ``channel.py``.
"""

from __future__ import annotations

import bz2
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import zstandard

from sluice.limits import STREAM_CHUNK_BYTES
from sluice.storage.object_store import ETag, ObjectInfo, OpenObject
from testkit.memory_store import MemoryStore, Request

INDEX: Mapping[str, Any] = {
    "name": "demo",
    "version": "1.0",
    "build": "h1_0",
    "build_number": 0,
    "depends": ["python >=3.11"],
    "subdir": "noarch",
}
STEM = "demo-1.0-h1_0"
CONDA = f"{STEM}.conda"
TAR_BZ2 = f"{STEM}.tar.bz2"

# Offsets of APPNOTE.TXT 4.3: in an entry of the central directory ...
FLAGS, METHOD = 8, 10
PACKED_SIZE, SIZE, HEADER_OFFSET = 20, 24, 42
_ENTRY_BYTES = 46
# ... and in the record at the end.
_END_DIRECTORY_OFFSET = 16
_END_BYTES = 22
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a tar archive."""

    name: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    pax: Mapping[str, str] = field(default_factory=dict)


def index_entry(index: Mapping[str, Any] = INDEX) -> Entry:
    return Entry("info/index.json", json.dumps(index).encode())


def tar(entries: Iterable[Entry], *, style: int = tarfile.PAX_FORMAT) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=style) as archive:
        for entry in entries:
            header = tarfile.TarInfo(entry.name)
            header.size, header.type, header.linkname = len(entry.data), entry.kind, entry.target
            header.pax_headers = dict(entry.pax)
            archive.addfile(header, io.BytesIO(entry.data))
    return body.getvalue()


def tar_bz2(*entries: Entry) -> bytes:
    return bz2.compress(tar(entries))


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


def conda(
    *entries: Entry, payload: bytes = b"payload", before: Iterable[tuple[str, bytes]] = ()
) -> bytes:
    """A ``.conda`` named ``CONDA`` whose info archive, behind the payload, has ``entries``."""
    return zipped([*before, *members(zst(tar(entries)), payload=payload)])


def members(
    info: bytes, *, payload: bytes = b"payload", stem: str = STEM
) -> list[tuple[str, bytes]]:
    return [
        ("metadata.json", b'{"conda_pkg_format_version": 2}'),
        (f"pkg-{stem}.tar.zst", payload),
        (f"info-{stem}.tar.zst", info),
    ]


def zipped(
    files: Iterable[tuple[str, bytes]],
    *,
    compression: int = zipfile.ZIP_STORED,
    comment: bytes = b"",
) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compression) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
        archive.comment = comment
    return body.getvalue()


def zipped_as_stream(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip written to a pipe: sizes and checksums follow the data (data descriptors)."""
    body = _Pipe()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in files:
            with archive.open(zipfile.ZipInfo(name), "w") as member:
                member.write(data)
    return body.getvalue()


def zipped_as_zip64(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip whose local headers are those of members beyond 4 GiB, as rattler-build writes."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in files:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(data)
    return body.getvalue()


def with_directory_field(archive: bytes, name: str, offset: int, form: str, value: int) -> bytes:
    """Change one number in the central directory's entry of ``name``."""
    at = archive.rindex(name.encode()) - _ENTRY_BYTES
    assert archive[at : at + 4] == b"PK\1\2"
    changed = bytearray(archive)
    struct.pack_into(form, changed, at + offset, value)
    return bytes(changed)


class _Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


class HugeStore(MemoryStore):
    """A bucket with one ``.conda`` whose payload is zeros that are nowhere in memory."""

    KEY = f"noarch/{CONDA}"

    def __init__(self, payload: int, *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__()
        archive = conda(index_entry(), payload=b"")
        cut = archive.index(f"info-{STEM}".encode()) - _LOCAL_HEADER_BYTES
        for name, offset, value in (
            (f"pkg-{STEM}", PACKED_SIZE, payload),
            (f"pkg-{STEM}", SIZE, payload),
            (f"info-{STEM}", HEADER_OFFSET, cut + payload),
        ):
            archive = with_directory_field(archive, name, offset, "<L", value)
        end = len(archive) - _END_BYTES
        (directory,) = struct.unpack_from("<L", archive, end + _END_DIRECTORY_OFFSET)
        changed = bytearray(archive)
        struct.pack_into("<L", changed, end + _END_DIRECTORY_OFFSET, directory + payload)
        self._head, self._payload, self._tail = bytes(changed[:cut]), payload, bytes(changed[cut:])
        size = len(archive) + payload
        etag = ETag(f'"{"0" * 32}-103"')
        self.info = ObjectInfo(self.KEY, etag, size, 0, dict(metadata or {}), None, "AES256")

    @property
    def moved(self) -> int:
        """Bytes that were handed out."""
        return sum(request.received for request in self.requests)

    def head(self, key: str) -> ObjectInfo | None:
        self.requests.append(Request("HeadObject", key))
        return self.info

    @contextmanager
    def open(self, key: str, *, if_match: ETag | None = None) -> Iterator[OpenObject | None]:
        assert if_match in (None, self.info.etag)
        self.requests.append(Request("GetObject", key))
        yield OpenObject(self.info, self._chunks(self.requests[-1]))

    def read_range(self, key: str, start: int, length: int, *, if_match: ETag) -> bytes:
        assert if_match == self.info.etag
        self.requests.append(Request("GetObject", key, received=length))
        return self._bytes(start, length)

    def _chunks(self, request: Request) -> Iterator[bytes]:
        for start in range(0, self.info.size, STREAM_CHUNK_BYTES):
            chunk = self._bytes(start, min(STREAM_CHUNK_BYTES, self.info.size - start))
            request.received += len(chunk)
            yield chunk

    def _bytes(self, start: int, length: int) -> bytes:
        end = start + length
        tail = len(self._head) + self._payload
        zeros = max(0, min(end, tail) - max(start, len(self._head)))
        return (
            self._head[start:end]
            + bytes(zeros)
            + self._tail[max(0, start - tail) : max(0, end - tail)]
        )
