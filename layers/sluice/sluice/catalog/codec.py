"""The encoding of trees and leaves: msgpack in zstd, the same bytes for the same content."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, TypeVar

import msgpack
import msgspec

from sluice import zstd
from sluice.errors import DECODE_ERRORS, Corrupt, TooNew

FORMAT = 1
"""The format of heads, commits, trees and leaves.  Older ones are read, newer ones are refused."""

S = TypeVar("S", bound=msgspec.Struct)


def content_digest(body: bytes) -> str:
    """The name of some bytes: their hex SHA-256."""
    return sha256(body).hexdigest()


def pack_struct(content: msgspec.Struct) -> bytes:
    """Serialize for storage.  Keys of mappings are sorted."""
    plain = msgspec.to_builtins(content, builtin_types=(bytes,), order="deterministic")
    return zstd.compress_private(pack_plain(plain))


def pack_plain(content: Any) -> bytes:
    """Serialize plain values, which are already in their final order, as msgpack."""
    packed: bytes = msgpack.packb(content)
    return packed


def unpack_struct(body: bytes, expected: type[S], *, what: str) -> S:
    """Parse the result of ``pack_struct``; raises ``TooNew`` and ``Corrupt``, naming ``what``."""
    try:
        plain = msgpack.unpackb(zstd.decompress(body))
        check_format(plain, what=what)
        return msgspec.convert(plain, expected)
    except (*DECODE_ERRORS, ValueError, msgpack.UnpackException) as error:
        raise Corrupt(f"{what}: {error}") from error


def unpack_json(body: bytes, expected: type[S], *, what: str) -> S:
    """Parse a head or a commit; raises ``TooNew`` and ``Corrupt``, which name ``what``."""
    try:
        plain = msgspec.json.decode(body)
        check_format(plain, what=what)
        return msgspec.convert(plain, expected)
    except DECODE_ERRORS as error:
        raise Corrupt(f"{what}: {error}") from error


def check_format(plain: Any, *, what: str) -> None:
    """Raise ``TooNew`` for a newer format."""
    match plain:
        case {"format": int(version)} if version > FORMAT:
            raise TooNew(f"{what} has format {version}, this sluice knows up to {FORMAT}")
        case {"format": int()}:
            return
    raise Corrupt(f"{what} does not say its format")
