"""CloudFront in front of the channel bucket: what people see who have no rights at all.

Over TLS, with every policy enforced, as on AWS: MiniStack runs the function of the distribution
and applies its behaviors, its response headers policies and the policy of the bucket.  It caches
nothing: for how long CloudFront would keep an answer is worked out here, by its documentation, from
the headers of S3 and the cache policy that is deployed.  It keeps invalidations and does nothing
about them.  It answers 403 to a missing key, even to a caller that may list, see
``tests/unit/test_cdn.py``.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import rattler
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from local import clients
from local.emulator import REGION, run_emulator
from local.stack import ROOT, STACK_NAME, deploy
from sluice.cli.exits import Exit
from sluice.cli.main import run
from testkit.channel import Package, conda
from testkit.deployed import Channel, Deployed
from tests.e2e.distribution import Distribution, distribution_of, local_url
from tests.e2e.existing_bucket import switch_eventbridge_on
from tests.support.cloudfront import seconds_kept

EXISTING = "my-bucket"  # as the docs have it, and the channel, too
CHANNEL = "team"
SECRET = "reports/2026.txt"


def package(name: str, version: str, subdir: str, **more: Any) -> Package:
    index = {"name": name, "version": version, "build": "h0_0", "build_number": 0, "depends": []}
    return conda({**index, "subdir": subdir, **more})


TORCH = package("torch", "2.1+cpu", "linux-64", depends=["words"])
WORDS = package("words", "1!1.0", "noarch", noarch="generic")


def policy_of_the_docs(arn: str) -> dict[str, Any]:
    """What ``docs/how-to/public-channel.md`` has people add to the policy of their bucket."""
    page = (ROOT / "docs" / "how-to" / "public-channel.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    policy: dict[str, Any] = json.loads(block.replace("DISTRIBUTION_ARN", arn))
    return policy


@pytest.fixture(scope="module", params=["a bucket of the stack", "a bucket that existed"])
def channel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Channel]:
    home = tmp_path_factory.mktemp("cdn")
    parameters = {"Cdn": "cloudfront"}
    with run_emulator(home, strict=True) as emulator, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_CA_BUNDLE", str(emulator.ca_bundle))
        s3 = clients.s3(emulator.endpoint, emulator.ca_bundle)
        if request.param == "a bucket that existed":
            s3.create_bucket(Bucket=EXISTING)
            switch_eventbridge_on(s3, EXISTING)
            parameters["ExistingChannelBucketName"] = EXISTING
        stack = deploy(emulator, home, parameters=parameters)
        if request.param == "a bucket that existed":
            s3.put_object(Bucket=EXISTING, Key=SECRET, Body=b"nobody's business")
            found = Channel(Deployed(stack), CHANNEL)
            found.upload(WORDS)
            found.wait_until_it_holds(WORDS)
            unseen = distribution_of(stack).ask("/team/noarch/repodata.json")
            assert unseen.status == 403  # or the policy of the docs would prove nothing
            policy = policy_of_the_docs(distribution_of(stack).arn)
            s3.put_bucket_policy(Bucket=EXISTING, Policy=json.dumps(policy))
        channel = Channel(Deployed(stack), CHANNEL)
        channel.upload(TORCH, WORDS)
        channel.wait_until_it_holds(TORCH, WORDS)
        yield channel
        assert channel.deployed.errors() == []


@pytest.fixture
def cdn(channel: Channel) -> Distribution:
    return distribution_of(channel.deployed.stack)


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json.zst"])
def test_a_client_without_credentials_solves_and_installs_over_https(
    cdn: Distribution, tmp_path: Path, *, sharded: bool
) -> None:
    config = rattler.SourceConfig(sharded_enabled=sharded)

    async def install(url: str) -> None:
        records = await rattler.solve(
            [rattler.Channel(f"{url}/{CHANNEL}")],
            ["torch"],
            rattler.Gateway(cache_dir=tmp_path / "repodata", default_config=config),
            ["linux-64", "noarch"],
        )
        await rattler.install(
            records, tmp_path / "prefix", cache_dir=tmp_path / "packages", show_progress=False
        )

    with local_url(cdn) as url:
        asyncio.run(install(url))
    installed = {path.name for path in (tmp_path / "prefix" / "conda-meta").glob("*.json")}
    assert installed == {"torch-2.1+cpu-h0_0.json", "words-1!1.0-h0_0.json"}


def test_a_plus_in_a_name_is_found_written_either_way(cdn: Distribution) -> None:
    for name in ("torch-2.1+cpu-h0_0.conda", "torch-2.1%2Bcpu-h0_0.conda"):
        answer = cdn.ask(f"/{CHANNEL}/linux-64/{name}")
        assert (answer.status, answer.body) == (200, TORCH.body)


def test_files_are_kept_for_as_long_as_they_say(channel: Channel, cdn: Distribution) -> None:
    (shard,) = (
        key
        for key in channel.files()
        if re.fullmatch(r"linux-64/(shards/)?\w{64}\.msgpack\.zst", key)
    )
    kept = {
        path: cdn.ask(f"/{CHANNEL}/{path}").headers["cache-control"]
        for path in (shard, "linux-64/repodata.json", "linux-64/repodata_shards.msgpack.zst")
    }
    assert kept == {
        shard: "public, max-age=31536000, immutable",
        "linux-64/repodata.json": "public, max-age=60",
        "linux-64/repodata_shards.msgpack.zst": "public, max-age=60",
    }


A_YEAR = 31_536_000
HTML = b"<!doctype html><script>alert(document.domain)</script>"


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_an_html_upload_is_an_attachment_that_runs_nothing_and_is_not_kept_for_long(
    channel: Channel, cdn: Distribution, suffix: str
) -> None:
    stack = channel.deployed.stack
    path = f"{CHANNEL}/linux-64/evil-1.0-0{suffix}"
    stack.s3.put_object(
        Bucket=stack.channel_bucket,
        Key=path,
        Body=HTML,
        # All that an uploader can say of an object and S3 passes on.
        ContentType="text/html",
        CacheControl=f"public, max-age={A_YEAR}, immutable",
        Expires=datetime(2100, 1, 1, tzinfo=UTC),
        ContentDisposition="inline",
        ContentLanguage="de",
        WebsiteRedirectLocation="https://evil.example/",
        Metadata={"content-security-policy": "default-src *"},
    )
    answer = cdn.ask(f"/{path}")
    assert (answer.status, answer.body) == (200, HTML)
    decided = {
        name: answer.headers.get(name)
        for name in (
            *("content-security-policy", "content-disposition", "x-content-type-options"),
            *("x-frame-options", "cache-control", "location"),
        )
    }
    assert decided == {
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": "attachment",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-cache",
        "location": None,
    }
    stored = stack.s3.head_object(Bucket=stack.channel_bucket, Key=path)
    received = stored["ResponseMetadata"]["HTTPHeaders"]
    assert received["cache-control"] == f"public, max-age={A_YEAR}, immutable"
    assert seconds_kept(cdn.ttls(f"/{path}"), received) == 3600


def test_a_path_that_is_written_in_another_way_is_no_way_around(
    channel: Channel, cdn: Distribution
) -> None:
    stack = channel.deployed.stack
    stack.s3.put_object(
        Bucket=stack.channel_bucket,
        Key=f"{CHANNEL}/linux-64/evil-2.0-0.conda",
        Body=HTML,
        ContentType="text/html",
    )
    for name in ("evil-2.0-0.%63onda", "evil-2.0-0%2Econda", "%65vil-2.0-0.conda?x=/index.html"):
        answer = cdn.ask(f"/{CHANNEL}/linux-64/{name}")
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "sandbox"} <= set(policy), name


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{CHANNEL}/evil.html", "text/html"),
        (f"{CHANNEL}/linux-64/evil.svg", "image/svg+xml"),
        (f"{CHANNEL}/noarch/evil.xml", "application/xhtml+xml"),
        (f"{CHANNEL}/noarch/evil.zst", "text/html"),
    ],
)
def test_what_else_lies_in_the_bucket_is_shown_in_a_sandbox(
    channel: Channel, cdn: Distribution, path: str, kind: str
) -> None:
    stack = channel.deployed.stack
    stack.s3.put_object(Bucket=stack.channel_bucket, Key=path, Body=HTML, ContentType=kind)
    answer = cdn.ask(f"/{path}")
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    )


def test_a_package_that_is_removed_is_invalidated(
    channel: Channel, cdn: Distribution, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = channel.deployed.stack
    bad = package("bad", "1.0+cpu", "linux-64")
    channel.upload(bad)
    channel.wait_until_it_holds(TORCH, WORDS, bad)
    before = cdn.invalidated()
    named = ["--stack", STACK_NAME, "--endpoint-url", stack.endpoint, "--json"]
    ran = run(["remove", channel.url, f"linux-64/{bad.filename}", "--grace-seconds", "0", *named])
    assert ran == Exit.OK
    folder = f"/{CHANNEL}/linux-64"
    paths = [f"{folder}/bad-1.0+cpu-h0_0.conda", f"{folder}/bad-1.0%2Bcpu-h0_0.conda"]
    (told,) = json.loads(capsys.readouterr().out)
    (invalidation,) = told["invalidations"]
    assert told["deleted"] == [bad.filename]
    assert (invalidation["distribution"], invalidation["paths"]) == (cdn.id, paths)
    assert invalidation["failure"] is None
    assert [one for one in cdn.invalidated() if one not in before] == [paths]
    assert cdn.ask(paths[0]).status in (403, 404)
    channel.wait_until_it_holds(TORCH, WORDS)


def test_a_folder_shows_its_page_and_nobody_can_list(channel: Channel, cdn: Distribution) -> None:
    stack = channel.deployed.stack
    key = f"{CHANNEL}/index.html"
    stack.s3.put_object(
        Bucket=stack.channel_bucket, Key=key, Body=b"<title>team", ContentType="text/html"
    )
    for page in (f"/{CHANNEL}/", f"/{key}"):
        answer = cdn.ask(page)
        assert answer.body == b"<title>team"
        policy = answer.headers["content-security-policy"].split("; ")
        assert "script-src 'unsafe-inline'" in policy  # the page itself has the stricter one
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    for path in ("/", "/?list-type=2", f"/?list-type=2&prefix={CHANNEL}/", "/?versions", "//"):
        answer = cdn.ask(path)
        assert answer.status in (403, 404), path
        assert b"ListBucketResult" not in answer.body


def test_pages_of_other_hosts_may_read_and_browsers_are_told_to_stay_with_https(
    cdn: Distribution,
) -> None:
    answer = cdn.ask(f"/{CHANNEL}/noarch/repodata.json", Origin="https://lite.example.com")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_plain_http_is_sent_to_https_and_nothing_can_be_written(cdn: Distribution) -> None:
    path = f"/{CHANNEL}/noarch/repodata.json"
    plain = cdn.ask(path, over_tls=False)
    assert (plain.status, plain.headers["location"]) == (301, f"https://{cdn.domain}{path}")
    assert cdn.ask(path, method="PUT").status == 403
    assert cdn.ask(path, method="DELETE").status == 403


def test_the_bucket_itself_stays_closed(channel: Channel) -> None:
    stack = channel.deployed.stack
    stranger = boto3.client(
        "s3",
        endpoint_url=stack.endpoint,
        verify=str(stack.ca_bundle),
        region_name=REGION,
        config=Config(signature_version=UNSIGNED),
    )
    with pytest.raises(ClientError) as refused:
        stranger.get_object(Bucket=stack.channel_bucket, Key=channel.key(WORDS))
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_it_is_reached_by_the_name_that_the_outputs_tell(cdn: Distribution) -> None:
    assert cdn.url == f"https://{cdn.domain}"


def test_what_else_lies_in_a_bucket_that_existed_is_not_shown(
    channel: Channel, cdn: Distribution
) -> None:
    stack = channel.deployed.stack
    stack.s3.put_object(Bucket=stack.channel_bucket, Key=SECRET, Body=b"nobody's business")
    shown = cdn.ask(f"/{SECRET}").status
    # All of the stack's own bucket is channels.
    assert shown == (403 if stack.channel_bucket == EXISTING else 200)
