"""The grammar of object keys: the only place that parses or builds them.

Public keys (channel bucket) follow the CEPs: ``<channel>/<subdir>/<filename>``, where the channel
is a prefix of at most ``CHANNEL_DEPTH_MAX`` components and may be empty.  Private keys (state
bucket) begin with the kind and the channel as one percent-encoded component, so that no channel's
keys can nest in another's.  The channel at the root of the bucket is ``%``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

from sluice.conda.names import NO_NAME, NOARCH, PACKAGE_SUFFIXES, is_subdir, package_name
from sluice.limits import CHANNEL_COMPONENT_CHARS_MAX, CHANNEL_DEPTH_MAX, FILENAME_CHARS_MAX

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
"""The data that the page shows; no other client reads it."""
SLUICE_TOML = "sluice.toml"
"""The configuration of a channel, beside its subdirs."""


_SAFE_IN_STATE = "+!"
_HASHED = "~"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOLDERS_REMEMBERED = 1024  # in a listing, the files of one folder follow each other


@dataclass(frozen=True, slots=True)
class ContentAddressedFolder:
    """A folder with the objects of one kind in one subdir, each named by its hex SHA-256."""

    prefix: str
    """The key prefix, with a slash at its end."""
    suffix: str

    def key(self, digest: str) -> str:
        """The key of the object with this digest."""
        return f"{self.prefix}{digest}{self.suffix}"

    def digest_of(self, key: str) -> str | None:
        """The digest in a key that ``key`` returns; ``None`` for any other key.

        Garbage collection deletes only keys that this accepts, so it is as strict as it can be.
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
        """The folder in the channel bucket, with a slash at its end."""
        return f"{self.channel}/{self.name}/" if self.channel else f"{self.name}/"

    @property
    def component(self) -> str:
        """``<channel>/<subdir>`` in the form of private keys: exactly two components."""
        return f"{_state_channel(self.channel)}/{self.name}"

    def file_key(self, filename: str) -> str:
        """The key of a package or index file."""
        return self.prefix + filename

    @property
    def shards(self) -> ContentAddressedFolder:
        """The public shards (CEP 16), including those of other tools."""
        return ContentAddressedFolder(self.prefix + SHARDS_FOLDER, ".msgpack.zst")

    @property
    def commits(self) -> ContentAddressedFolder:
        """The commits, which are the history."""
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
    def packs(self) -> ContentAddressedFolder:
        """The packs: many leaves of one commit in one object."""
        return ContentAddressedFolder(f"packs/{self.component}/", "")

    @property
    def taken_over_indexes(self) -> ContentAddressedFolder:
        """The shard indexes that were in the subdir before sluice."""
        return ContentAddressedFolder(f"taken-over/{self.component}/", ".msgpack.zst")

    @property
    def patches(self) -> ContentAddressedFolder:
        """The patch objects: what patch packages say about this subdir."""
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

    def pack_key(self, digest: str) -> str:
        """The key of a pack of leaves."""
        return self.packs.key(digest)

    def taken_over_key(self, digest: str) -> str:
        """The key of a shard index that was in the subdir before sluice."""
        return self.taken_over_indexes.key(digest)

    @property
    def head_key(self) -> str:
        """The key of the head, the one mutable object of the catalog."""
        return f"heads/{self.component}.json"

    @property
    def marks_key(self) -> str:
        """The key of the publication log, from whose times garbage collection counts."""
        return f"marks/{self.component}.json"

    @property
    def brakes_key(self) -> str:
        """The key of the record of recent removals: staged by a comparison, or waiting."""
        return f"brakes/{self.component}.json"

    @property
    def digest_checks_key(self) -> str:
        """The key of the record of the packages whose digests were checked."""
        return f"digests/{self.component}.msgpack.zst"

    @property
    def take_over_key(self) -> str:
        """The key of the progress of a take-over that takes several merges."""
        return f"takeovers/{self.component}.msgpack.zst"

    @property
    def staging_prefix(self) -> str:
        """The folder of the staging records, with a slash at its end."""
        return f"staging/{self.component}/"

    def staging_key(self, filename: str, unique_id: str) -> str:
        """The key of one staging record."""
        return f"{self.staging_prefix}{_state_filename(filename)}/{unique_id}.json"

    def staged_filename(self, staging_key: str) -> str | None:
        """The filename that a staging record is about; ``None`` if only the record has it."""
        escaped = staging_key.removeprefix(self.staging_prefix).partition("/")[0]
        return None if escaped.startswith(_HASHED) else unquote(escaped)

    def unreadable_staging_key(self, staging_key: str) -> str:
        """The key to which an undecodable staging record is moved."""
        return "unreadable/" + staging_key.removeprefix("staging/")

    @property
    def notes_prefix(self) -> str:
        """The folder of the notes from merges of subdirs to the channel's merge, with its slash."""
        return f"notes/{self.component}/"

    def note_key(self, unique_id: str) -> str:
        """The key of one note."""
        return f"{self.notes_prefix}{unique_id}.msgpack.zst"

    @property
    def rejects_key(self) -> str:
        """The key of the document that lists rejected files and the reasons."""
        return f"rejects/{self.component}.json"


