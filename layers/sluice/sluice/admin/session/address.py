"""Addresses of channels and subdirs: ``s3://bucket/channel``, ``s3://bucket/channel/subdir``.

``conda-forge`` has the form of a subdir's name, too.  So the caller must know whether an address
names a channel or a subdir.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sluice.conda.names import NOARCH, is_subdir
from sluice.errors import Misused
from sluice.layout import Subdir, decode_key, is_key_text, parse_subdir_folder

SCHEME = "s3://"


class ChannelSubdir(NamedTuple):
    """A channel and one of its subdirs, as an address names both."""

    channel: str
    subdir: str


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket and a path in it."""

    bucket: str
    path: str
    """The path without slashes at its ends; empty for the bucket's root."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse ``s3://bucket/path``; raises ``Misused`` if it is no address of a channel."""
        bucket, _, path = text.removeprefix(SCHEME).partition("/")
        path = decode_key(path).strip("/")
        if not text.startswith(SCHEME) or not bucket:
            raise Misused(
                f"{text!r} is not the address of a channel, for example s3://bucket/channel"
            )
        if not is_key_text(path):
            raise Misused(
                f"{path!r} cannot be the path of a channel: it contains a space or a %, which CEP "
                "26 forbids. Move the packages to a folder without it"
            )
        if not parse_subdir_folder(Subdir(path, NOARCH).prefix[:-1]):
            raise Misused(
                f"{path!r} cannot be the path of a channel: it is too long or too deep, or a part "
                "of it is empty, . or .."
            )
        return cls(bucket, path)

    def as_subdir(self) -> ChannelSubdir:
        """The address as that of a subdir; raises ``Misused`` if it cannot be one."""
        subdir = self.find_subdir()
        if subdir is None:
            raise Misused(
                f"{self} is not the address of a subdir, for example s3://bucket/channel/linux-64"
            )
        return subdir

    def find_subdir(self) -> ChannelSubdir | None:
        """The address as that of a subdir; ``None`` if it cannot be one."""
        channel, _, name = self.path.rpartition("/")
        return ChannelSubdir(channel, name) if is_subdir(name) else None

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.path}"
