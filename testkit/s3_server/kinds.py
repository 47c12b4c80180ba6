"""Kinds of S3 servers, and the result that a probe of each must have."""

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
class ServerKind:
    """One kind of server."""

    deviations: Collection[Deviation]
    expected: ConditionalWrites | None
    """The result of the probe; ``None``: sluice refuses the server."""
    refusal: str = ""
    """A regular expression of the error message, where sluice refuses the server."""

    @property
    def verifies_checksums(self) -> bool:
        """Whether it refuses a body that does not match its checksum."""
        return Deviation.CHECKSUMS_IGNORED not in self.deviations


USABLE: Mapping[str, ServerKind] = {
    "as-aws": ServerKind([], ConditionalWrites()),
    "bare-etags-alone": ServerKind([Deviation.BARE_ETAGS], ConditionalWrites(IfMatchForm.BARE)),
    "completion-without-condition": ServerKind(
        [Deviation.UNCONDITIONAL_COMPLETION], ConditionalWrites(completion_is_conditional=False)
    ),
    "checksums-ignored": ServerKind([Deviation.CHECKSUMS_IGNORED], ConditionalWrites()),
    "as-ceph": ServerKind(
        [Deviation.BARE_ETAGS, Deviation.UNCONDITIONAL_COMPLETION, Deviation.CHECKSUMS_IGNORED],
        ConditionalWrites(IfMatchForm.BARE, completion_is_conditional=False),
    ),
}
UNUSABLE: Mapping[str, ServerKind] = {
    "if-match-ignored": ServerKind(
        [Deviation.IF_MATCH_IGNORED],
        None,
        "If-Match replaced an object with a different ETag",
    ),
    "if-none-match-ignored": ServerKind(
        [Deviation.IF_NONE_MATCH_IGNORED], None, "If-None-Match replaced an existing object"
    ),
    "all-ignored": ServerKind(
        [Deviation.IF_MATCH_IGNORED, Deviation.IF_NONE_MATCH_IGNORED],
        None,
        "If-None-Match replaced an existing object",
    ),
    "refused": ServerKind(
        [Deviation.REFUSED], None, "a write with If-None-Match failed, .*status 501 NotImplemented"
    ),
}
KINDS: Mapping[str, ServerKind] = {**USABLE, **UNUSABLE}


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
    """An ``Aws`` whose settings name this server."""
    aws = Aws(endpoint_url=server.endpoint, region=REGION)
    vars(aws).update(_s3=client or client_of(server), _endpoint=Endpoint(REGION, server.endpoint))
    return aws


def with_request_hook(
    client: S3Client, hook: Callable[[AWSPreparedRequest, Send], AWSResponse]
) -> S3Client:
    """Pass each request of a client to ``hook``, which sends it or answers it."""
    send = client.send
    client.send = lambda request: hook(request, send)
    return client