@dataclass(frozen=True, slots=True, order=True)
class PackageKey:
    """A key at which a package can be."""

    subdir: Subdir
    filename: str

    @property
    def key(self) -> str:
        """The key in the channel bucket."""
        return self.subdir.file_key(self.filename)


def parse_package_key(key: str) -> PackageKey | None:
    """Parse a key of the channel bucket; ``None`` where no package can be.

    The filename may be invalid: ``parse_filename`` checks it, and the result is a reject.  Where it
    does not even have a package's name in it, nothing could keep that reject.
    ``extract.misplaced`` explains why a key that ends like a package's is none.
    """
    folder, _, filename = key.rpartition("/")
    if not is_package_file(filename) or package_name(filename) == NO_NAME:
        return None
    subdir = parse_subdir_folder(folder)
    return PackageKey(subdir, filename) if subdir else None


def is_package_file(filename: str) -> bool:
    """Whether a file directly in a subdir may be known to a catalog as a package, by its name.

    Another tool's index may know packages whose filenames have no package's name in them.
    """
    return filename.endswith(PACKAGE_SUFFIXES) and is_key_text(filename)


def is_key_text(text: str) -> bool:
    """Whether a part of a key has neither a space nor a ``%``, which sluice refuses in keys.

    CEP 26 allows neither.  S3's notifications encode both in ways that other servers do not, so no
    event could name such a key for sure.
    """
    return " " not in text and "%" not in text


def decode_key(text: str) -> str:
    """The key in an event, a message or an address: percent-decoded once; ``+`` stays.

    AWS's S3 notifications encode a ``+`` as ``%2B``; Ceph and MiniStack encode nothing; for
    EventBridge AWS documents neither.  No key that sluice accepts has a space or a ``%``, so this
    is right for all of them: a key that holds an escape after decoding is refused.
    """
    return unquote(text)


@lru_cache(_FOLDERS_REMEMBERED)
def parse_subdir_folder(folder: str) -> Subdir | None:
    """The subdir of a folder (without its slash); ``None`` if the folder cannot hold packages."""
    channel, _, name = folder.rpartition("/")
    if not is_subdir(name) or folder.startswith("/") or not is_key_text(channel):
        return None
    if channel and not {"", ".", ".."}.isdisjoint(channel.split("/")):
        return None  # URLs cannot have such components, so no client could request it
    if channel.count("/") >= CHANNEL_DEPTH_MAX:
        return None
    if len(_state_channel(channel)) > CHANNEL_COMPONENT_CHARS_MAX:
        return None
    return Subdir(channel, name)


def channel_file_key(channel: str, file: str) -> str:
    """The key of a file of a whole channel."""
    return f"{channel}/{file}" if channel else file


def channel_state_key(channel: str) -> str:
    """The key of the state of a whole channel."""
    return f"channels/{_state_channel(channel)}.msgpack.zst"


def channel_binding_key(channel: str) -> str:
    """The key of the record that binds a channel's catalog to a bucket."""
    return f"bindings/{_state_channel(channel)}.json"


