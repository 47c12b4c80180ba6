"""The story of a channel on any S3, by the command line alone, as its operator lives through it."""

from __future__ import annotations

from time import sleep

import pytest

from sluice.layout import REPODATA
from testkit.channel import Package
from tests.servers.conftest import Operator
from tests.support.standalone_channel import package

LIB, APP, PURE = package("lib"), package("app"), package("pure", subdir="noarch")
LIB_2, LATE = package("lib", "2.0"), package("late")
CORRUPT = Package("linux-64", "corrupt-1.0-0.conda", b"no zip file")


@pytest.mark.usefixtures("sizes")
def test_a_channel_lives_through_all_that_operators_do(operator: Operator) -> None:
    _index_and_look(operator)
    _pin_and_unpin(operator)
    _roll_back(operator)
    _publish_as_it_was(operator)
    _remove(operator)
    _repair(operator)
    _expect_what_was_found_out(operator)


def test_a_bucket_that_is_misspelled_is_an_error_each_time_and_is_not_created(
    operator: Operator,
) -> None:
    """SeaweedFS creates a missing bucket with the first write to it."""
    operator.upload(LIB)
    before = operator.buckets()
    for _ in range(2):
        operator.fail("index", f"s3://{operator.bucket}/team", "--state", f"{operator.state}x")
        operator.fail("index", f"s3://{operator.bucket}x/team", "--state", operator.state)
    assert operator.buckets() == before


def _index_and_look(operator: Operator) -> None:
    operator.upload(LIB, APP, PURE, CORRUPT)
    first = operator.call("index")
    assert (first["packages"], first["read"], first["failures"]) == (4, 4, [])
    assert operator.filenames() == [APP.filename, LIB.filename]
    assert operator.filenames("noarch") == [PURE.filename]
    linux, noarch = operator.call("status")["subdirs"]
    assert (linux["subdir"], linux["packages"], linux["rejects"]) == ("linux-64", 2, 1)
    assert (noarch["packages"], noarch["behind"]) == (1, [])
    (reject,) = operator.call("rejects", code=1)
    assert (reject["file"], reject["code"]) == (CORRUPT.filename, "zip-invalid")
    operator.delete(f"team/{CORRUPT.path}")
    operator.upload(LIB_2)
    second = operator.call("index")
    assert (second["packages"], second["read"]) == (4, 1)
    again = operator.call("index")
    assert (again["read"], again["subdirs"]) == (0, [])
    assert operator.call("rejects") == []
    assert operator.call("verify", "--deep")["found"]["findings"] == []
    assert _last_commit(operator)["added"] == [LIB_2.filename]
    assert operator.call("show", "1", path="/linux-64")["packages"] == 2
    changes = operator.call("diff", "1", "2", path="/linux-64", code=1)["changes"]
    assert ("added", LIB_2.filename) in [(one["kind"], one["file"]) for one in changes]


def _pin_and_unpin(operator: Operator) -> None:
    operator.call("pin", LIB_2.filename, "--reason", "Crashes.")
    assert operator.filenames() == [APP.filename, LIB.filename]
    (pin,) = operator.call("pins")
    assert (pin["file"], pin["reason"]) == (LIB_2.filename, "Crashes.")
    operator.call("unpin", LIB_2.filename)
    assert operator.filenames() == [APP.filename, LIB.filename, LIB_2.filename]
    assert operator.call("pins") == []


def _roll_back(operator: Operator) -> None:
    dry = operator.call("rollback", "--to", "1", "--dry-run", path="/linux-64")
    assert (dry["generation"], dry["pinned"]) == (None, [LIB_2.filename])
    done = operator.call("rollback", "--to", "1", path="/linux-64")
    assert (done["pinned"], done["restored"]) == ([LIB_2.filename], [])
    assert operator.filenames() == [APP.filename, LIB.filename]
    assert operator.call("index")["read"] == 0
    sleep(
        1
    )  # the same bytes are another upload if LastModified, in whole seconds, is behind the pin
    operator.upload(LIB_2)
    operator.call("index")
    assert operator.filenames() == [APP.filename, LIB.filename, LIB_2.filename]


def _remove(operator: Operator) -> None:
    (removal,) = operator.call("remove", APP.filename, "--grace-seconds", "0")
    assert removal["deleted"] == [APP.filename]
    assert operator.filenames() == [LIB.filename, LIB_2.filename]
    assert f"team/{APP.path}" not in operator.keys(operator.bucket)
    assert operator.call("index")["failures"] == []
    # Outside of sluice, too.
    operator.delete(f"team/{LIB.path}")
    operator.upload(LATE)
    operator.call("index")
    assert operator.filenames() == [LATE.filename, LIB_2.filename]


def _publish_as_it_was(operator: Operator) -> None:
    to = f"s3://{operator.bucket}/then"
    published = operator.call("snapshot", "--at", "linux-64@2", "--to", to)
    assert {one["subdir"]: one["packages"] for one in published["subdirs"]} == {
        "linux-64": 3,
        "noarch": 1,
    }
    then = operator.index_of("linux-64", channel="then")
    assert sorted(then.records) == [APP.filename, LIB.filename, LIB_2.filename]


def _repair(operator: Operator) -> None:
    operator.delete(f"team/linux-64/{REPODATA}")
    assert operator.call("status", code=1)["subdirs"][0]["behind"] == [REPODATA]
    assert operator.call("verify", code=1)["found"]["findings"]
    assert operator.call("verify", "--repair", code=1)["left"]["findings"] == []
    assert operator.call("verify", "--deep")["found"]["findings"] == []
    assert operator.filenames() == [LATE.filename, LIB_2.filename]


def _expect_what_was_found_out(operator: Operator) -> None:
    expected = operator.server.expected
    for bucket in (operator.bucket, operator.state):
        record = operator.probe_record(bucket)
        assert record["if_match"] == expected.writes.if_match
        assert record["completion_is_conditional"] == expected.writes.completion_is_conditional
        assert record["verifies_checksums"] == expected.verifies_checksums
    probes = [key for key in operator.keys(operator.state) if key.startswith("probes/")]
    assert len(probes) == 2
    assert not [key for key in operator.keys(operator.bucket) if "probe" in key]


def _last_commit(operator: Operator) -> dict[str, object]:
    commit: dict[str, object] = operator.call("log", path="/linux-64")["generations"][0]["commit"]
    return commit
