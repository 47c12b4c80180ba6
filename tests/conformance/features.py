"""What an indexer of conda channels can do, one check for each: ``docs/conformance.md``.

A check reads nothing but published files.  It raises ``AssertionError`` where they say something
else than the standard asks for, and ``KeyError`` where there is no such file or key.
"""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from testkit.channel import Package
from testkit.zstd import one_frame
from tests.conformance import tasks
from tests.conformance.published import Published, records_of

Check = Callable[[Published], None]


class Feature(NamedTuple):
    """One row of the table."""

    what: str
    source: str
    """The standard that defines it."""
    task: str
    """The channel that it is looked for in, by its name in ``TASKS``."""
    check: Check


FEATURES: list[Feature] = []


def feature(what: str, source: str, task: str) -> Callable[[Check], Check]:
    """Put a check into the table."""

    def register(check: Check) -> Check:
        FEATURES.append(Feature(what, source, task, check))
        return check

    return register


# --- the index ------------------------------------------------------------------------------


@feature("`repodata.json`: every package, with its digests and its size", "CEP 36", "plain")
def _(published: Published) -> None:
    found = published.records() | published.records(subdir="noarch")
    assert _identities(found) == {
        package.filename: (sha256(package.body).hexdigest(), len(package.body))
        for package in tasks.PACKAGES
    }


@feature("`repodata_version` is 1 where packages lie beside the index", "CEP 15", "plain")
def _(published: Published) -> None:
    assert published.repodata()["repodata_version"] == 1


@feature("`repodata.json.zst`, in one frame", "CEP 36", "plain")
def _(published: Published) -> None:
    body = published.files["linux-64/repodata.json.zst"]
    assert one_frame(body) == published.files["linux-64/repodata.json"]


@feature("`repodata.json.bz2`", "conda", "plain")
def _(published: Published) -> None:
    body = published.files["linux-64/repodata.json.bz2"]
    assert bz2.decompress(body) == published.files["linux-64/repodata.json"]


@feature("sharded repodata, of the same records", "CEP 16", "plain")
def _(published: Published) -> None:
    found = {
        filename: {key: value for key, value in record.items() if key != "run_exports"}
        for filename, record in published.sharded_records().items()
    }
    without = {
        filename: {key: value for key, value in record.items() if key != "run_exports"}
        for filename, record in published.records().items()
    }
    assert found == without


@feature("the shard index says its `version`", "CEP 16", "plain")
def _(published: Published) -> None:
    assert published.shard_index()["version"] == 1


@feature("the shard index says when it was made, in `created_at`", "CEP 16", "plain")
def _(published: Published) -> None:
    made_at = datetime.fromisoformat(published.shard_index()["info"]["created_at"])
    assert made_at.tzinfo is not None


@feature("shards alone, without a `repodata.json`", "", "shards alone")
def _(published: Published) -> None:
    assert published.sharded_records().keys() == {tasks.APP.filename}
    assert "linux-64/repodata.json" not in published.files


@feature("`repodata.json` on many lines, for people", "", "readable")
def _(published: Published) -> None:
    assert published.records().keys() == {tasks.APP.filename}
    assert b'{\n  "' in published.files["linux-64/repodata.json"]


@feature("`indexed_timestamp` in every record", "CEP 47", "plain")
def _(published: Published) -> None:
    records = published.records().values()
    assert all(isinstance(record["indexed_timestamp"], int) for record in records)


@feature("`noarch/repodata.json`, also of a channel with nothing in there", "CEP 26", "related")
def _(published: Published) -> None:
    assert published.records(subdir="noarch") == {}


@feature("keys that no standard knows are kept", "", "plain")
def _(published: Published) -> None:
    record = published.records(subdir="noarch")[tasks.HELPER.filename]
    assert record["future"] == {"key": [1]}


@feature("a package that cannot be read harms no other", "", "broken")
def _(published: Published) -> None:
    assert published.records().keys() == {tasks.APP.filename}


