"""Moving the catalog of a channel to another bucket, or to a restored one.

The catalog describes objects: their ETags, and when they were written.  A copy has other ones.
Rebind compares the catalog with what is in the bucket by filename and size, and then

1. marks the binding as being moved: from here on nobody else writes (``bucket_check``);
2. commits once per subdir.  Pins are anchored to the objects that are there now, or each file
   that is kept out on purpose would come back as if it had been uploaded again.  Shards that the
   bucket does not have are written.  The generation is above everything that is published there;
3. binds the channel to the bucket;
4. publishes over what is there, whoever published it.

It may be killed anywhere and run again.  A merge of the old bucket that has read its head before
step 1 either wins that head before step 2, which then begins with what it has committed, or loses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import msgspec
from msgspec import UNSET

from sluice.base import Base
from sluice.catalog.binding import Binding, BindingVersion, read_binding, write_binding
from sluice.catalog.commit import (
    Amendment,
    HeadVersion,
    head_not_won,
    read_head,
    read_newest,
    swap_head,
    unless_overtaken,
)
from sluice.catalog.leaf import Entry, Pin, Record, listing_digest
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.errors import Archived, Changed, Corrupt, NotFound, Unavailable
from sluice.fold import Edits
from sluice.generation import GenerationWriter
from sluice.identity import Identity
from sluice.keys import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    Subdir,
    channel_file,
    parse_state_key,
    state_folder,
)
from sluice.limits import MERGE_ATTEMPTS_MAX, NAMES_AT_ONCE, REBIND_EXAMPLES_MAX
from sluice.operate.amend import ask_for_merge
from sluice.operate.channel import Channel
from sluice.operate.here import merge_here
from sluice.operate.indexed import Failure
from sluice.operate.repair import publish_channel_again
from sluice.publish.fence import Stamp
from sluice.publish.publisher import Publisher
from sluice.reconcile.listing import Listing, list_subdir

_CHANNEL_FILES = (CHANNELDATA, RSS, NOTICES, PAGE_DATA)
_DIGEST_CHARS = 12


class SubdirRebound(msgspec.Struct, frozen=True, kw_only=True):
    """How one subdir of the catalog compares with the bucket."""

    subdir: str
    generation: int | None
    """The new one; ``None`` where nothing was committed."""
    packages: int
    """Records in the catalog."""
    there: int
    """Of those, how many are in the bucket with the same size."""
    missing: list[str]
    """Some files that are not in the bucket."""
    missing_count: int
    changed: list[str]
    """Some files that have another size there."""
    changed_count: int
    pins: int
    """Files that stay kept out."""
    lost_pins: list[str]
    """Files that were kept out and hold something else now: they will be indexed."""


class Rebinding(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    channel: str
    bucket: str
    """The one that the catalog belongs to now, or would."""
    bound_to: str | None
    """The one before; ``None`` where no binding said so."""
    done: bool
    digest: str
    """Names this comparison: ``confirm`` it to rebind although most packages are missing."""
    subdirs: list[SubdirRebound]
    failures: list[Failure]
    """Subdirs whose catalog is damaged; ``repair`` them next."""

    @property
    def packages(self) -> int:
        """Records in the catalog."""
        return sum(one.packages for one in self.subdirs)

    @property
    def there(self) -> int:
        """Of those, how many are in the bucket with the same size."""
        return sum(one.there for one in self.subdirs)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One subdir of the catalog, held against the bucket."""

    missing: list[str]
    changed: list[str]
    edits: dict[str, Edits]
    """By package name: the pins that are anchored to another object."""
    pins: int
    lost_pins: list[str]


def rebind(
    channel: Channel,
    *,
    confirm: str | None = None,
    dry_run: bool = False,
    max_age_seconds: int,
) -> Rebinding:
    """Have the catalog of a channel belong to the bucket that ``channel`` was opened with.

    Where less than half of the packages are there with the same size, nothing is done unless
    ``confirm`` is the ``digest`` of that comparison.  ``max_age_seconds``: how long clients may
    keep an index file.

    Raises ``NotFound`` where there is no catalog of the channel, ``Unavailable``, also where
    another rebind is under way, and ``TooNew``.
    """
    subdirs = _subdirs(channel)
    before = read_binding(channel.state, channel.name)
    # A first commit that was killed leaves a binding and no head.
    if not subdirs and before.binding is None:
        raise NotFound(f"this state has no catalog of the channel {channel.name!r}")
    failures: list[Failure] = []
    compared = list(_each(subdirs, partial(_look, channel), failures))
    digest = _digest(channel, compared)
    found = Rebinding(
        channel=channel.name,
        bucket=channel.bucket,
        bound_to=before.binding.bucket if before.binding else None,
        done=False,
        digest=digest,
        subdirs=compared,
        failures=failures,
    )
    if dry_run or (found.there * 2 < found.packages and confirm != digest):
        return found
    moving = _write(channel, before, moving=True)
    failures.clear()
    anchored = list(_each(subdirs, partial(_anchor, channel, moving), failures))
    _write(channel, moving, moving=False)
    _publish(channel, [channel.subdir(one.subdir) for one in anchored], max_age_seconds)
    return msgspec.structs.replace(found, done=True, subdirs=anchored, failures=failures)


