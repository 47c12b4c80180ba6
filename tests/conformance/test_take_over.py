"""Indexes of other tools, taken over and read again: nothing is lost, no date moves.

Existing channels with everything that goes wrong in them; the tools' own output where they run.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from hashlib import md5, sha256
from pathlib import Path
from typing import Any, Literal

import msgpack
import pytest
import rattler.index
from rattler import Channel, Gateway, RepoDataRecord, SourceConfig
from rattler.config import Config

from sluice.errors import Corrupt
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir
from testkit.channel import Package, conda, tar_bz2
from testkit.published import Records
from testkit.system import System
from testkit.web import served
from testkit.zstd import one_frame
from tests.conformance import accepted, corpus
from tests.conformance.accepted import differences, unexplained
from tests.conformance.conda_index_files import conda_index
from tests.conformance.indexed_channel import index_with_rattler, write_channel
from tests.support.request_hooks import ProcessKilled, at_request, kill_process

CHANNEL = "Conda/Default"
LINUX = Subdir(CHANNEL, "linux-64")
NOARCH = Subdir(CHANNEL, "noarch")
UPLOADED_MS = 1_700_000_000_000
INDEX_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)
AGAIN = [
    rule
    for rule in accepted.RECORD
    if rule.path != ("indexed_timestamp",)  # that one must stay
]


def index_json(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    """The index.json of a small package for linux-64."""
    identity = {"name": name, "version": version, "build": "h0_0", "build_number": 0}
    return {**identity, "subdir": "linux-64", "depends": [], **more}


def record_of(package: Package, index: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What an indexer says of a package."""
    digests = {
        "md5": md5(package.body, usedforsecurity=False).hexdigest(),
        "sha256": sha256(package.body).hexdigest(),
        "size": len(package.body),
    }
    return {**index, **digests, **more}


def existing(packages: Iterable[Package], files: Mapping[str, bytes]) -> System:
    """A bucket in which a channel has lain for long; sluice comes to it now."""
    sluice = System(UPLOADED_MS)
    sluice.upload({f"{CHANNEL}/{package.path}": package.body for package in packages})
    sluice.upload({f"{CHANNEL}/{path}": body for path, body in files.items()})
    sluice.tick(30 * 86_400)
    return sluice