@feature("`current_repodata.json`", "conda", "plain")
def _(published: Published) -> None:
    found = published.records("current_repodata.json").keys()
    assert tasks.LIB.filename in found
    assert tasks.OLD_LIB.filename not in found


# --- run exports ----------------------------------------------------------------------------


@feature("`run_exports.json` and `.zst`: every package", "CEP 12", "plain")
def _(published: Published) -> None:
    document = published.json("linux-64/run_exports.json")
    assert records_of(document) == {
        package.filename: {"run_exports": tasks.RUN_EXPORTS if package is tasks.LIB else {}}
        for package in tasks.PACKAGES
        if package is not tasks.HELPER
    }
    assert (document["info"]["subdir"], document["info"]["version"]) == ("linux-64", 1)
    assert json.loads(one_frame(published.files["linux-64/run_exports.json.zst"])) == document


@feature("`run_exports` in the records of shards", "CEP 21", "plain")
def _(published: Published) -> None:
    records = published.sharded_records()
    assert records[tasks.LIB.filename]["run_exports"] == tasks.RUN_EXPORTS


@feature("`run_exports: {}` there, too, where a package has none", "CEP 21", "plain")
def _(published: Published) -> None:
    assert published.sharded_records()[tasks.APP.filename]["run_exports"] == {}


@feature("no `run_exports` in `repodata.json`", "CEP 12", "plain")
def _(published: Published) -> None:
    assert not any("run_exports" in record for record in published.records().values())


# --- patches --------------------------------------------------------------------------------


@feature("a patch package changes records", "conda", "patched")
def _(published: Published) -> None:
    _expect_patched(published.records())


@feature("and in shards the same", "CEP 16", "patched")
def _(published: Published) -> None:
    _expect_patched(published.sharded_records())


@feature("what is said of a `.tar.bz2` holds for the `.conda` beside it", "conda", "patched")
def _(published: Published) -> None:
    records = published.records()
    twins = [records[twin.filename]["depends"] for twin in tasks.TWINS]
    assert twins == [["patched"], ["patched"]]


@feature("digests and sizes cannot be patched", "", "patched")
def _(published: Published) -> None:
    body = tasks.LIB.body
    found = _identities(published.records())[tasks.LIB.filename]
    assert found == (sha256(body).hexdigest(), len(body))


@feature("`remove` takes records out", "conda", "patched")
def _(published: Published) -> None:
    assert tasks.YANKED.filename not in published.records()


@feature("`removed` lists what a patch took out", "CEP 36", "patched")
def _(published: Published) -> None:
    assert published.repodata()["removed"] == [tasks.YANKED.filename]


@feature("`revoke` makes records impossible to install", "conda", "patched")
def _(published: Published) -> None:
    record = published.records()[tasks.REVOKED.filename]
    assert (record["revoked"], record["depends"]) == (True, ["package_has_been_revoked"])


@feature("`repodata_from_packages.json`: the records as they were", "conda", "patched")
def _(published: Published) -> None:
    assert _dependencies(published.records("repodata_from_packages.json")) == {
        package.filename: ["lib"] if package is tasks.APP else []
        for package in tasks.PACKAGES
        if package is not tasks.HELPER
    }


@feature("`repodata_from_packages.json.zst`", "conda", "patched")
def _(published: Published) -> None:
    body = published.files["linux-64/repodata_from_packages.json.zst"]
    assert one_frame(body) == published.files["linux-64/repodata_from_packages.json"]


@feature("`repodata_shards_from_packages.msgpack.zst`: the same in shards", "conda", "patched")
def _(published: Published) -> None:
    index = published.shard_index(file="repodata_shards_from_packages.msgpack.zst")
    assert index["shards"].keys() == {
        package.filename.rsplit("-", 2)[0]
        for package in tasks.PACKAGES
        if package is not tasks.HELPER
    }


@feature("`repodata_from_packages.json.bz2`, `run_exports.json.bz2`", "conda", "patched")
def _(published: Published) -> None:
    for file in ("repodata_from_packages.json", "run_exports.json"):
        body = published.files[f"linux-64/{file}.bz2"]
        assert bz2.decompress(body) == published.files[f"linux-64/{file}"]


