"""A picklable factory that opens a bucket in another process."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sluice.admin.session.aws import Aws
from sluice.storage.object_store import ObjectStore


@dataclass(frozen=True, slots=True)
class BucketFactory:
    """The name and settings of a bucket, without open clients."""

    aws: Aws
    name: str

    @classmethod
    def for_bucket(cls, aws: Aws, name: str) -> BucketFactory:
        """Make a factory for a bucket."""
        return cls(replace(aws), name)  # without its clients

    def __call__(self) -> ObjectStore:
        """Open the bucket."""
        return self.aws.bucket(self.name)
