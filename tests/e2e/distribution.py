"""The distribution of a deployed stack, as those see it who read channels through it."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from local import clients
from local.emulator import CREDENTIALS, REGION
from local.stack import STACK_NAME, Stack
from tests.support.cloudfront import behavior_of

_NOT_OURS = ("connection", "content-length", "date", "server", "transfer-encoding")
"""ObjectHeaders that the server which answers writes itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Distribution:
    """What stands in front of the channel bucket."""

    endpoint: str
    """Of MiniStack, which tells distributions by the ``Host`` of a request."""
    ca_bundle: Path
    arn: str
    domain: str
    url: str
    """As people are told it."""
    cloudfront: Any
    """A client of boto3, for what the distribution is deployed with."""

    @property
    def id(self) -> str:
        """By which CloudFront knows it."""
        return self.arn.rpartition("/")[2]

    def ttls(self, path: str) -> dict[str, int]:
        """MinTTL, DefaultTTL and MaxTTL of the cache policy that is deployed for a path."""
        found = self.cloudfront.get_distribution_config(Id=self.id)["DistributionConfig"]
        config = {**found, "CacheBehaviors": found["CacheBehaviors"]["Items"]}
        policy = behavior_of(config, path)["CachePolicyId"]
        deployed = self.cloudfront.get_cache_policy_config(Id=policy)["CachePolicyConfig"]
        return {name: deployed[name] for name in ("MinTTL", "DefaultTTL", "MaxTTL")}

    def invalidated(self) -> list[list[str]]:
        """The paths of each invalidation so far."""
        listed = self.cloudfront.list_invalidations(DistributionId=self.id)["InvalidationList"]
        return [
            self.cloudfront.get_invalidation(DistributionId=self.id, Id=one["Id"])["Invalidation"][
                "InvalidationBatch"
            ]["Paths"]["Items"]
            for one in listed.get("Items", [])
        ]

    def ask(
        self, path: str, *, method: str = "GET", over_tls: bool = True, **headers: str
    ) -> Answer:
        """Send one request, its path as it is; follows nothing."""
        trust = ssl.create_default_context(cafile=self.ca_bundle)
        trust.check_hostname = False  # the certificate is that of the loopback address
        connection = http.client.HTTPSConnection(urlsplit(self.endpoint).netloc, context=trust)
        try:
            # MiniStack takes the word of whoever would have ended the TLS before it.
            scheme = {} if over_tls else {"X-Forwarded-Proto": "http"}
            connection.request(method, path, headers={**headers, **scheme, "Host": self.domain})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


def distribution_of(stack: Stack) -> Distribution:
    """Return the distribution that the outputs of a stack name."""
    assert stack.ca_bundle  # the policy of the bucket refuses what does not come over TLS
    (described,) = clients.cloudformation(stack.endpoint, stack.ca_bundle).describe_stacks(
        StackName=STACK_NAME
    )["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    return Distribution(
        stack.endpoint,
        stack.ca_bundle,
        outputs["DistributionArn"],
        outputs["DistributionDomainName"],
        outputs["ChannelUrl"],
        boto3.client(
            "cloudfront",
            endpoint_url=stack.endpoint,
            verify=str(stack.ca_bundle),
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        ),
    )


@contextmanager
def local_url(distribution: Distribution) -> Iterator[str]:
    """Give the distribution an address that clients can reach, and yield its URL."""
    handler = partial(_Handler, distribution)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, distribution: Distribution, *arguments: object) -> None:
        self._distribution = distribution
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        answer = self._distribution.ask(self.path, method=self.command)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name not in _NOT_OURS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
