"""The key grammar: the only place where object keys are taken apart or put together.

Public keys (channel bucket) follow the CEPs: ``<channel>/<subdir>/<filename>``, where the
channel is a prefix of any depth and may be empty.  Private keys (state bucket) begin with the
kind and the channel as one percent-encoded component, so that no channel's keys can nest in
another's; the channel at the root of the bucket is ``%``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, unquote

from sluice.conda.names import NOARCH, PACKAGE_SUFFIXES, is_subdir
from sluice.limits import CHANNEL_COMPONENT_CHARS_MAX, FILENAME_CHARS_MAX

REPODATA = "repodata.json"
REPODATA_ZST = "repodata.json.zst"
REPODATA_BZ2 = "repodata.json.bz2"
CURRENT_REPODATA = "current_repodata.json"
CURRENT_REPODATA_ZST = "current_repodata.json.zst"
FROM_PACKAGES = "repodata_from_packages.json"
FROM_PACKAGES_ZST = "repodata_from_packages.json.zst"
PATCH_INSTRUCTIONS = "patch_instructions.json"
RUN_EXPORTS = "run_exports.json"
RUN_EXPORTS_ZST = "run_exports.json.zst"
SHARD_INDEX = "repodata_shards.msgpack.zst"
SHARDS_FOLDER = "shards/"
CHANNELDATA = "channeldata.json"
RSS = "rss.xml"
NOTICES = "notices.json"
PAGE = "index.html"
PAGE_DATA = "page.json.gz"
"""What the page lists; no client but the page reads it."""
SLUICE_TOML = "sluice.toml"
"""The configuration of a channel, beside its subdirs."""


_SAFE_IN_STATE = "+!"
_HASHED = "~"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ContentAddressedFolder:
    """Objects of one kind in one subdir, each named by the hex SHA-256 of its bytes."""

    prefix: str
    """With its slash."""
    suffix: str

    def key(self, digest: str) -> str:
        """The key of one of them."""
        return f"{self.prefix}{digest}{self.suffix}"

    def digest_of(self, key: str) -> str | None:
        """The digest in a key that ``key`` gives; ``None`` for any other.

        Garbage collection takes nothing else for its own, so this is as strict as it can be.
        """
        digest = key.removeprefix(self.prefix).removesuffix(self.suffix)
        return digest if _DIGEST.fullmatch(digest) and self.key(digest) == key else None


@dataclass(frozen=True, slots=True, order=True)
class Subdir:
    """One subdir of one channel: the unit that has a head, a FIFO group and an index."""

    channel: str
    """Key prefix without slashes at its ends; empty for the channel at the bucket's root."""
    name: str
    """``noarch``, ``linux-64``, ..."""

    @property
    def prefix(self) -> str:
        """The folder in the channel bucket, with its slash."""
        return f"{self.channel}/{self.name}/" if self.channel else f"{self.name}/"

    @property
    def component(self) -> str:
        """``<channel>/<subdir>`` as it stands in private keys: exactly two components."""
        return f"{_state_channel(self.channel)}/{self.name}"

    def file_key(self, filename: str) -> str:
        """The key of a package or index file."""
        return self.prefix + filename

    @property
    def shards(self) -> ContentAddressedFolder:
        """The public shards (CEP 16), other tools' included."""
        return ContentAddressedFolder(self.prefix + SHARDS_FOLDER, ".msgpack.zst")

    @property
    def commits(self) -> ContentAddressedFolder:
        """The commits: the history."""
        return ContentAddressedFolder(f"commits/{self.component}/", ".json")

    @property
    def trees(self) -> ContentAddressedFolder:
        """The trees: one per generation."""
        return ContentAddressedFolder(f"trees/{self.component}/", ".msgpack.zst")

    @property
    def leaves(self) -> ContentAddressedFolder:
        """The leaves: one per package name and change."""
        return ContentAddressedFolder(f"leaves/{self.component}/", ".msgpack.zst")

    @property
    def taken_over_indexes(self) -> ContentAddressedFolder:
        """The shard indexes that stood in the subdir before sluice."""
        return ContentAddressedFolder(f"taken-over/{self.component}/", ".msgpack.zst")

    @property
    def patches(self) -> ContentAddressedFolder:
        """What patch packages say about this subdir."""
        return ContentAddressedFolder(f"patches/{self.component}/", ".msgpack.zst")

    def shard_key(self, digest: str) -> str:
        """The key of a shard."""
        return self.shards.key(digest)

    def commit_key(self, digest: str) -> str:
        """The key of a commit."""
        return self.commits.key(digest)

    def tree_key(self, digest: str) -> str:
        """The key of a tree."""
        return self.trees.key(digest)

    def leaf_key(self, digest: str) -> str:
        """The key of a leaf."""
        return self.leaves.key(digest)

    def taken_over_key(self, digest: str) -> str:
        """The key of a shard index that stood in the subdir before sluice."""
        return self.taken_over_indexes.key(digest)

    @property
    def head_key(self) -> str:
        """The one mutable object of the catalog."""
        return f"heads/{self.component}.json"

    @property
    def marks_key(self) -> str:
        """When which generation was seen published: what garbage collection counts from."""
        return f"marks/{self.component}.json"

    @property
    def brakes_key(self) -> str:
        """Which removals that a comparison found have been staged lately, and which wait."""
        return f"brakes/{self.component}.json"

    @property
    def staging_prefix(self) -> str:
        """The folder of the staging records, with its slash."""
        return f"staging/{self.component}/"

    def staging_key(self, filename: str, unique_id: str) -> str:
        """The key of one staging record."""
        return f"{self.staging_prefix}{_state_filename(filename)}/{unique_id}.json"

    def staged_filename(self, staging_key: str) -> str | None:
        """The filename that a staging record is about; ``None`` where only the record tells."""
        escaped = staging_key.removeprefix(self.staging_prefix).partition("/")[0]
        return None if escaped.startswith(_HASHED) else unquote(escaped)

    def unreadable_staging_key(self, staging_key: str) -> str:
        """Where a staging record goes that nobody can read."""
        return "unreadable/" + staging_key.removeprefix("staging/")

    @property
    def notes_prefix(self) -> str:
        """The folder of what its merges tell the channel's, with its slash."""
        return f"notes/{self.component}/"

    def note_key(self, unique_id: str) -> str:
        """The key of one note."""
        return f"{self.notes_prefix}{unique_id}.msgpack.zst"

    @property
    def rejects_key(self) -> str:
        """The document that tells people what was rejected, and why."""
        return f"rejects/{self.component}.json"


