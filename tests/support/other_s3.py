"""S3 servers that do otherwise than AWS, over HTTP, and what they have to be taken for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.credentials import Credentials

from sluice.admin.session.aws import Aws
from sluice.storage.conditional_writes import ConditionalWrites, IfMatchForm
from sluice.storage.s3_client import Endpoint, S3Client, Send, make_s3_client
from testkit.s3_server.conditions import Deviation
from testkit.s3_server.process import S3Server, s3_server

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of server."""

    deviations: Collection[Deviation]
    finding: ConditionalWrites | None
    """What it does; ``None``: it cannot be used."""
    complaint: str = ""
    """What is said of one that cannot be used: a regular expression."""


USABLE: Mapping[str, Kind] = {
    "as-aws": Kind([], ConditionalWrites()),
    "bare-etags-alone": Kind([Deviation.BARE_ETAGS], ConditionalWrites(IfMatchForm.BARE)),
    "completion-without-condition": Kind(
        [Deviation.UNCONDITIONAL_COMPLETION], ConditionalWrites(completion_is_conditional=False)
    ),
    "as-ceph": Kind(
        [Deviation.BARE_ETAGS, Deviation.UNCONDITIONAL_COMPLETION],
        ConditionalWrites(IfMatchForm.BARE, completion_is_conditional=False),
    ),
}
UNUSABLE: Mapping[str, Kind] = {
    "if-match-ignored": Kind(
        [Deviation.IF_MATCH_IGNORED],
        None,
        "If-Match replaced another version than the one that it named",
    ),
    "if-none-match-ignored": Kind(
        [Deviation.IF_NONE_MATCH_IGNORED], None, "If-None-Match replaced an object"
    ),
    "all-ignored": Kind(
        [Deviation.IF_MATCH_IGNORED, Deviation.IF_NONE_MATCH_IGNORED],
        None,
        "If-None-Match replaced an object",
    ),
    "refused": Kind(
        [Deviation.REFUSED], None, "If-None-Match did not land, .*status 501 NotImplemented"
    ),
}
KINDS: Mapping[str, Kind] = {**USABLE, **UNUSABLE}


@contextmanager
def servers(kinds: Collection[str]) -> Iterator[Mapping[str, S3Server]]:
    """Run a server of each kind while in the context."""
    with ExitStack() as running:
        yield {
            kind: running.enter_context(s3_server(page_size=20, deviations=KINDS[kind].deviations))
            for kind in kinds
        }


def client_of(server: S3Server) -> S3Client:
    """A client of a server."""
    return make_s3_client(Endpoint(REGION, server.endpoint), Credentials("test", "test"))


def aws_of(server: S3Server, client: S3Client | None = None) -> Aws:
    """What people's settings lead to, where they name a server."""
    aws = Aws(endpoint_url=server.endpoint, region=REGION)
    vars(aws).update(_s3=client or client_of(server), _endpoint=Endpoint(REGION, server.endpoint))
    return aws


def through(client: S3Client, hook: Callable[[AWSPreparedRequest, Send], AWSResponse]) -> S3Client:
    """Have each request of a client pass a hook, which sends it or does not."""
    send = client.send
    client.send = lambda request: hook(request, send)
    return client
