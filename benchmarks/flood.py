"""``python -m benchmarks.flood``: what one good upload costs after a flood of garbage, in CPU.

In memory, so that nothing but sluice takes time.  Beside it stands the same upload into a subdir
of as many good packages, of many names if the garbage is: no flood may make it cost ``RATIO_MAX``
times as much.  The document of rejects has 1 MiB at most, and once the garbage is deleted the
catalog is as small as before.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from zlib import crc32

from benchmarks.markdown import table
from benchmarks.processes import progress
from sluice.catalog.head import read_head
from sluice.conda.digests import Digests
from sluice.conda.record import make_record
from sluice.extract.extract import EXTRACTOR_VERSION
from sluice.extract.staging import FileVerdict, Indexed, Rejected, write_staging_record
from sluice.layout import Subdir
from sluice.limits import MIB, REJECT_SENTENCE_CHARS_MAX
from sluice.messages.merge_request import merge_message
from sluice.storage.object_id import ObjectId
from testkit.made_up import SUBDIR, conda, indexes
from testkit.system import System

TEAM = Subdir("team", SUBDIR)
RATIO_MAX = 1.5
_START_MS = 1_750_000_000_000
_HONEST: Mapping[str, object] = {**next(indexes(1)), "name": "honest", "version": "1.0"}
_GARBAGE = b"garbage"
_COLUMNS = [
    *("after", "extract", "merge", "reconcile", "what reconcile requests"),
    *("document", "tree, garbage deleted"),
]
_BOUNDED = ("extract_s", "merge_s", "reconcile_s")
_SECONDS = (*_BOUNDED, "requested_s")
Files = Iterator[tuple[str, Mapping[str, object] | None]]
"""Filenames, each with the ``index.json`` of a good package or ``None``."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one good upload, in CPU seconds, and what is stored afterwards."""

    extract_s: float
    merge_s: float
    reconcile_s: float
    requested_s: float
    """The extracts and the merge that reconcile requests, of files that are not noted."""
    document_bytes: int
    catalog_bytes: int
    """Of the tree, once everything but the good packages of the beginning is deleted."""


def good(count: int) -> Files:
    """So many good packages."""
    for index in indexes(count):
        yield f"{index['name']}-{index['version']}-{index['build']}.conda", index


def good_of_many_names(count: int) -> Files:
    """So many good packages, each of a package of its own."""
    for number, index in enumerate(indexes(count)):
        name = f"{index['name']}-{number}"
        yield f"{name}-{index['version']}-{index['build']}.conda", {**index, "name": name}


def without_a_name(count: int) -> Files:
    """Files whose names are as long as they can be and cannot be parsed."""
    return ((f"{number:06}{'é' * 400}.conda", None) for number in range(count))


def of_many_names(count: int) -> Files:
    """Files of valid names, each of a package of its own, with corrupt bodies."""
    return ((f"garbage{number:06}-1.0-0.conda", None) for number in range(count))


def of_one_name(count: int) -> Files:
    """Corrupt files under the name of the good package."""
    return ((f"honest-0.{number}-0.conda", None) for number in range(count))


GOOD = "good packages"
GOOD_OF_MANY_NAMES = "good packages, each of another name"
FLOODS: Mapping[str, Callable[[int], Files]] = {
    GOOD: good,
    GOOD_OF_MANY_NAMES: good_of_many_names,
    "names that cannot be parsed": without_a_name,
    "corrupt files, each of another name": of_many_names,
    "corrupt files of the same name": of_one_name,
}
BESIDE: Mapping[str, str] = {
    "names that cannot be parsed": GOOD,
    "corrupt files, each of another name": GOOD_OF_MANY_NAMES,
    "corrupt files of the same name": GOOD,
}
"""The good packages that each flood is measured against."""


