"""The options that all commands share: where channel and state are, and the output format."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from cyclopts import Group, Parameter

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.cli.output import Output
from sluice.layout import Subdir

Packages = Annotated[str, Parameter(required=True)]
"""The packages of a command, of which at least one must be named."""
FLAG = Parameter(negative=(), show_default=False)
"""The parameter of a boolean option without a negative form."""

_WHERE = Group("Where", sort_key=10)
_HOW = Group("Output", sort_key=11)


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """The shared options.  Their help describes each of them."""

    stack: Annotated[
        str | None,
        Parameter(
            group=_WHERE,
            help="Name of the stack that indexes the channel. sluice gets the names of its state "
            "bucket, queues and functions from it. Default: SLUICE_STACK.",
        ),
    ] = None
    state: Annotated[
        str | None,
        Parameter(
            group=_WHERE,
            help="Name of the state bucket if there is no stack, or s3://bucket/prefix for a state "
            "under a prefix. Default: SLUICE_STATE.",
        ),
    ] = None
    endpoint_url: Annotated[
        str | None,
        Parameter(
            group=_WHERE,
            help="URL of an S3-compatible server, also used for all other services. Default: "
            "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile.",
        ),
    ] = None
    region: Annotated[
        str | None,
        Parameter(
            group=_WHERE,
            help="Region of the buckets. Default: AWS_REGION, AWS_DEFAULT_REGION or the profile.",
        ),
    ] = None
    profile: Annotated[
        str | None,
        Parameter(
            group=_WHERE,
            help="Profile in the AWS CLI configuration, including IAM Identity Center (SSO). "
            "Default: AWS_PROFILE.",
        ),
    ] = None
    path_style: Annotated[
        bool | None,
        Parameter(
            group=_WHERE,
            help="Use path-style URLs instead of virtual-hosted-style URLs. Default: "
            "s3.addressing_style of the profile, otherwise path style for endpoints other than "
            "AWS.",
        ),
    ] = None
    json: Annotated[bool, FLAG, Parameter(group=_HOW, help="Print the result as JSON.")] = False

    def channel(self, address: str) -> Channel:
        """Open the channel at an address."""
        return self.opener.channel(Address.parse(address))

    def subdir(self, address: str) -> tuple[Channel, Subdir]:
        """Open the channel of the subdir at an address; the subdir must exist."""
        return self.opener.subdir(Address.parse(address))

    def channel_or_subdir(self, address: str) -> tuple[Channel, Subdir | None]:
        """Open the subdir at an address if there is one, else the channel."""
        return self.opener.channel_or_subdir(Address.parse(address))

    def command(self, *arguments: str) -> str:
        """A command line for the same place, quoted for a shell."""
        named = {
            "--stack": self.stack,
            "--state": self.state,
            "--endpoint-url": self.endpoint_url,
            "--region": self.region,
            "--profile": self.profile,
        }
        given = [word for name, value in named.items() if value for word in (name, value)]
        if self.path_style is not None:
            given.append("--path-style" if self.path_style else "--no-path-style")
        return shlex.join(["sluice", *arguments, *given])

    @cached_property
    def opener(self) -> Opener:
        """The opener of channels."""
        aws = Aws(
            endpoint_url=self.endpoint_url,
            region=self.region,
            profile=self.profile,
            path_style=self.path_style,
        )
        return Opener(aws, state=self.state, stack=self.stack)

    @cached_property
    def output(self) -> Output:
        """The output of the command."""
        return Output(json=self.json)


DEFAULTS = Options()
"""The default options, for signatures."""
