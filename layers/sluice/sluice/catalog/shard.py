"""The public shard of one package name (CEP 16, with CEP 21 and CEP 48)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice import zstd
from sluice.catalog.client_view import ClientView
from sluice.catalog.codec import pack_plain
from sluice.conda.names import split_by_archive
from sluice.conda.timestamps import EpochMs


def encode_shard(view: ClientView, *, at: EpochMs) -> bytes:
    """Serialize what clients see of one name; filenames sorted.

    Digests are bytes in shards.  Both package maps are always present, because py-rattler requires
    them.  ``at`` is a key that clients ignore.  It makes every shard's name unique, so garbage
    collection needs no lock.
    """
    packages, packages_conda = split_by_archive(
        {
            filename: _binary_record(record, view.run_exports.get(filename))
            for filename, record in view.records.items()
        }
    )
    content: dict[str, Any] = {
        "at": at,
        "packages": packages,
        "packages.conda": packages_conda,
        "removed": list(view.removed),
    }
    if view.v3:
        content["v3"] = {
            bucket: {
                stem: _binary_record(record, view.run_exports.get(f"{stem}.{bucket}"))
                for stem, record in records.items()
            }
            for bucket, records in view.v3.items()
        }
    ordered = msgspec.to_builtins(content, builtin_types=(bytes,), order="sorted")
    return zstd.compress(pack_plain(ordered))


def _binary_record(record: Mapping[str, Any], run_exports: Any) -> dict[str, Any]:
    """A record in the form of a shard.  Without ``run_exports`` they are unknown (CEP 21)."""
    binary = {
        key: bytes.fromhex(value) if key in ("md5", "sha256") and value else value
        for key, value in record.items()
    }
    return binary if run_exports is None else {**binary, "run_exports": run_exports}
