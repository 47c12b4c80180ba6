"""``sluice verify`` against the deployed stack: damage is planted, found and repaired."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.emulator import CREDENTIALS
from sluice.catalog import tree as trees
from sluice.catalog.head import read_head
from sluice.catalog.leaf_reader import stored_key
from sluice.layout import REPODATA
from sluice.storage.s3_client import make_s3_client
from sluice.storage.s3_store import S3Store
from testkit.channel import Package, conda
from testkit.deployed import Channel
from tests.support.installed_program import Program, ProgramResult

STACK = "sluice"


def package(name: str, *, payload: bytes = b"") -> Package:
    index = {"name": name, "version": "1.0", "build": "0", "build_number": 0, "subdir": "linux-64"}
    return conda(index, payload=payload)


PACKAGES = tuple(package(name) for name in ("alpha", "beta", "gamma", "delta"))
REBUILT = package("gamma", payload=b"rebuilt")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program.install(tmp_path_factory.mktemp("installed"))


def verify(program: Program, channel: Channel, *arguments: str, code: int) -> ProgramResult:
    """Call the command; it has to exit with ``code``."""
    ran = program.run(
        *("verify", channel.url, "--stack", STACK, *arguments),
        environment={
            "AWS_ENDPOINT_URL": channel.deployed.stack.endpoint,
            "COLUMNS": "200",
            **CREDENTIALS,
        },
    )
    assert ran.code == code, ran
    return ran


def test_what_is_planted_is_found_and_repaired(
    program: Program,
    make_channel: Callable[[str], Channel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel = make_channel("e2e/verify")
    channel.upload(*PACKAGES)
    channel.wait_until_it_holds(*PACKAGES)
    assert "No differences." in verify(program, channel, "--deep", code=0).out

    stack = channel.deployed.stack
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.endpoint)
    state = S3Store(make_s3_client(), stack.state_bucket)
    linux = channel.subdir("linux-64")
    digest = read_head(state, linux).value.tree
    assert digest
    stored = state.get(linux.tree_key(digest))
    assert stored
    nodes = trees.decode_tree(stored.body, what="tree").names

    leaf = stored_key(linux, nodes["alpha"])
    body = bytearray(channel.deployed.get(stack.state_bucket, leaf) or b"")
    body[len(body) // 2] ^= 1
    stack.s3.put_object(Bucket=stack.state_bucket, Key=leaf, Body=bytes(body))
    shard = linux.shard_key((nodes["beta"].shard or b"").hex())
    stack.s3.delete_object(Bucket=stack.channel_bucket, Key=shard)
    repodata = linux.file_key(REPODATA)
    stack.s3.put_object(Bucket=stack.channel_bucket, Key=repodata, Body=b'{"packages": {}}')
    with channel.deployed.without_events():
        channel.upload(REBUILT)

    told = verify(program, channel, "--json", code=1).json["found"]
    found = {(one["kind"], one["object"]) for one in told["findings"]}
    assert found == {
        ("leaf-damaged", leaf),
        ("shard-damaged", shard),
        ("file-foreign", repodata),
        ("package-changed", channel.key(REBUILT)),
    }
    repaired = verify(program, channel, "--repair", "--json", code=1).json
    assert repaired["left"]["findings"] == []
    assert "No differences." in verify(program, channel, "--deep", code=0).out
    alpha, beta, _, delta = PACKAGES
    channel.wait_until_it_holds(alpha, beta, REBUILT, delta)


def test_an_index_that_somebody_else_wrote_is_found_and_repaired(
    program: Program, channel: Channel
) -> None:
    channel.upload(PACKAGES[0])
    channel.wait_until_it_holds(PACKAGES[0])
    stack = channel.deployed.stack
    repodata = channel.subdir("linux-64").file_key(REPODATA)
    stack.s3.put_object(Bucket=stack.channel_bucket, Key=repodata, Body=b'{"packages": {}}')
    told = verify(program, channel, "--repair", "--json", code=1).json
    assert [(one["kind"], one["object"]) for one in told["found"]["findings"]] == [
        ("file-foreign", repodata)
    ]
    assert told["left"]["findings"] == []
    channel.wait_until_it_holds(PACKAGES[0])