@dataclass(frozen=True, slots=True, order=True)
class PackageKey:
    """A key that lies where a package lies."""

    subdir: Subdir
    filename: str

    @property
    def key(self) -> str:
        """The key in the channel bucket."""
        return self.subdir.file_key(self.filename)


def parse_package_key(key: str) -> PackageKey | None:
    """Take a key of the channel bucket apart; ``None`` where no package can lie.

    The filename need not be a valid one: that is for ``parse_filename`` and makes a reject,
    while a key outside any subdir is none of our business.
    """
    folder, _, filename = key.rpartition("/")
    subdir = parse_subdir_folder(folder) if filename.endswith(PACKAGE_SUFFIXES) else None
    return PackageKey(subdir, filename) if subdir else None


def parse_subdir_folder(folder: str) -> Subdir | None:
    """The subdir whose packages lie directly in a folder, here without its slash, if any can."""
    channel, _, name = folder.rpartition("/")
    if not is_subdir(name) or folder.startswith("/"):
        return None
    if channel and not {"", ".", ".."}.isdisjoint(channel.split("/")):
        return None  # no client could ask for it: URLs do without such components
    if len(_state_channel(channel)) > CHANNEL_COMPONENT_CHARS_MAX:
        return None
    return Subdir(channel, name)


def channel_file_key(channel: str, file: str) -> str:
    """Where a file of a whole channel lies."""
    return f"{channel}/{file}" if channel else file