def costs_after(files: Files) -> Costs:
    """Index ``files`` in one subdir, and then one good package."""
    system = System(_START_MS, page_size=2_000_000)
    system.merger = replace(system.merger, batch_records=1_000_000)
    first = next(indexes(1))
    _stage(system, "first-1.0-0.conda", {**first, "name": "first", "version": "1.0", "build": "0"})
    keys = [_stage(system, filename, index) for filename, index in files]
    merge_message(TEAM, now_ms=system.now_ms, debounce_seconds=10).send_to(system.merges)
    system.run_until_idle()
    system.reconcile()
    honest = conda(_HONEST)
    key = TEAM.file_key(honest.filename)
    system.upload({key: honest.body})
    extract_s = _cpu_seconds(lambda: system.extract(key))
    merge_s = _cpu_seconds(system.deliver_merges)
    reconcile_s = _cpu_seconds(system.start_reconcile)
    requested_s = _cpu_seconds(system.run_until_idle)
    stored = system.state.objects.get(TEAM.rejects_key)
    system.remove(*keys)
    system.reconcile()
    digest = read_head(system.state, TEAM).value.tree
    assert digest
    return Costs(
        extract_s,
        merge_s,
        reconcile_s,
        requested_s,
        len(stored.body) if stored else 0,
        len(system.state.body(TEAM.tree_key(digest))),
    )


def main() -> None:
    """Print a table, and exit with 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    files: int = parser.parse_args().files
    say = progress()
    costs: dict[str, Costs] = {}
    for name, flood in FLOODS.items():
        costs[name] = costs_after(flood(files))
        say(f"{files:,} {name}: {costs[name]}")
    print(table([_COLUMNS, *_rows(costs)]))
    wrong = list(_too_much(costs))
    print(*wrong, sep="\n", file=sys.stderr)
    sys.exit(bool(wrong))


def _stage(system: System, filename: str, index: Mapping[str, object] | None) -> str:
    """Upload a file and stage what extract makes of it; returns its key."""
    key = TEAM.file_key(filename)
    identity = ObjectId.from_info(system.channel.upload(key, _GARBAGE))
    verdict = _verdict(filename, index, identity, at=system.now_ms)
    if verdict:
        write_staging_record(system.state, TEAM, verdict, unique_id=system.new_id())
    return key


def _verdict(
    filename: str, index: Mapping[str, object] | None, identity: ObjectId, *, at: int
) -> FileVerdict | None:
    if filename.count("-") < 2:
        return None  # extract looks at no such file
    if index is None:
        return Rejected(
            filename=filename,
            extractor=EXTRACTOR_VERSION,
            at=at,
            identity=identity,
            code="zip-invalid",
            sentence="x" * REJECT_SENTENCE_CHARS_MAX,
        )
    digests = Digests(
        sha256=f"{crc32(filename.encode()):064x}", md5=None, sha256_from="read", md5_from=None
    )
    return Indexed(
        filename=filename,
        extractor=EXTRACTOR_VERSION,
        at=at,
        identity=identity,
        record=make_record(dict(index), filename, SUBDIR, size=identity.size, digests=digests),
        digests_from={"sha256": "read", "md5": None},
    )


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _rows(costs: Mapping[str, Costs]) -> Iterator[list[str]]:
    for name, one in costs.items():
        yield [
            name,
            *(f"{getattr(one, seconds):.3f} s" for seconds in _SECONDS),
            f"{one.document_bytes:,} B",
            f"{one.catalog_bytes:,} B",
        ]


def _too_much(costs: Mapping[str, Costs]) -> Iterator[str]:
    for name, good_name in BESIDE.items():
        one = costs[name]
        for what in _BOUNDED:
            allowed = RATIO_MAX * getattr(costs[good_name], what)
            if getattr(one, what) > allowed:
                yield f"{name}: {what} {getattr(one, what):.3f}, above {allowed:.3f}"
        if one.document_bytes > MIB:
            yield f"{name}: the document has {one.document_bytes:,} bytes"
        if one.catalog_bytes > 1000:
            yield f"{name}: the catalog has {one.catalog_bytes:,} bytes afterwards"


if __name__ == "__main__":
    main()
