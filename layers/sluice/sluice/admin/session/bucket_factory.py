"""A bucket that can be opened anew in another process."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sluice.admin.session.aws import Aws
from sluice.storage.object_store import ObjectStore


@dataclass(frozen=True, slots=True)
class BucketFactory:
    """Where it is, without anything that is open."""

    aws: Aws
    name: str

    @classmethod
    def for_bucket(cls, aws: Aws, name: str) -> BucketFactory:
        """Remember how to open a bucket."""
        return cls(replace(aws), name)  # without the clients that it has made

    def __call__(self) -> ObjectStore:
        """Open it."""
        return self.aws.bucket(self.name)