def channel_state_key(channel: str) -> str:
    """What is known of a whole channel."""
    return f"channels/{_state_channel(channel)}.msgpack.zst"


def channel_binding_key(channel: str) -> str:
    """Which bucket the catalog of a channel describes."""
    return f"bindings/{_state_channel(channel)}.json"


def unreadable_note_key(note_key: str) -> str:
    """Where a note goes that nobody can read."""
    return f"unreadable/{note_key}"


def channel_component(channel: str) -> str:
    """A whole channel as it stands in private keys: exactly one component."""
    return _state_channel(channel)


def config_key(channel: str) -> str:
    """Where the configuration of a channel lies."""
    return channel_file_key(channel, SLUICE_TOML)


def parse_config_key(key: str) -> str | None:
    """The channel whose configuration a key is; ``None`` where it is none's."""
    channel = key.rpartition("/")[0]
    # A channel is what can hold a subdir.
    is_config = key == config_key(channel) and parse_subdir_folder(
        Subdir(channel, NOARCH).prefix[:-1]
    )
    return channel if is_config else None


def parse_channel_component(component: str) -> str:
    """The channel that a component of a private key stands for."""
    return "" if component == "%" else unquote(component)


def parse_shard_key(key: str) -> Subdir | None:
    """The subdir that a public shard is of; ``None`` where the key is no shard's."""
    folder, separator, _ = key.rpartition("/" + SHARDS_FOLDER)
    subdir = parse_subdir_folder(folder) if separator else None
    return subdir if subdir and subdir.shards.digest_of(key) else None


def parse_state_key(key: str) -> Subdir | None:
    """The subdir that a private key is about; ``None`` where it is about none."""
    _, _, remainder = key.partition("/")
    component, _, remainder = remainder.partition("/")
    name = remainder.partition("/")[0].removesuffix(".json")
    return (
        Subdir(parse_channel_component(component), name) if component and is_subdir(name) else None
    )


def key_after_prefix(prefix: str) -> str:
    """A key behind every one that begins with ``prefix``, which ends with a slash."""
    return prefix[:-1] + chr(ord("/") + 1)


def state_prefix(kind: str, channel: str | None) -> str:
    """The folder of one kind of private objects, of one channel or (``None``) of all."""
    return f"{kind}/" if channel is None else f"{kind}/{_state_channel(channel)}/"


def reconcile_report_key(run: str) -> str:
    """The report of one run of reconcile."""
    return f"reconciliations/{run}.json"


def probe_record_key(endpoint: str, bucket: str) -> str:
    """What one server does with conditional writes to one bucket."""
    return f"probes/{sha256(f'{endpoint} {bucket}'.encode()).hexdigest()}.json"


def probe_trial_key(unique_id: str) -> str:
    """An object of the state that is written to find that out, and deleted again."""
    return f"probes/trials/{unique_id}.json"


def public_probe_trial_key(channel: str, unique_id: str) -> str:
    """The same in the channel bucket.  In no folder, so it cannot look like a subdir or package."""
    return channel_file_key(channel, f".sluice-probe-{unique_id}.json")


def reconcile_part_key(run: str, subdir: Subdir) -> str:
    """What the steps of a run have found missing in one subdir before all of it is compared."""
    return f"reconciliations/{run}/{subdir.component}.json"


def _state_channel(channel: str) -> str:
    return quote(channel, safe=_SAFE_IN_STATE) or "%"


def _state_filename(filename: str) -> str:
    # A valid filename is short and needs no escape.  An invalid one may fill a whole key and
    # grow threefold when escaped, so a long one is named by its hash; the record tells the rest.
    escaped = quote(filename, safe=_SAFE_IN_STATE)
    if len(escaped) <= FILENAME_CHARS_MAX:
        return escaped
    return _HASHED + sha256(filename.encode()).hexdigest()
