"""The distribution of ``template.yaml``, where the local AWS cannot show what it does."""

from __future__ import annotations

import json
import re
import subprocess
from fnmatch import fnmatchcase
from typing import Any

import pytest

from local.emulator import NODE
from sluice.headers import SHARD
from sluice.keys import PACKAGE_SUFFIXES
from sluice.publish.outputs import ALL
from tests.support.template import CHANNEL, RESOURCES, ROOT, TEMPLATE, of_type, properties

CDN = [name for name, one in RESOURCES.items() if one["Type"].startswith("AWS::CloudFront::")]
CONFIG: dict[str, Any] = properties("Distribution")["DistributionConfig"]
BEHAVIORS = [CONFIG["DefaultCacheBehavior"], *CONFIG["CacheBehaviors"]]
POLICIES = of_type("AWS::CloudFront::CachePolicy")
ARN = {"Sub": "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}"}
A_YEAR = 31_536_000


def behavior(path: str) -> dict[str, Any]:
    """What CloudFront goes by for a path: the first whose pattern fits."""
    fitting = [one for one in CONFIG["CacheBehaviors"] if fnmatchcase(path, one["PathPattern"])]
    found: dict[str, Any] = (fitting or [CONFIG["DefaultCacheBehavior"]])[0]
    return found


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


@pytest.mark.parametrize("policy", POLICIES)
def test_files_are_kept_for_as_long_as_their_cache_control_says(policy: str) -> None:
    config = properties(policy)["CachePolicyConfig"]
    # A minimum would overrule no-cache, a lower maximum the year of shards.
    assert config["MinTTL"] == 0
    assert config["MaxTTL"] == A_YEAR
    assert f"max-age={A_YEAR}," in str(SHARD.cache_control)
    # Packages say nothing; where one is overwritten, its index must not be ahead of it for long.
    assert config["DefaultTTL"] == {"Ref": "IndexCacheMaxAge"}


def test_no_error_is_made_into_another() -> None:
    # rattler falls back from shards at 404, not at 403, and conda takes a 404 for an empty subdir.
    assert "CustomErrorResponses" not in CONFIG


@pytest.mark.parametrize(
    "name", [*(f"a-1-0{suffix}" for suffix in PACKAGE_SUFFIXES), f"{'ab' * 32}.msgpack.zst", *ALL]
)
def test_what_is_compressed_already_is_not_compressed_again(name: str) -> None:
    found = behavior(f"/team/linux-64/{name}")
    packed = name.endswith((".zst", ".bz2", ".gz", ".conda"))
    assert found["Compress"] == (not packed)
    wanted = "PackedCachePolicy" if packed else "CompressibleCachePolicy"
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