def _subdirs(channel: Channel) -> list[Subdir]:
    heads = channel.state.list(state_folder("heads", channel.name))
    return sorted(filter(None, (parse_state_key(info.key) for info in heads)))


def _each(
    subdirs: Iterable[Subdir],
    do: Callable[[Subdir], SubdirRebound | None],
    failures: list[Failure],
) -> Iterator[SubdirRebound]:
    """Do it for each subdir; one that is damaged does not stop the others."""
    for subdir in subdirs:
        try:
            done = do(subdir)
        except Corrupt as error:
            failures.append(Failure(object=subdir.name, reason=f"{type(error).__name__}: {error}"))
        else:
            if done:
                yield done


def _digest(channel: Channel, compared: Sequence[SubdirRebound]) -> str:
    told = [channel.bucket, channel.name, *compared]
    return sha256(msgspec.json.encode(told)).hexdigest()[:_DIGEST_CHARS]


def _write(channel: Channel, before: BindingVersion, *, moving: bool) -> BindingVersion:
    known = before.binding
    binding = Binding(
        bucket=(known.bucket if known else None) if moving else channel.bucket,
        moving_to=channel.bucket if moving else UNSET,
        endpoint=channel.endpoint,
        created_at=channel.clock(),
        writer=channel.unique(),
    )
    written = write_binding(channel.state, channel.name, binding, expected=before.etag)
    if written is None:
        raise Unavailable(f"another rebind of the channel {channel.name!r} is under way; try again")
    return written


def _look(channel: Channel, subdir: Subdir) -> SubdirRebound | None:
    """Compare one subdir, and change nothing."""

    def read(version: HeadVersion) -> SubdirRebound | None:
        if version.head.tree is None:
            return None
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        tree = catalog.tree(version.head.tree)
        listing = list_subdir(channel.public, subdir)
        return _told(subdir, tree, _compare(channel, subdir, tree, catalog, listing), None)

    return read_newest(channel.state, subdir, read)


def _anchor(channel: Channel, moving: BindingVersion, subdir: Subdir) -> SubdirRebound | None:
    """Commit one subdir as the catalog of this bucket."""
    for _ in range(MERGE_ATTEMPTS_MAX):
        version = read_head(channel.state, subdir)
        if version.head.tree is None:
            return None
        # After the head was read, as everywhere: another rebind replaces the binding first.
        if read_binding(channel.state, channel.name).etag != moving.etag:
            raise Unavailable(
                f"another rebind of the channel {channel.name!r} is under way; try again"
            )
        with unless_overtaken(channel.state, subdir, version):
            done = _commit(channel, subdir, version)
            if done:
                return done
    raise Unavailable(f"{head_not_won(subdir)}; try again")


def _commit(channel: Channel, subdir: Subdir, version: HeadVersion) -> SubdirRebound | None:
    """Commit the next generation, above all that is published; ``None``: begin again."""
    catalog = CatalogReader(channel.state, subdir, channel.gather)
    tree = catalog.tree(version.head.tree)
    # They tell since when readers of the old bucket could hold what; a lost mark only delays.
    channel.state.delete([subdir.marks])
    listing = list_subdir(channel.public, subdir)
    compared = _compare(channel, subdir, tree, catalog, listing)
    writer = GenerationWriter(channel.public, channel.state, subdir, catalog, channel.gather)
    keys = [subdir.public(file) for file in listing.index_files]
    infos = channel.gather(channel.public.head, keys)
    stamps = (Stamp.parse(info.metadata) for info in infos if info)
    published = Base(generation=max((one.generation for one in stamps if one), default=0))
    draft = writer.draft(
        tree,
        Base(),
        {},
        at=max(channel.clock(), tree.at + 1),
        rules=catalog.rules(tree),
        anew=_without_shard(channel, subdir, tree),
        edits=compared.edits,
    )
    draft.wait()
    ask_for_merge(channel, subdir)
    head = writer.commit(
        tree,
        version.head,
        draft,
        published,
        public=tree.public,
        writer=channel.unique(),
        amendment=Amendment(reason=f"The catalog belongs to the bucket {channel.bucket} now."),
    )
    swapped = swap_head(
        channel.state, subdir, head, expected=version.etag, not_after_ms=draft.not_after_ms
    )
    return _told(subdir, tree, compared, head.generation) if swapped else None