@feature("`patch_instructions.json`", "conda", "patched")
def _(published: Published) -> None:
    assert published.json("linux-64/patch_instructions.json")["remove"] == [tasks.YANKED.filename]


@feature("version 2 patches `run_exports`", "CEP 21", "patched by version 2")
def _(published: Published) -> None:
    record = published.sharded_records()[tasks.LIB.filename]
    assert record["run_exports"] == {"weak": ["patched"]}


@feature("records of revision 3 can be patched", "CEP 48", "patched in v3")
def _(published: Published) -> None:
    record = published.repodata()["v3"]["conda"][_stem(tasks.CONDITIONAL)]
    assert record["license"] == "MIT"


# --- revision 3 -----------------------------------------------------------------------------


@feature("packages with conditional dependencies are in `v3`", "CEP 43, 48", "modern")
def _(published: Published) -> None:
    v3 = published.repodata()["v3"]
    assert _stem(tasks.CONDITIONAL) in v3["conda"]
    assert _stem(tasks.OLD_CONDITIONAL) in v3["tar.bz2"]


@feature("so do those with optional dependencies or flags", "CEP 44, 45", "optional")
def _(published: Published) -> None:
    found = published.repodata()["v3"]["conda"]
    assert found.keys() == {_stem(tasks.EXTRAS), _stem(tasks.FLAGGED)}


@feature("match specs in `v3` have the bracket form", "CEP 48", "modern")
def _(published: Published) -> None:
    record = published.repodata()["v3"]["conda"][_stem(tasks.CONDITIONAL)]
    assert record["depends"] == ['helper[version=">=1.0",when="__unix"]']


@feature("all others stay where every client looks", "CEP 48", "modern")
def _(published: Published) -> None:
    assert published.records().keys() == {tasks.APP.filename}


@feature("or all of them in `v3`, if the channel is configured so", "CEP 48", "latest")
def _(published: Published) -> None:
    assert published.records() == {}
    assert published.repodata()["v3"]["conda"].keys() == {_stem(tasks.APP)}
    assert published.repodata("noarch")["v3"]["conda"].keys() == {_stem(tasks.HELPER)}


@feature("`v3` in shards", "CEP 48", "modern")
def _(published: Published) -> None:
    shards = published.shards()
    assert _stem(tasks.CONDITIONAL) in shards["conditional"]["v3"]["conda"]
    assert _stem(tasks.OLD_CONDITIONAL) in shards["old-conditional"]["v3"]["tar.bz2"]


@feature("`info.repodata_revisions` counts them", "CEP 48", "modern")
def _(published: Published) -> None:
    buckets = published.repodata()["v3"].values()
    assert _v3_of(published.info())["n_packages"] == sum(map(len, buckets)) > 0


@feature("`oldest` and `newest` are times of indexing", "CEP 48", "modern")
def _(published: Published) -> None:
    revision = _v3_of(published.info())
    times = [
        record["indexed_timestamp"]
        for bucket in published.repodata()["v3"].values()
        for record in bucket.values()
    ]
    assert (revision["oldest"], revision["newest"]) == (min(times), max(times))


@feature("a revision's message", "CEP 48", "modern")
def _(published: Published) -> None:
    assert _v3_of(published.info())["message"] == tasks.MESSAGE


@feature("the same in the shard index", "CEP 48", "modern")
def _(published: Published) -> None:
    assert _v3_of(published.shard_index()["info"]) == _v3_of(published.info())


@feature("wheels that another tool put into `v3` are kept", "CEP 48", "taken over")
def _(published: Published) -> None:
    record = published.repodata("noarch")["v3"]["whl"]["wheel-1.0-0"]
    assert (record["name"], record["url"]) == ("wheel", "wheel-1.0-0.whl")


@feature("so are buckets that nobody knows", "CEP 48", "taken over")
def _(published: Published) -> None:
    assert published.repodata("noarch")["v3"]["zip"] == tasks.KEPT["zip"]