def in_linux(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files of the linux-64 folder."""
    return {f"linux-64/{name}": body for name, body in files.items()}


def add_one(sluice: System) -> str:
    """Upload a package into what is there, the event of which begins the take-over."""
    package = conda(index_json("newcomer"))
    key = f"{CHANNEL}/{package.path}"
    sluice.upload({key: package.body})
    sluice.extract(key)
    sluice.run_until_idle()
    return package.filename


def records_in(body: bytes) -> Records:
    """The records of a ``repodata.json``."""
    repodata = json.loads(body)
    return {**repodata["packages"], **repodata["packages.conda"]}


def dates(records: Records) -> dict[str, int]:
    """When each file came into the index."""
    return {filename: record["indexed_timestamp"] for filename, record in records.items()}


def shards_named(sluice: System, folder: str = "shards/") -> None:
    """Assert that whatever the shard index that is there names is there."""
    index = msgpack.unpackb(one_frame(sluice.body(LINUX, SHARD_INDEX)))
    for digest in index["shards"].values():
        assert sluice.body(LINUX, f"{folder}{digest.hex()}.msgpack.zst")


# --- rattler-index --------------------------------------------------------------------------------


def test_an_index_of_rattler_index_is_taken_over_as_it_is_and_keeps_its_dates_when_read_again(
    tmp_path: Path,
) -> None:
    packages = corpus.generated()
    files = index_with_rattler(packages, tmp_path / "channel")
    sluice = existing(packages, files)
    newcomer = add_one(sluice)
    theirs = records_in(files["linux-64/repodata.json"])
    before = sluice.index(LINUX).records
    assert {name: record for name, record in before.items() if name != newcomer} == theirs

    sluice.reconcile()
    for subdir in (LINUX, NOARCH):
        theirs = records_in(files[f"{subdir.name}/{REPODATA}"])
        ours = sluice.index(subdir).records
        assert dates({name: ours[name] for name in theirs}) == dates(theirs)
        for filename, record in theirs.items():
            assert unexplained(AGAIN, differences(ours[filename], record)) == []
    assert sluice.reconcile().counts.repairs == 0


def test_a_subdir_of_two_thousand_packages_is_read_again_without_a_trace(tmp_path: Path) -> None:
    packages = [conda(index_json(f"p{n % 400}", f"1.{n // 400}")) for n in range(2000)]
    files = index_with_rattler(packages, tmp_path / "channel")
    sluice = existing(packages, files)
    add_one(sluice)
    theirs = records_in(files["linux-64/repodata.json"])
    assert sum(report.taken_over for report in sluice.reports) == len(theirs) == 2000
    assert sum(report.left_out for report in sluice.reports) == 0
    report = sluice.reconcile()
    assert (report.counts.outdated, report.counts.fed) == (2000, 2000)
    ours = sluice.index(LINUX).records
    assert dates({name: record for name, record in ours.items() if name in theirs}) == dates(theirs)
    assert len(ours) == 2001


def test_the_index_that_is_there_serves_clients_until_the_new_one_replaces_it(
    tmp_path: Path,
) -> None:
    packages = [conda(index_json(name)) for name in ("alpha", "beta")]
    files = index_with_rattler(packages, tmp_path / "channel")
    sluice = existing(packages, files)
    for file in INDEX_FILES:
        sluice.channel.before = at_request("PutObject", LINUX.file_key(file), kill_process)
        with pytest.raises(ProcessKilled):
            add_one(sluice)
        later = INDEX_FILES[INDEX_FILES.index(file) :]
        assert [sluice.body(LINUX, one) for one in later] == [
            files[f"linux-64/{one}"] for one in later
        ]
        shards_named(sluice)
    add_one(sluice)
    assert len(sluice.index(LINUX).records) == 3
    old = msgpack.unpackb(one_frame(files[f"linux-64/{SHARD_INDEX}"]))
    for digest in old["shards"].values():  # clients may hold it for a while yet
        assert sluice.body(LINUX, f"shards/{digest.hex()}.msgpack.zst")


def test_what_rattler_index_was_told_of_the_channel_is_published_on(tmp_path: Path) -> None:
    packages = [conda(index_json(name)) for name in ("alpha", "beta")]
    folder = tmp_path / "channel"
    for package in packages:
        package.write_below(folder)
    (folder / "noarch").mkdir()
    config = Config.from_toml(
        f'[index-config."{folder}"]\nbase-url = "./"\n'
        f'[index-config."{folder}".channel-relations]\nbase = "../conda-forge"\n'
    )
    asyncio.run(rattler.index.index_fs(folder, config=config, repodata_revisions=["v3"]))
    files = {file: (folder / "linux-64" / file).read_bytes() for file in INDEX_FILES}
    shards = {
        f"shards/{path.name}": path.read_bytes()
        for path in (folder / "linux-64" / "shards").iterdir()
    }
    sluice = existing(packages, in_linux({**files, **shards}))
    newcomer = add_one(sluice)
    said = {
        "base_url": "./",
        "channel_relations": {"base": "../conda-forge"},
        "repodata_revisions": {"v3": {"n_packages": 0}},
    }
    theirs = json.loads(files[REPODATA])
    ours = json.loads(sluice.body(LINUX, REPODATA))
    assert theirs["info"] == ours["info"] == {**said, "subdir": "linux-64"}
    assert ours["repodata_version"] == theirs["repodata_version"] == 2
    shard_info = msgpack.unpackb(one_frame(sluice.body(LINUX, SHARD_INDEX)))["info"]
    assert {key: shard_info[key] for key in said} == said
    assert sluice.index(LINUX).records.keys() == {newcomer, *records_in(files[REPODATA])}


@pytest.mark.parametrize("assignment", ["from-index-json", "latest"])
def test_revision_3_of_rattler_index_is_taken_over_with_wheels_that_another_tool_put_there(
    assignment: Literal["from-index-json", "latest"], tmp_path: Path
) -> None:
    packages = [
        conda(index_json("plain")),
        conda(index_json("modern", depends=['plain[when="python <3"]'])),
        tar_bz2(index_json("asking", repodata_revision=3)),
    ]
    folder = tmp_path / "channel"
    for package in packages:
        package.write_below(folder)
    (folder / "noarch").mkdir()
    asyncio.run(
        rattler.index.index_fs(
            folder, repodata_revisions=["v3"], package_revision_assignment=assignment
        )
    )
    theirs = json.loads((folder / "linux-64" / REPODATA).read_bytes())
    wheel = {"name": "wheel", "url": "https://pypi.example/wheel.whl", "version": "1.0"}
    theirs["v3"]["whl"] = {"wheel-1.0-0": wheel}
    sluice = existing(packages, in_linux({REPODATA: json.dumps(theirs).encode()}))
    add_one(sluice)
    ours = json.loads(sluice.body(LINUX, REPODATA))
    assert ours["v3"] == theirs["v3"]
    assert ours["packages"] == theirs["packages"]
    assert ours["info"]["repodata_revisions"]["v3"]["n_packages"] == (
        4 if assignment == "latest" else 3
    )

    sluice.reconcile()
    read = json.loads(sluice.body(LINUX, REPODATA))
    assert {bucket: list(records) for bucket, records in read["v3"].items()} == {
        "conda": ["modern-1.0-h0_0"],
        "tar.bz2": ["asking-1.0-h0_0"],
        "whl": ["wheel-1.0-0"],
    }
    assert read["v3"]["whl"] == {"wheel-1.0-0": wheel}
    assert dates(in_all_revisions(read)).items() >= dates(in_all_revisions(theirs)).items()
    assert sluice.reconcile().counts.repairs == 0


def in_all_revisions(repodata: dict[str, Any]) -> Records:
    """Records with a date, by filename without extension."""
    legacy = {**repodata["packages"], **repodata["packages.conda"]}
    records = {re.sub(r"\.(conda|tar\.bz2)$", "", name): record for name, record in legacy.items()}
    for bucket in ("conda", "tar.bz2"):
        records |= repodata["v3"].get(bucket, {})
    return records


# --- conda-index ----------------------------------------------------------------------------------


@pytest.mark.parametrize("monolithic", [True, False])
def test_an_index_of_conda_index_is_taken_over_with_or_without_its_repodata_json(
    monolithic: bool,  # noqa: FBT001 -- the tool's option
) -> None:
    indexes = [index_json(name, arch="x86_64", platform="linux") for name in ("alpha", "beta")]
    packages = [conda(indexes[0]), tar_bz2(indexes[1])]
    records = {
        package.filename: record_of(package, index)
        for package, index in zip(packages, indexes, strict=True)
    }
    files = conda_index(records, subdir="linux-64", monolithic=monolithic)
    sluice = existing(packages, in_linux(files))
    newcomer = add_one(sluice)
    taken = sluice.index(LINUX).records
    assert taken.keys() == {newcomer, *records}
    assert sum(report.taken_over for report in sluice.reports) == 2
    sluice.reconcile()
    read = sluice.index(LINUX).records
    assert dates(read) == dates(taken)
    assert {taken[name]["indexed_timestamp"] for name in records} == {UPLOADED_MS}
    for name, record in records.items():
        kept = {key: value for key, value in record.items() if key not in ("arch", "platform")}
        assert read[name] == {**kept, "constrains": [], "indexed_timestamp": UPLOADED_MS}
    for file, body in files.items():
        if file not in INDEX_FILES:  # its other files are nobody's business
            assert sluice.body(LINUX, file) == body


def test_what_conda_index_was_told_to_remove_or_revoke_stays_so_though_its_file_is_there() -> None:
    indexes = {name: index_json(name) for name in ("alpha", "beta", "gamma")}
    packages = {name: conda(index) for name, index in indexes.items()}
    records = {
        package.filename: record_of(package, indexes[name]) for name, package in packages.items()
    }
    removed, revoked = packages["alpha"].filename, packages["beta"].filename
    files = conda_index(records, subdir="linux-64", removed=[removed], revoked=[revoked])
    sluice = existing(packages.values(), in_linux(files))
    sluice.reconcile()
    sluice.reconcile()
    index = json.loads(sluice.body(LINUX, REPODATA))
    assert (sorted(index["packages.conda"]), index["removed"]) == (
        [revoked, packages["gamma"].filename],
        [removed],
    )
    assert index["packages.conda"][revoked]["depends"] == ["package_has_been_revoked"]
    assert sluice.reconcile().counts.repairs == 0

    again = f"{CHANNEL}/linux-64/{removed}"
    sluice.upload({again: packages["alpha"].body})
    sluice.extract(again)
    sluice.run_until_idle()
    index = json.loads(sluice.body(LINUX, REPODATA))
    assert (removed in index["packages.conda"], index["removed"]) == (True, [])


def test_records_of_old_with_nothing_but_an_md5_keep_their_dates() -> None:
    index = index_json("alpha")
    package = tar_bz2(index)
    record = record_of(package, index, indexed_timestamp=7)
    del record["sha256"]
    files = conda_index({package.filename: record}, subdir="linux-64")
    sluice = existing([package], in_linux(files))
    sluice.reconcile()
    sluice.reconcile()
    digests = record_of(package, index)
    assert sluice.index(LINUX).records == {
        package.filename: {**digests, "constrains": [], "indexed_timestamp": 7}
    }


# --- what is wrong with channels ------------------------------------------------------------------


def test_what_breaks_only_a_rule_of_ours_stays_and_what_is_corrupt_does_not() -> None:
    """Sloppy names, a foreign subdir, a wrong type; a truncated file, an overwritten one."""
    sound = {
        "Loud-1.0RC1-0.conda": conda(index_json("loud")).body,
        "renamed-2.0-h0_0.conda": conda(index_json("original")).body,
        "alien-1.0-h0_0.conda": conda(index_json("alien", subdir="win-64")).body,
        "typed-1.0-h0_0.tar.bz2": tar_bz2(index_json("typed", license=7)).body,
    }
    corrupt = {"broken-1.0-h0_0.conda": conda(index_json("broken")).body[:-9]}
    files = {**sound, **corrupt}
    packages = [Package("linux-64", filename, body) for filename, body in files.items()]
    records = {
        package.filename: record_of(
            package, index_json(package.filename.partition("-")[0].lower()), indexed_timestamp=7
        )
        for package in packages
    }
    swapped = conda(index_json("swapped"))
    packages.append(Package("linux-64", "swapped-2.0-h0_0.conda", swapped.body))
    records["swapped-2.0-h0_0.conda"] = {
        **record_of(swapped, index_json("swapped", "2.0"), indexed_timestamp=7),
        "size": 1,
    }
    sluice = existing(packages, in_linux(conda_index(records, subdir="linux-64")))
    add_one(sluice)
    taken = {n: r for n, r in sluice.index(LINUX).records.items() if n in records}
    assert taken == records
    sluice.reconcile()
    read = sluice.index(LINUX).records
    assert {name: record for name, record in read.items() if name in records} == {
        name: record for name, record in records.items() if name in sound
    }
    assert sluice.reconcile().counts.repairs == 0


def test_records_and_dates_that_are_no_good_are_replaced_by_what_the_files_say() -> None:
    index = index_json("alpha")
    package = conda(index)
    record = record_of(package, index)
    for bad in (
        {**record, "huge": 2**70},
        {**record, "md5": "?"},
        {**record, "indexed_timestamp": -1},
    ):
        files = conda_index({package.filename: record}, subdir="linux-64")
        repodata = json.loads(files[REPODATA])
        repodata["packages.conda"][package.filename] = bad
        files = {REPODATA: json.dumps(repodata).encode()}
        sluice = existing([package], in_linux(files))
        add_one(sluice)
        left_out = sum(report.left_out for report in sluice.reports)
        sluice.reconcile()
        read = sluice.index(LINUX).records[package.filename]
        date = read.pop("indexed_timestamp")
        assert read == {**record, "constrains": []}
        assert (left_out, date == UPLOADED_MS) in ((1, False), (0, True))
        assert sluice.reconcile().counts.repairs == 0


def test_an_index_whose_packages_lie_elsewhere_is_left_alone_and_its_reason_told() -> None:
    index = index_json("alpha")
    package = conda(index)
    records = {package.filename: record_of(package, index)}
    files = conda_index(records, subdir="linux-64", base_url="https://cdn.example/ch")
    sluice = existing([], in_linux(files))
    newcomer = conda(index_json("newcomer"))
    sluice.upload({f"{CHANNEL}/{newcomer.path}": newcomer.body})
    sluice.extract(f"{CHANNEL}/{newcomer.path}")
    with pytest.raises(Corrupt, match=r"base_url .* \(CEP 15\).*not in Conda/Default/linux-64/"):
        sluice.run_until_idle()
    assert {file: sluice.body(LINUX, file) for file in files} == files

    sluice = existing([package], in_linux(files))  # behind a CDN of the same folder
    add_one(sluice)
    ours = json.loads(sluice.body(LINUX, REPODATA))
    assert ours["info"] == {"base_url": "https://cdn.example/ch/linux-64/", "subdir": "linux-64"}
    assert ours["repodata_version"] == 2


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json"])
def test_py_rattler_reads_what_was_taken_over(tmp_path: Path, *, sharded: bool) -> None:
    indexes = [index_json(name) for name in ("alpha", "beta", "gamma")]
    packages = [conda(index) for index in indexes]
    loud = Package("linux-64", "delta-1.0RC1-0.tar.bz2", tar_bz2(index_json("delta")).body)
    records = {
        package.filename: record_of(package, index)
        for package, index in zip([*packages, loud], [*indexes, index_json("delta")], strict=True)
    }
    removed = packages[0].filename
    repodata = json.loads(conda_index(records, subdir="linux-64", removed=[removed])[REPODATA])
    repodata["info"] |= {"base_url": "./", "arch": "x86_64", "x": {"y": [1]}}
    repodata["removed"] += ["gamma-0.9-0.conda", "not a package"]
    repodata["packages.conda"]["odd.conda"] = {}
    odd = Package("linux-64", "odd.conda", b"")
    files = in_linux({REPODATA: json.dumps(repodata).encode()})
    sluice = existing([*packages, loud, odd], files)
    sluice.reconcile()
    sluice.reconcile()
    channel = tmp_path / "channel"
    write_channel(
        {k.removeprefix(f"{CHANNEL}/"): sluice.channel.body(k) for k in sluice.channel.objects},
        channel,
    )
    with served(channel) as site:
        config = SourceConfig(sharded_enabled=sharded)
        gateway = Gateway(cache_dir=tmp_path / "cache", default_config=config)

        async def query() -> list[list[RepoDataRecord]]:
            names = ["alpha", "beta", "gamma", "delta"]
            found = gateway.query([Channel(site.url)], ["linux-64"], names, recursive=False)
            return list(await found)

        urls = {record.url for part in asyncio.run(query()) for record in part}
    assert {url.removeprefix(f"{site.url}/linux-64/") for url in urls} == records.keys() - {removed}
