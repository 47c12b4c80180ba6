"""The encoding of what is stored: the same bytes for the same content, and a format per kind.

Each kind of object counts its own formats.  A new format of one kind leaves all others readable by
the releases before it, and is written only where the old one cannot say what must be said.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, TypeVar

import msgpack
import msgspec

from sluice import zstd
from sluice.errors import DECODE_ERRORS, Corrupt, TooLarge, TooNew
from sluice.limits import STORED_OBJECT_BYTES_MAX

S = TypeVar("S", bound=msgspec.Struct)


def content_digest(body: bytes) -> str:
    """The name of some bytes: their hex SHA-256."""
    return sha256(body).hexdigest()


def pack_struct(
    content: msgspec.Struct, *, what: str, bytes_max: int = STORED_OBJECT_BYTES_MAX
) -> bytes:
    """Serialize for storage.  Keys of mappings are sorted.  Raises ``TooLarge``."""
    plain = msgspec.to_builtins(content, builtin_types=(bytes,), order="deterministic")
    return compress_packed(pack_plain(plain), what=what, bytes_max=bytes_max)


def pack_plain(content: Any) -> bytes:
    """Serialize plain values, which are already in their final order, as msgpack."""
    packed: bytes = msgpack.packb(content)
    return packed


def compress_packed(packed: bytes, *, what: str, bytes_max: int = STORED_OBJECT_BYTES_MAX) -> bytes:
    """Compress for storage; raises ``TooLarge`` for more than ``bytes_max``, naming ``what``.

    Nothing is written that is larger than what is read again.
    """
    if len(packed) > bytes_max:
        raise TooLarge(f"{what} would have {len(packed):,} bytes; the limit is {bytes_max:,}")
    return zstd.compress_private(packed)


def unpack_struct(body: bytes, expected: type[S], *, newest: int, what: str) -> S:
    """Parse the result of ``pack_struct``; raises ``TooNew`` and ``Corrupt``, naming ``what``.

    ``newest``: the newest format of this kind that is read.
    """
    try:
        plain = msgpack.unpackb(zstd.decompress(body))
        check_format(plain, newest=newest, what=what)
        return msgspec.convert(plain, expected)
    except (*DECODE_ERRORS, ValueError, msgpack.UnpackException) as error:
        raise Corrupt(f"{what}: {error}") from error


def unpack_json(body: bytes, expected: type[S], *, newest: int, what: str) -> S:
    """Parse a JSON document; raises ``TooNew`` and ``Corrupt``, which name ``what``.

    ``newest``: the newest format of this kind that is read.
    """
    try:
        plain = msgspec.json.decode(body)
        check_format(plain, newest=newest, what=what)
        return msgspec.convert(plain, expected)
    except DECODE_ERRORS as error:
        raise Corrupt(f"{what}: {error}") from error


def check_format(plain: Any, *, newest: int, what: str) -> None:
    """Raise ``TooNew`` for a format above ``newest``, and ``Corrupt`` where none is given."""
    match plain:
        case {"format": int(version)} if version > newest:
            raise TooNew(
                f"{what} has format {version}, but this version of sluice reads formats up to "
                f"{newest}"
            )
        case {"format": int()}:
            return
    raise Corrupt(f"{what} has no format number")
