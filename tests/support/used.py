"""Which permissions a function uses: derived from the requests that its clients really make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock

from sluice import s3, sqs

Use = tuple[str, str]
"""An action, and what it was used on: ``Channel/<key>``, ``State``, ``MergeQueue``."""

# Service Authorization Reference, "Actions, resources, and condition keys" for S3 and for SQS.
_OBJECT_ACTIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
}
_QUEUE_ACTIONS = {
    "ChangeMessageVisibility": "sqs:ChangeMessageVisibility",
    "SendMessage": "sqs:SendMessage",
    "SendMessageBatch": "sqs:SendMessage",
}
_ABSENT = ("404", "NoSuchKey")


@dataclass
class Recorder:
    """Takes note of what is used, by function."""

    buckets: Mapping[str, str]
    """Names to logical ids."""
    queues: Mapping[str, str]
    """URLs to logical ids."""
    used: dict[str, set[Use]] = field(default_factory=dict)
    _function: str = ""

    @contextmanager
    def acting(self, function: str) -> Iterator[None]:
        """Hold what clients do that are made meanwhile against this function."""
        self._function = function
        with self._watching(s3), self._watching(sqs):
            yield

    def _watching(self, adapter: ModuleType) -> AbstractContextManager[object]:
        make_client = adapter.make_client

        def make_watched() -> Any:
            return self._watched(make_client())

        return mock.patch.object(adapter, "make_client", make_watched)

    def _watched(self, client: Any) -> Any:
        uses = self.used.setdefault(self._function, set())

        def requested(
            params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any
        ) -> None:
            uses.update(self._uses(model.name, params))
            context["key of"] = params.get("Bucket")

        def answered(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
            # Only who may list a bucket is told that a key is absent; others get a 403.
            if parsed.get("Error", {}).get("Code") in _ABSENT:
                uses.add(("s3:ListBucket", self.buckets[context["key of"]]))

        client.meta.events.register("provide-client-params", requested)
        client.meta.events.register("after-call", answered)
        return client

    def _uses(self, operation: str, params: Mapping[str, Any]) -> Iterator[Use]:
        if operation in _QUEUE_ACTIONS:
            yield _QUEUE_ACTIONS[operation], self.queues[params["QueueUrl"]]
            return
        bucket = self.buckets[params["Bucket"]]
        if operation in _OBJECT_ACTIONS:
            yield _OBJECT_ACTIONS[operation], f"{bucket}/{params['Key']}"
            if "IfMatch" in params:  # S3 User Guide, "Conditional requests": to compare is to read
                yield "s3:GetObject", f"{bucket}/{params['Key']}"
        elif operation == "DeleteObjects":
            for one in params["Delete"]["Objects"]:
                yield "s3:DeleteObject", f"{bucket}/{one['Key']}"
        elif operation == "ListObjectsV2":
            yield "s3:ListBucket", bucket
        else:
            raise AssertionError(f"{operation}: which permission does it need?")