def unreadable_note_key(note_key: str) -> str:
    """The key to which an undecodable note is moved."""
    return f"unreadable/{note_key}"


def channel_component(channel: str) -> str:
    """A whole channel in the form of private keys: exactly one component."""
    return _state_channel(channel)


def config_key(channel: str) -> str:
    """The key of the configuration of a channel."""
    return channel_file_key(channel, SLUICE_TOML)


def parse_config_key(key: str) -> str | None:
    """The channel of a configuration key; ``None`` for any other key."""
    channel = key.rpartition("/")[0]
    # A channel is a folder that can hold a subdir.
    is_config = key == config_key(channel) and parse_subdir_folder(
        Subdir(channel, NOARCH).prefix[:-1]
    )
    return channel if is_config else None


def parse_channel_component(component: str) -> str:
    """The channel of a component of a private key."""
    return "" if component == "%" else unquote(component)


def parse_shard_key(key: str) -> Subdir | None:
    """The subdir of a public shard; ``None`` for any other key."""
    folder, separator, _ = key.rpartition("/" + SHARDS_FOLDER)
    subdir = parse_subdir_folder(folder) if separator else None
    return subdir if subdir and subdir.shards.digest_of(key) else None


def parse_state_key(key: str) -> Subdir | None:
    """The subdir of a private key; ``None`` if the key has none."""
    _, _, remainder = key.partition("/")
    component, _, remainder = remainder.partition("/")
    name = remainder.partition("/")[0].removesuffix(".json")
    return (
        Subdir(parse_channel_component(component), name) if component and is_subdir(name) else None
    )


def key_after_prefix(prefix: str) -> str:
    """A key that sorts after every key with ``prefix``, which ends with a slash."""
    return prefix[:-1] + chr(ord("/") + 1)


def state_prefix(kind: str, channel: str | None) -> str:
    """The folder of one kind of private objects, of one channel or (``None``) of all."""
    return f"{kind}/" if channel is None else f"{kind}/{_state_channel(channel)}/"


def reconcile_report_key(run: str) -> str:
    """The key of the report of one reconcile run."""
    return f"reconciliations/{run}.json"


def reconcile_claim_key(request_digest: str) -> str:
    """The key of the claim of the last run for a request; no run is named ``claims``."""
    return f"reconciliations/claims/{request_digest}.json"


def watch_lease_key(channels_digest: str) -> str:
    """The key of the lease of the processes that watch the same channels."""
    return f"leases/watch/{channels_digest}.json"


def probe_record_key(endpoint: str, bucket: str) -> str:
    """The key of the record of how a server handles conditional writes to a bucket."""
    return f"probes/{sha256(f'{endpoint} {bucket}'.encode()).hexdigest()}.json"


def probe_trial_key(unique_id: str) -> str:
    """The key of a trial object in the state bucket, which a probe writes and deletes."""
    return f"probes/trials/{unique_id}.json"


def public_probe_trial_key(channel: str, unique_id: str) -> str:
    """The key of a trial object in the channel bucket.

    It is in no folder, so it cannot look like a subdir or a package.
    """
    return channel_file_key(channel, f".sluice-probe-{unique_id}.json")


MISPLACED_RECORD_KEY = "reconciliations/misplaced/by-channel.json"
"""The key of the record of misplaced files in the channel bucket."""


def reconcile_part_key(run: str, subdir: Subdir) -> str:
    """The key of what the steps of a run found missing in a subdir, until the last step uses it."""
    return f"reconciliations/{run}/{subdir.component}.json"


@lru_cache
def _state_channel(channel: str) -> str:
    return quote(channel, safe=_SAFE_IN_STATE) or "%"


def _state_filename(filename: str) -> str:
    # A valid filename is short and needs no escape.  An invalid one may be as long as a whole key,
    # and three times as long when escaped.  So a hash names it, and the record has the name itself.
    escaped = quote(filename, safe=_SAFE_IN_STATE)
    if len(escaped) <= FILENAME_CHARS_MAX:
        return escaped
    return _HASHED + sha256(filename.encode()).hexdigest()