def _without_shard(channel: Channel, subdir: Subdir, tree: Tree) -> frozenset[str]:
    """The names whose shards are not in the bucket."""
    listed = channel.public.list(subdir.shards.prefix)
    there = {subdir.shards.digest(info.key) for info in listed}
    return frozenset(
        name for name, node in tree.names.items() if node.shard and node.shard.hex() not in there
    )


def _compare(
    channel: Channel, subdir: Subdir, tree: Tree, catalog: CatalogReader, listing: Listing
) -> _Comparison:
    found = _Comparison([], [], {}, 0, [])
    pins = 0
    # The digest of a name with a pin never matches, see ``leaf.listed``.
    differing = [
        name
        for name, node in sorted(tree.names.items())
        if node.listing != listing_digest(listing.listed(name))
    ]
    for names in chunks(differing, NAMES_AT_ONCE):
        known = catalog.entries([tree.names[name] for name in names])
        for name, entries in zip(names, known, strict=True):
            there = listing.names.get(name, {})
            for filename, entry in sorted(entries.items()):
                if isinstance(entry, Record):
                    _compare_record(filename, entry, there.get(filename), found)
                elif isinstance(entry, Pin) and entry.identity and filename in there:
                    anchored = _anchored(channel, subdir.public(filename), entry, there[filename])
                    if anchored is None:
                        found.lost_pins.append(filename)
                        continue
                    pins += 1
                    if anchored != entry:
                        edits: dict[str, Entry | None] = {filename: anchored}
                        found.edits[name] = {**found.edits.get(name, {}), **edits}
    return _Comparison(found.missing, found.changed, found.edits, pins, found.lost_pins)


def _compare_record(
    filename: str, entry: Record, there: Identity | None, found: _Comparison
) -> None:
    if there is None:
        found.missing.append(filename)
    elif entry.identity and there.size != entry.identity.size:
        found.changed.append(filename)


def _anchored(channel: Channel, key: str, pin: Pin, there: Identity) -> Pin | None:
    """The pin on the object that is there now; ``None`` where that is known to be another one.

    A multipart copy has another ETag, and so has one under another key of KMS.  Then the SHA-256
    decides where the pin has one, and the size alone where it has none: a package that somebody
    has kept out must not come back for want of a digest.
    """
    identity = pin.identity
    if identity is None or identity.size != there.size:
        return None
    if identity.etag != there.etag and pin.sha256:
        found = _sha256(channel, key, there)
        if found is not None and found != pin.sha256:
            return None
    return msgspec.structs.replace(pin, identity=there)


def _sha256(channel: Channel, key: str, there: Identity) -> str | None:
    """The digest of exactly that object; ``None`` where it cannot be read."""
    hashing = sha256()
    try:
        with channel.public.open(key) as found:
            if found is None or Identity.of(found.info) != there:
                raise Unavailable(f"{key} changes while it is looked at; try again")
            if found.info.sha256:
                return found.info.sha256
            for chunk in found.chunks:
                hashing.update(chunk)
    except Archived:
        return None
    except Changed as error:
        raise Unavailable(f"{key} changes while it is looked at; try again") from error
    return hashing.hexdigest()


def _told(
    subdir: Subdir, tree: Tree, compared: _Comparison, generation: int | None
) -> SubdirRebound:
    absent = len(compared.missing) + len(compared.changed)
    return SubdirRebound(
        subdir=subdir.name,
        generation=generation,
        packages=tree.records,
        there=tree.records - absent,
        missing=compared.missing[:REBIND_EXAMPLES_MAX],
        missing_count=len(compared.missing),
        changed=compared.changed[:REBIND_EXAMPLES_MAX],
        changed_count=len(compared.changed),
        pins=compared.pins,
        lost_pins=compared.lost_pins,
    )


def _publish(channel: Channel, subdirs: Sequence[Subdir], max_age_seconds: int) -> None:
    """Publish over what is there: the state may have another name than the one that did."""
    publisher = Publisher(
        channel.public, channel.state, channel.owner or "", max_age_seconds, adopt=True
    )

    def publish(subdir: Subdir, version: HeadVersion) -> None:
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        publisher.publish(subdir, version.head, catalog, tidy=True, gather=channel.gather)

    for subdir in subdirs:
        read_newest(channel.state, subdir, partial(publish, subdir))
    _take_channel_files_over(channel, max_age_seconds)
    if channel.merges is None:
        merge_here(channel, subdirs)


def _take_channel_files_over(channel: Channel, max_age_seconds: int) -> None:
    theirs = []
    for file in (*_CHANNEL_FILES, PAGE):
        info = channel.public.head(channel_file(channel.name, file))
        stamp = Stamp.parse(info.metadata) if info else None
        if stamp and stamp.owner != channel.owner:
            theirs.append(channel_file(channel.name, file))
    page = channel_file(channel.name, PAGE)
    if page in theirs:  # it gives way to what seems to be somebody's own page
        channel.public.delete([page])
    publish_channel_again(channel, theirs, max_age_seconds)
