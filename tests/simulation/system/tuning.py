"""How the core is set up for one play: with small batches, and without work that shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any
from unittest import mock

import zstandard

from sluice import zstd
from sluice.catalog import brake, leaf_reader
from sluice.extract import extract, lanes
from sluice.merge import (
    apply_staging,
    edges,
    generation_writer,
    leaf_writer,
    merge,
    object_lookup,
    take_over_steps,
)
from sluice.package import reader
from sluice.publish import index_files, rejects_document, splice
from sluice.reconcile import (
    digest_check,
    digest_progress,
    discover,
    garbage,
    removals,
    subdir,
)
from tests.simulation.system.habits import Habits
from tests.simulation.system.packages import FIRST_READ

_NEVER = 1_000_000
"""More records than any index has here, and more attempts than anybody makes."""
# A package is read from its bytes: which requests are made does not depend on what is remembered.
_read_once = lru_cache(1024)(reader._from_memory)
_decompress_once = lru_cache(1024)(zstd.decompress)
_compress = zstandard.ZstdCompressor(level=1).compress


@contextmanager
def tuned(habits: Habits) -> Iterator[None]:
    """Set the bounds of the core as this world has them."""
    settings: list[tuple[ModuleType, str, Any]] = [
        (extract, "EXTRACTOR_VERSION", 1),
        (extract, "RECORDS_SINCE", 1),
        (lanes, "FIRST_READ", FIRST_READ),
        (reader, "_from_memory", _read_once),
        (zstd, "compress", _compress),
        (zstd, "compress_private", _compress),
        (zstd, "decompress", _decompress_once),
        (merge, "MERGE_BATCH_RECORDS_MAX", habits.batch_records),
        (generation_writer, "NAMES_AT_ONCE", habits.names_at_once),
        (leaf_writer, "PACKED_LEAVES_MIN", habits.packed_from),
        (leaf_writer, "PACK_BYTES_MAX", habits.pack_bytes),
        (leaf_reader, "PACK_GAP_BYTES_MAX", habits.pack_gap),
        (take_over_steps, "_ROUNDS_BESIDE_COMMIT", 0),
        # Hours that pass at once do not make a function slow.
        (take_over_steps, "TAKE_OVER_ATTEMPTS_MAX", _NEVER),
        (take_over_steps, "TAKE_OVER_IN_STEPS_RECORDS_MIN", 1 if habits.steps_over else _NEVER),
        (object_lookup, "HEADS_PER_PAGE_MAX", habits.heads_per_page),
        (object_lookup, "LISTINGS_AT_ONCE", 2),
        (edges, "LEADING_RECORDS_MAX", -1 if habits.shards_first else 1 << 40),
        (edges, "LEADING_TAKE_OVER_BYTES_MAX", 0 if habits.shards_first else 1 << 40),
        (index_files, "CONCURRENT_COMPRESS_BYTES_MIN", habits.together_from_bytes),
        (splice, "NAMES_AT_ONCE", habits.names_at_once),
        (subdir, "NAMES_AT_ONCE", habits.names_at_once),
        (removals, "NAMES_AT_ONCE", habits.names_at_once),
        (brake, "BRAKE_PACKAGES_MIN", habits.brake_from),
        (discover, "KEYS_PER_STOP_CHECK", habits.names_at_once),
        (garbage, "GARBAGE_AT_ONCE_MAX", habits.garbage_at_once),
    ]
    if habits.misstates:
        settings += [
            (reader, "SMALL_PACKAGE_BYTES_MAX", 0),
            (digest_progress, "SMALL_PACKAGE_BYTES_MAX", 0),
            (digest_progress, "DIGEST_CHECK_PACKAGES_MAX", habits.digests_a_day),
            (digest_check, "DIGEST_CHECKS_AT_ONCE", habits.names_at_once),
        ]
    if habits.floods:
        limits = habits.reject_limits
        settings += [
            (generation_writer, "REJECTS_PER_SUBDIR_MAX", limits.kept),
            (subdir, "REJECTS_PER_SUBDIR_MAX", limits.kept),
            (subdir, "REQUEUED_BEYOND_REJECTS_MAX", limits.requeued),
            (apply_staging, "REJECT_SENTENCES_PER_NAME_MAX", limits.sentences),
            (rejects_document, "REJECTS_LISTED_MAX", limits.listed),
            (rejects_document, "REJECTS_LISTED_PER_NAME_MAX", limits.listed_of_name),
        ]
    with ExitStack() as patches:
        for module, name, value in settings:
            patches.enter_context(mock.patch.object(module, name, value))
        yield


def deploy_new_extractor() -> None:
    """Have every package judged anew; until the end of the play."""
    extract.EXTRACTOR_VERSION += 1
    extract.RECORDS_SINCE = extract.EXTRACTOR_VERSION
