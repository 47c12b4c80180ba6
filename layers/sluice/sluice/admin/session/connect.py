"""The connection to a channel by its address, with the settings of the user."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property

from sluice import layout
from sluice.admin.session.address import SCHEME, Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.conditional_write_probe import ConditionalWriteProbe
from sluice.admin.session.known_channels import explain_unknown_subdir, unknown_channel_error
from sluice.admin.session.server_capabilities import ProbedBucket, ProbedBuckets, ProbeRecords
from sluice.admin.session.stack import Stack
from sluice.admin.session.subdirs import find_subdirs
from sluice.channel_config import DEFAULT_CONFIG
from sluice.concurrency import in_threads
from sluice.conda.timestamps import EpochMs
from sluice.errors import Misused, NotFound
from sluice.layout import Subdir
from sluice.limits import CONCURRENT_REQUESTS_MAX
from sluice.storage.object_store import ObjectStore
from sluice.storage.s3_store import S3Store
from sluice.storage.wrappers.prefixed import PrefixedStore

STATE_VARIABLE = "SLUICE_STATE"
STACK_VARIABLE = "SLUICE_STACK"


def open_channel(
    address: str,
    *,
    state: str | None = None,
    stack: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    path_style: bool | None = None,
) -> Channel:
    """Open the channel at ``s3://bucket/channel``; reads nothing of it yet.

    ``state`` is the name of the state bucket, or ``s3://bucket/prefix`` for a part of one.  With a
    ``stack``, the state comes from the stack's outputs, and its queues are available, too.  Without
    either, the variables ``SLUICE_STATE`` and ``SLUICE_STACK`` apply.  All else works as in the AWS
    CLI, including its variables and files.  ``path_style`` says whether the bucket's name is in the
    path of a URL (``None``: if the endpoint is not AWS's).

    Raises ``Misused`` and ``Misconfigured``, which name the missing setting, ``NotFound`` if there
    is no such stack, and ``Unavailable``.
    """
    aws = Aws(endpoint_url=endpoint_url, region=region, profile=profile, path_style=path_style)
    return Opener(aws, state=state, stack=stack).channel(Address.parse(address))


@dataclass(frozen=True)
class Opener:
    """Opens channels of one account and one state."""

    aws: Aws
    _: KW_ONLY
    state: str | None = None
    """Name of the state bucket, or ``s3://bucket/prefix``."""
    stack: str | None = None
    """Name of the stack."""

    def channel(self, address: Address, *, name: str | None = None) -> Channel:
        """The channel at an address, or one with another name in its bucket."""
        owner, stack = self._state_and_stack()
        if stack and stack.channel_bucket != address.bucket:
            raise Misused(
                f"the stack {stack.name!r} indexes the bucket {stack.channel_bucket}, "
                f"not {address.bucket}"
            )
        name = address.path if name is None else name
        probed = self._probed_buckets(owner, address.bucket, name)
        return Channel(
            bucket=address.bucket,
            name=name,
            public=self._bucket(address.bucket, probed.public if probed else None),
            state=self._state_store(owner, probed.state if probed else None),
            executor=in_threads(CONCURRENT_REQUESTS_MAX),
            clock=_now,
            new_id=_new_id,
            owner=owner,
            merges=stack.merges if stack else None,
            debounce_seconds=stack.debounce_seconds if stack else 0,
            defaults=stack.defaults if stack else DEFAULT_CONFIG,
            stack=stack,
            endpoint=self.aws.custom_s3_url or self.aws.endpoint_or_region,
            probed=probed,
        )

    def elsewhere(self, channel: Channel, address: Address) -> Channel:
        """A channel at another address, in any bucket, with the state of ``channel``."""
        owner, _ = self._state_and_stack()
        probed = self._probed_buckets(owner, address.bucket, address.path)
        public = self._bucket(address.bucket, probed.public if probed else None)
        return replace(
            channel,
            bucket=address.bucket,
            name=address.path,
            public=public,
            stack=None,
            probed=probed,
        )

    def subdir(self, address: Address) -> tuple[Channel, Subdir]:
        """The subdir at an address, and its channel; raises ``NotFound`` if it has no head."""
        named = address.as_subdir()
        channel = self.channel(address, name=named.channel)
        subdir = channel.subdir(named.subdir)
        if channel.state.head(subdir.head_key) is None:
            known = [each.name for each in find_subdirs(channel)]
            reason = (
                explain_unknown_subdir(channel, subdir.name, known)
                if known
                else str(unknown_channel_error(channel))
            )
            raise NotFound(f"sluice has not indexed the subdir {address}: {reason}")
        return channel, subdir

    def channel_or_subdir(self, address: Address) -> tuple[Channel, Subdir | None]:
        """The subdir at an address if there is one, else the channel."""
        named = address.find_subdir()
        if named:
            channel = self.channel(address, name=named.channel)
            subdir = channel.subdir(named.subdir)
            if channel.state.head(subdir.head_key) is not None:
                return channel, subdir
        return self.channel(address), None

    @cached_property
    def named_stack(self) -> Stack | None:
        """The stack, if one is named; raises ``NotFound`` and ``Unavailable``."""
        # Arguments take precedence over the variables, for both of them.
        name = self.stack or (None if self.state else os.environ.get(STACK_VARIABLE))
        return Stack.describe(self.aws, name) if name else None

    def _bucket(self, name: str, probed: ProbedBucket | None) -> S3Store:
        if probed is None:
            return self.aws.bucket(name)
        return self.aws.bucket(name, probed.conditional_writes, probed.sign_payloads)

    def _state_store(self, state: str, probed: ProbedBucket | None = None) -> ObjectStore:
        bucket, _, prefix = state.partition("/")
        store = self._bucket(bucket, probed)
        return PrefixedStore(store, f"{prefix}/") if prefix else store

    def _probed_buckets(self, state: str, bucket: str, channel: str) -> ProbedBuckets | None:
        """The detection of how the server implements conditional writes, if it is not AWS's."""
        endpoint = self.aws.custom_s3_url
        if endpoint is None:
            return None
        state_bucket, _, prefix = state.partition("/")

        def new_state_key() -> str:
            key = layout.probe_trial_key(_new_id())
            return f"{prefix}/{key}" if prefix else key

        def probed(name: str, new_key: Callable[[], str]) -> ProbedBucket:
            place = f"the bucket {name} at {endpoint}"
            return ProbedBucket(
                ConditionalWriteProbe(self.aws.bucket(name), place, new_key),
                ProbeRecords(self._state_store(state), endpoint, name, _now),
            )

        state_probe = probed(state_bucket, new_state_key)
        if bucket == state_bucket:
            return ProbedBuckets(state_probe, state_probe)
        public = probed(bucket, lambda: layout.public_probe_trial_key(channel, _new_id()))
        return ProbedBuckets(state_probe, public)

    def _state_and_stack(self) -> tuple[str, Stack | None]:
        stack = self.named_stack
        state = self.state or (None if self.stack else os.environ.get(STATE_VARIABLE))
        if state is None and stack:
            state = stack.state_bucket
        if state:
            # In the form of an owner in index files: one location has one name, however it was
            # given.
            state = state.removeprefix(SCHEME).strip("/")
        if stack and state and state != stack.state_bucket:
            raise Misused(f"the state bucket of the stack {stack.name!r} is {stack.state_bucket}")
        if not state:
            raise Misused(
                "no state: set the name of the stack (--stack or SLUICE_STACK) or of the state "
                "bucket (--state or SLUICE_STATE)"
            )
        return state, stack


def _now() -> EpochMs:
    return time.time_ns() // 1_000_000


def _new_id() -> str:
    return uuid.uuid4().hex
