"""What CloudFront does with a distribution's configuration, as its Developer Guide says.

For what the local AWS does not do (it caches nothing), and for servers of tests that have to answer
as the distribution would.  Pages of the guide:
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from tests.support.template import properties

_UNCACHED = {"no-cache", "no-store", "private"}


def matches(pattern: str, path: str) -> bool:
    """Whether a path pattern fits a path without its query (DownloadDistValuesPathPattern).

    ``*`` is any characters, slashes too, ``?`` one; case counts; a leading slash may be left out.
    """
    wildcards = {"*": ".*", "?": "."}
    regex = "".join(wildcards.get(one, re.escape(one)) for one in f"/{pattern.lstrip('/')}")
    return re.fullmatch(regex, path, re.DOTALL) is not None


def behavior_of(config: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The behavior for a path: the first whose pattern fits, else the default one."""
    behaviors = [one for one in config["CacheBehaviors"] if matches(one["PathPattern"], path)]
    found: Mapping[str, Any] = [*behaviors, config["DefaultCacheBehavior"]][0]
    return found


def headers_of_policy(policy: Mapping[str, Any]) -> dict[str, str]:
    """What a ResponseHeadersPolicyConfig puts in the place of the origin's headers, CORS aside.

    Their names are in lower case.  (understanding-response-headers-policies.html)
    """
    security = policy["SecurityHeadersConfig"]
    https = security["StrictTransportSecurity"]
    assert https["IncludeSubdomains"] is False
    values = {
        "content-security-policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "referrer-policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "strict-transport-security": f"max-age={https['AccessControlMaxAgeSec']}",
        "x-content-type-options": "nosniff",
        "x-frame-options": security["FrameOptions"]["FrameOption"],
    }
    custom = policy.get("CustomHeadersConfig", {"Items": []})["Items"]
    values |= {one["Header"].lower(): one["Value"] for one in custom}
    # Otherwise what the origin says would count, which is what the uploader said.
    assert all(one["Override"] is True for one in [*security.values(), *custom])
    return values


def headers_of_template(path: str) -> dict[str, str]:
    """What the distribution of ``template.yaml`` adds to every answer for a path."""
    behavior = behavior_of(properties("Distribution")["DistributionConfig"], path)
    policy = properties(behavior["ResponseHeadersPolicyId"]["Ref"])["ResponseHeadersPolicyConfig"]
    return headers_of_policy(policy)


def seconds_kept(ttls: Mapping[str, int], received: Mapping[str, str]) -> int:
    """For how long CloudFront keeps an answer of S3 with these headers (Expiration.html).

    ``ttls`` has MinTTL, DefaultTTL and MaxTTL of the cache policy; the names in ``received`` are in
    lower case.
    """
    assert ttls["MinTTL"] <= ttls["DefaultTTL"] <= ttls["MaxTTL"]  # InvalidTTLOrder otherwise
    told = dict[str, str]()
    for directive in received.get("cache-control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        told[name] = value
    if _UNCACHED & told.keys():
        return ttls["MinTTL"]
    age = told.get("s-maxage", told.get("max-age"))
    if age is None and "expires" in received:
        until = parsedate_to_datetime(received["expires"])
        age = str(int((until - parsedate_to_datetime(received["date"])).total_seconds()))
    if age is None:
        return ttls["DefaultTTL"]
    return max(ttls["MinTTL"], min(int(age), ttls["MaxTTL"]))