# --- the channel ----------------------------------------------------------------------------


@feature("`base_url`, with `repodata_version` 2", "CEP 15", "elsewhere")
def _(published: Published) -> None:
    assert published.info()["base_url"] == "https://packages.example/linux-64/"
    assert published.repodata()["repodata_version"] == 2


@feature("`base_url` in the shard index", "CEP 16", "elsewhere")
def _(published: Published) -> None:
    assert published.shard_index()["info"]["base_url"] == "https://packages.example/linux-64/"


@feature("`channel_relations`, in `repodata.json` and in the shard index", "CEP 42", "related")
def _(published: Published) -> None:
    told = {"base": "../base", "overrides": "../overrides"}
    assert published.info()["channel_relations"] == told
    assert published.shard_index()["info"]["channel_relations"] == told


@feature("`virtual_package_detectors`, in both", "conda/ceps#192, a draft", "detected")
def _(published: Published) -> None:
    for info in (published.info(), published.shard_index()["info"]):
        assert info["virtual_package_detectors"] == tasks.DETECTORS


@feature("`notices.json`", "CEP 6", "related")
def _(published: Published) -> None:
    (notice,) = published.json("notices.json")["notices"]
    assert (notice["id"], notice["message"], notice["level"]) == ("one", "We move", "warning")


@feature("a `notices.json` of another tool is left alone", "CEP 6", "taken over")
def _(published: Published) -> None:
    assert published.files["notices.json"] == tasks.NOTICES


@feature("`channeldata.json`", "CEP 38", "plain")
def _(published: Published) -> None:
    channeldata = published.json("channeldata.json")
    assert (channeldata["channeldata_version"], channeldata["subdirs"]) == (
        1,
        ["linux-64", "noarch"],
    )
    lib = channeldata["packages"]["lib"]
    assert (lib["version"], lib["subdirs"], lib["summary"], lib["run_exports"]) == (
        "2.0",
        ["linux-64"],
        "The package lib",
        {"2.0": tasks.RUN_EXPORTS},
    )


@feature("`rss.xml`", "conda", "plain")
def _(published: Published) -> None:
    feed = ET.fromstring(published.files["rss.xml"])  # noqa: S314  # of our own making
    titles = {title.text for title in feed.iterfind("channel/item/title")}
    assert "lib 2.0 [linux-64]" in titles


@feature(
    "records name the attestations that lie beside a package", "conda/ceps#142, a draft", "attested"
)
def _(published: Published) -> None:
    record = published.records()[tasks.APP.filename]
    assert record["attestations_sha256"] == sha256(tasks.SIGS).hexdigest()


@feature("`index.html` of the channel, for people", "conda", "plain")
def _(published: Published) -> None:
    assert published.files["index.html"].lower().startswith((b"<!doctype html", b"<html"))


@feature("`index.html` of each subdir: every file", "conda", "plain")
def _(published: Published) -> None:
    assert tasks.LIB.filename in published.files["linux-64/index.html"].decode()


@feature("and what each package depends on", "conda", "readable")
def _(published: Published) -> None:
    page = published.files["linux-64/index.html"].decode()
    (row,) = (one for one in page.split("<tr") if tasks.APP.filename in one)
    assert "lib" in row.replace(tasks.APP.filename, "")


def _expect_patched(records: dict[str, dict[str, Any]]) -> None:
    app = records[tasks.APP.filename]
    assert (app["depends"], app["license"]) == (["lib >=2"], "MIT")


def _v3_of(info: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = info["repodata_revisions"]["v3"]
    return found


def _identities(records: dict[str, dict[str, Any]]) -> dict[str, tuple[str, int]]:
    return {filename: (record["sha256"], record["size"]) for filename, record in records.items()}


def _dependencies(records: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    return {filename: record["depends"] for filename, record in records.items()}


def _stem(package: Package) -> str:
    return package.filename.removesuffix(".conda").removesuffix(".tar.bz2")
