"""Which permissions a function uses: derived from the requests that its clients really make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock
from xml.etree import ElementTree as ET

from sluice.storage import s3_client, sqs_queue
from sluice.storage.s3_client import S3Client, S3Request, S3Response

Permission = tuple[str, str]
"""An action, and what it was used on: ``Channel/<key>``, ``State``, ``MergeQueue``."""

# Service Authorization Reference, "Actions, resources, and condition keys" for S3 and for SQS.
_OBJECT_ACTIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}
_QUEUE_ACTIONS = {
    "ChangeMessageVisibility": "sqs:ChangeMessageVisibility",
    "SendMessage": "sqs:SendMessage",
    "SendMessageBatch": "sqs:SendMessage",
}
_NOT_FOUND = 404
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass
class PermissionRecorder:
    """Records the permissions that each function uses."""

    buckets: Mapping[str, str]
    """Names to logical ids."""
    queues: Mapping[str, str]
    """URLs to logical ids."""
    permissions: dict[str, set[Permission]] = field(default_factory=dict)
    _function: str = ""

    @contextmanager
    def acting(self, function: str) -> Iterator[None]:
        """Hold what clients do that are made meanwhile against this function."""
        self._function = function
        with (
            self._watching(s3_client, "make_s3_client"),
            self._watching(sqs_queue, "make_sqs_client"),
        ):
            yield

    def _watching(self, adapter: ModuleType, name: str) -> AbstractContextManager[object]:
        make_client = getattr(adapter, name)

        def make_watched() -> Any:
            return self._watched(make_client())

        return mock.patch.object(adapter, name, make_watched)

    def _watched(self, client: Any) -> Any:
        uses = self.permissions.setdefault(self._function, set())
        if isinstance(client, S3Client):
            return self._watched_s3(client, uses)

        def requested(params: dict[str, Any], model: Any, **_: Any) -> None:
            uses.add((_QUEUE_ACTIONS[model.name], self.queues[params["QueueUrl"]]))

        client.meta.events.register("provide-client-params", requested)
        return client

    def _watched_s3(self, client: S3Client, uses: set[Permission]) -> S3Client:
        call = client.call

        def watched(request: S3Request, *, not_after_ms: int | None = None) -> S3Response:
            uses.update(self._uses(request))
            answer = call(request, not_after_ms=not_after_ms)
            # Only who may list a bucket is told that a key is absent; others get a 403.
            if answer.status == _NOT_FOUND:
                uses.add(("s3:ListBucket", self.buckets[request.bucket]))
            return answer

        client.call = watched  # type: ignore[method-assign]
        return client

    def _uses(self, request: S3Request) -> Iterator[Permission]:
        bucket = self.buckets[request.bucket]
        if request.operation in _OBJECT_ACTIONS:
            yield _OBJECT_ACTIONS[request.operation], f"{bucket}/{request.key}"
            # S3 User Guide, "Conditional requests": to compare is to read.
            if "If-Match" in request.headers:
                yield "s3:GetObject", f"{bucket}/{request.key}"
        elif request.operation == "DeleteObjects":
            document = ET.fromstring(bytes(request.body))  # noqa: S314 - our own
            for key in document.iter(f"{_NAMESPACE}Key"):
                yield "s3:DeleteObject", f"{bucket}/{key.text}"
        elif request.operation == "ListObjectsV2":
            yield "s3:ListBucket", bucket
        else:
            raise AssertionError(f"{request.operation}: which permission does it need?")
