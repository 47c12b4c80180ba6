"""The distribution of ``template.yaml``, where the local AWS cannot show what it does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import pytest

from local.emulator import NODE
from sluice.channel_files import page
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.storage.object_headers import SHARD_HEADERS, index_file_headers
from sluice.storage.object_store import ObjectHeaders
from tests.support.cloudfront import behavior_of, headers_of_template, seconds_kept
from tests.support.template import CHANNEL, RESOURCES, ROOT, TEMPLATE, of_type, properties

CDN = [name for name, one in RESOURCES.items() if one["Type"].startswith("AWS::CloudFront::")]
CONFIG: dict[str, Any] = properties("Distribution")["DistributionConfig"]
BEHAVIORS = [CONFIG["DefaultCacheBehavior"], *CONFIG["CacheBehaviors"]]
POLICIES = of_type("AWS::CloudFront::CachePolicy")
ARN = {"Sub": "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}"}
A_YEAR = 31_536_000


PACKAGES = [f"/team/linux-64/a-1-0{suffix}" for suffix in PACKAGE_SUFFIXES]
DIGEST = "ab" * 32


def behavior(path: str) -> Mapping[str, Any]:
    """The behavior that CloudFront applies to a path."""
    return behavior_of(CONFIG, path)


def cached(path: str, received: Mapping[str, str], **parameters: int) -> int:
    """For how many seconds CloudFront keeps an answer of S3; parameters as given, or by default."""
    policy = properties(behavior(path)["CachePolicyId"]["Ref"])["CachePolicyConfig"]
    defaults = {name: one["Default"] for name, one in TEMPLATE["Parameters"].items()}
    given = {**defaults, **parameters}
    ttls = {
        name: given[policy[name]["Ref"]] if isinstance(policy[name], dict) else policy[name]
        for name in ("MinTTL", "DefaultTTL", "MaxTTL")
    }
    return seconds_kept(ttls, received)


def shown_to_the_cdn() -> list[dict[str, Any]]:
    """What the policy of the bucket that the stack makes allows."""
    every = properties("ChannelBucketPolicy")["PolicyDocument"]["Statement"]
    conditional = [one["If"] for one in every if "If" in one]
    assert all(
        (when, otherwise) == ("MakeCdn", {"Ref": "AWS::NoValue"})
        for when, _, otherwise in conditional
    )
    return [one for _, one, _ in conditional]


# --- off, unless asked for ----------------------------------------------------------------


def test_without_a_cdn_nothing_of_it_is_made() -> None:
    assert TEMPLATE["Parameters"]["Cdn"]["Default"] == "none"
    assert TEMPLATE["Conditions"]["MakeCdn"] == {"Equals": [{"Ref": "Cdn"}, "cloudfront"]}
    assert CDN
    assert {RESOURCES[name]["Condition"] for name in CDN} == {"MakeCdn"}
    told = [one for one in TEMPLATE["Outputs"].values() if any(name in str(one) for name in CDN)]
    assert {one["Condition"] for one in told} == {"MakeCdn"}


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("", True),
        ("conda.example.com", True),
        ("a-b.c.io", True),
        ("Conda.example.com", False),
        ("localhost", False),
        ("https://conda.example.com", False),
        ("conda.example.com.", False),
    ],
)
def test_a_name_of_the_cdn_is_one_of_dns(name: str, *, valid: bool) -> None:
    pattern = TEMPLATE["Parameters"]["CdnDomainName"]["AllowedPattern"]
    assert (re.fullmatch(pattern, name) is not None) == valid


def test_a_name_and_its_certificate_are_given_together_and_to_a_cdn_alone() -> None:
    def given(parameter: str) -> dict[str, Any]:
        return {"Not": [{"Equals": [{"Ref": parameter}, ""]}]}

    rules = TEMPLATE["Rules"]
    assert rules["NameOfTheCdn"]["RuleCondition"] == given("CdnDomainName")
    assert [one["Assert"] for one in rules["NameOfTheCdn"]["Assertions"]] == [
        {"Equals": [{"Ref": "Cdn"}, "cloudfront"]},
        given("CdnCertificateArn"),
    ]
    assert rules["CertificateOfTheCdn"]["RuleCondition"] == given("CdnCertificateArn")
    assert [one["Assert"] for one in rules["CertificateOfTheCdn"]["Assertions"]] == [
        given("CdnDomainName")
    ]


# --- who gets in --------------------------------------------------------------------------


def test_the_bucket_lets_this_one_distribution_read_and_tell_absent_from_forbidden() -> None:
    read, tell = shown_to_the_cdn()
    for one in (read, tell):
        assert one["Effect"] == "Allow"
        assert one["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert one["Condition"] == {"StringEquals": {"aws:SourceArn": ARN}}
    assert (read["Action"], read["Resource"]) == ("s3:GetObject", {"Sub": "${ChannelBucket.Arn}/*"})
    assert (tell["Action"], tell["Resource"]) == ("s3:ListBucket", {"GetAtt": "ChannelBucket.Arn"})


def test_the_docs_have_people_allow_the_same_for_one_channel_of_their_bucket() -> None:
    page = (ROOT / "docs" / "how-to" / "public-channel.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    expected = [{**one} for one in shown_to_the_cdn()]
    for one, resource in zip(
        expected, ("arn:aws:s3:::my-bucket/team/*", "arn:aws:s3:::my-bucket"), strict=True
    ):
        one["Resource"] = resource
        one["Condition"] = {"StringEquals": {"aws:SourceArn": "DISTRIBUTION_ARN"}}
    assert json.loads(block)["Statement"] == expected


def test_every_request_to_the_bucket_is_signed() -> None:
    (origin,) = CONFIG["Origins"]
    name, where = origin["DomainName"]["Sub"]
    assert name == "${Channel}.s3.${AWS::Region}.${AWS::URLSuffix}"
    assert where == {"Channel": CHANNEL}
    assert origin["OriginAccessControlId"] == {"GetAtt": "OriginAccess.Id"}
    access = properties("OriginAccess")["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], access["SigningProtocol"]) == ("always", "sigv4")


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_but_the_path_reaches_s3_so_that_nobody_lists_or_digs_for_versions(
    policy: str,
) -> None:
    forwarded = properties(policy)["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
    assert forwarded["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert forwarded["HeadersConfig"] == {"HeaderBehavior": "none"}
    assert forwarded["CookiesConfig"] == {"CookieBehavior": "none"}


def test_only_reading_and_only_over_tls() -> None:
    assert all(one["AllowedMethods"] == ["GET", "HEAD"] for one in BEHAVIORS)
    assert {one["ViewerProtocolPolicy"] for one in BEHAVIORS} == {"redirect-to-https"}
    named, own = CONFIG["ViewerCertificate"]["If"][1:]
    assert named["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert own == {"CloudFrontDefaultCertificate": True}


# --- what is kept -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "seconds"),
    [
        (f"/team/linux-64/shards/{DIGEST}.msgpack.zst", SHARD_HEADERS, A_YEAR),
        ("/team/linux-64/repodata.json", index_file_headers("repodata.json", 5), 5),
        ("/team/linux-64/repodata.json.zst", index_file_headers("repodata.json.zst", 5), 5),
        ("/team/linux-64/repodata.json.bz2", index_file_headers("repodata.json.bz2", 86400), 86400),
        ("/team/page.json.gz", index_file_headers("page.json.gz", 5), 5),
        ("/team/index.html", index_file_headers("index.html", 5), 5),
        ("/team/", index_file_headers("index.html", 5), 5),
    ],
)
def test_index_files_are_kept_for_as_long_as_their_cache_control_says(
    path: str, headers: ObjectHeaders, seconds: int
) -> None:
    assert cached(path, {"cache-control": str(headers.cache_control)}) == seconds
    # Somebody's file without one: as long as an index file.
    assert cached(path, {}, IndexCacheMaxAge=7) == 7


@pytest.mark.parametrize("path", PACKAGES)
@pytest.mark.parametrize(
    "received",
    [
        {"cache-control": f"public, max-age={A_YEAR}, immutable"},
        {"cache-control": f"max-age=0, s-maxage={A_YEAR}"},
        {"expires": formatdate(4_102_444_800, usegmt=True), "date": formatdate(0, usegmt=True)},
    ],
    ids=["max-age", "s-maxage", "Expires"],
)
def test_no_uploader_has_a_package_kept_for_longer_than_the_stack_says(
    path: str, received: Mapping[str, str]
) -> None:
    assert cached(path, received) == 3600
    assert cached(path, received, PackageCacheMaxAge=60) == 60


@pytest.mark.parametrize("path", PACKAGES)
def test_a_package_without_cache_control_is_kept_for_a_minute(path: str) -> None:
    # It may be overwritten, and its index must not be ahead of it for long.
    assert cached(path, {}, IndexCacheMaxAge=86400) == 60
    assert cached(path, {"cache-control": "max-age=5"}) == 5
    assert cached(path, {"cache-control": "no-store"}) == 0


def test_cloudfront_takes_every_package_cache_max_age_that_may_be_given() -> None:
    parameter = TEMPLATE["Parameters"]["PackageCacheMaxAge"]
    ttls = properties("PackageCachePolicy")["CachePolicyConfig"]
    # InvalidTTLOrder otherwise.
    assert ttls["MinTTL"] <= ttls["DefaultTTL"] <= parameter["MinValue"] < parameter["MaxValue"]


# --- no upload runs script ----------------------------------------------------------------

SANDBOX = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; sandbox",
    "referrer-policy": "no-referrer",
    "strict-transport-security": f"max-age={A_YEAR}",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.mark.parametrize(
    "path", [*PACKAGES, "/a-1-0.conda", "/team/x/y/z.conda", "/.conda", "/team/index.html.conda"]
)
def test_a_package_is_a_download_whatever_its_uploader_says(path: str) -> None:
    assert headers_of_template(path) == SANDBOX | {
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": "attachment",
        "cache-control": "no-cache",
    }


@pytest.mark.parametrize(
    "path",
    [
        *(f"/team/linux-64/{name}" for name in ALL_OUTPUTS if name != "index.html"),
        f"/team/linux-64/shards/{DIGEST}.msgpack.zst",
        "/team/sluice.toml",
        "/team/evil.html",
        "/team/evil.CONDA",
        "/team/INDEX.HTML",
        "/team/index.htm",
        "/team",
        # What a decoder would take for another file.
        "/team/linux-64/evil-1.0-0.%63onda",
        "/team/linux-64/index%2Ehtml",
    ],
)
def test_everything_else_is_shown_in_a_sandbox(path: str) -> None:
    assert headers_of_template(path) == SANDBOX


@pytest.mark.parametrize("path", ["/", "/index.html", "/team/", "/team/index.html", "//"])
def test_a_page_runs_its_own_script_and_loads_none(path: str) -> None:
    found = headers_of_template(path)
    policy = found.pop("content-security-policy")
    assert found == {name: SANDBOX[name] for name in found}
    assert len(found) == len(SANDBOX) - 1
    assert policy.split("; ") == [
        "default-src 'none'",
        "script-src 'unsafe-inline'",
        "style-src 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    # No hash: it would be that of one release's page.  The page itself has it.
    (own,) = re.findall(
        rb'http-equiv="Content-Security-Policy" content="([^"]*)"', page.render_page()
    )
    assert re.search(rb"script-src 'sha256-[^']+'; ", own)


def test_the_policy_of_publishers_lets_them_write_nothing_but_downloads() -> None:
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```json\n([^`]*s3:PutObject[^`]*)```", readme)
    resources = json.loads(block)["Statement"][0]["Resource"]
    assert resources
    for resource in resources:
        path = resource.removeprefix("arn:aws:s3:::my-bucket").replace("*", "anything")
        assert headers_of_template(path)["content-disposition"] == "attachment"


def test_no_error_is_made_into_another() -> None:
    # rattler falls back from shards at 404, not at 403, and conda takes a 404 for an empty subdir.
    assert "CustomErrorResponses" not in CONFIG


@pytest.mark.parametrize(
    "name",
    [*(f"a-1-0{suffix}" for suffix in PACKAGE_SUFFIXES), f"{'ab' * 32}.msgpack.zst", *ALL_OUTPUTS],
)
def test_what_is_compressed_already_is_not_compressed_again(name: str) -> None:
    found = behavior(f"/team/linux-64/{name}")
    packed = name.endswith((".zst", ".bz2", ".gz", ".conda"))
    assert found["Compress"] == (not packed)
    wanted = "PackedCachePolicy" if packed else "CompressibleCachePolicy"
    if name.endswith(PACKAGE_SUFFIXES):
        wanted = "PackageCachePolicy"
    assert found["CachePolicyId"] == {"Ref": wanted}
    key = properties(wanted)["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
    # One version of it in the cache, not one for each Accept-Encoding.
    assert key["EnableAcceptEncodingGzip"] == key["EnableAcceptEncodingBrotli"] == (not packed)


def test_http_2_and_3_over_both_protocols_of_the_internet() -> None:
    assert (CONFIG["HttpVersion"], CONFIG["IPV6Enabled"]) == ("http2and3", True)


# --- what is asked for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/", "/index.html"),
        ("/team/", "/team/index.html"),
        ("/team", "/team"),
        ("/team/noarch/repodata.json", "/team/noarch/repodata.json"),
        ("/a/linux-64/torch-2.1+cpu+x-0.conda", "/a/linux-64/torch-2.1%2Bcpu%2Bx-0.conda"),
        ("/a/linux-64/torch-2.1%2Bcpu-0.conda", "/a/linux-64/torch-2.1%2Bcpu-0.conda"),
        ("/a/linux-64/words-1!1.0-0.conda", "/a/linux-64/words-1!1.0-0.conda"),
    ],
)
def test_a_path_is_turned_into_the_key_that_s3_understands(path: str, key: str) -> None:
    code = properties("RewriteForS3")["FunctionCode"]
    event = {"request": {"method": "GET", "uri": path, "querystring": {}, "headers": {}}}
    script = f"{code}\nprocess.stdout.write(JSON.stringify(handler({json.dumps(event)})))"
    ran = subprocess.run([NODE, "-e", script], check=True, stdout=subprocess.PIPE, text=True)
    assert json.loads(ran.stdout) == {**event["request"], "uri": key}


def test_every_path_goes_through_the_function() -> None:
    function = {
        "EventType": "viewer-request",
        "FunctionARN": {"GetAtt": "RewriteForS3.FunctionARN"},
    }
    assert all(one["FunctionAssociations"] == [function] for one in BEHAVIORS)
    assert properties("RewriteForS3")["AutoPublish"] is True


def test_a_listing_is_kept_from_people_by_more_than_the_function() -> None:
    assert CONFIG["DefaultRootObject"] == "index.html"
