"""People, who upload, overwrite and delete packages; what S3 tells of it; and another tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any
from urllib.parse import quote, quote_plus

import msgpack
import zstandard

from sluice.conda.names import NOARCH
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir, config_key, parse_package_key
from testkit.memory_store import Stored
from tests.simulation.system import packages
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.clock import DAY, MINUTE, SECOND, Clock
from tests.simulation.system.configurations import GOOD, INVALID, OPTIONAL, PATCH_PACKAGES
from tests.simulation.system.flood import Flood
from tests.simulation.system.habits import Habits
from tests.simulation.system.invariants import INDEX_FILES, Invariants
from tests.simulation.system.packages import CORRUPT, ODD, Place

_SPOILT = 0.15
_RESTORES = 0.5
"""How likely much is restored, and not deleted."""
_COPIES = 0.2
"""How likely an archived package is copied out of the archive, and not restored."""
_RESTORES_HEARD = 0.2
"""How likely an event tells of a restore."""
_MOVES = (
    (True, True, True),
    (True, True, True),
    (False, True, True),
    (False, True, False),
    (False, False, True),
)
"""Whether a whole channel is moved away, its packages, and its index files."""
_FORMS = ((True, False), (True, True), (False, True))
"""Of another tool's index: whether in one file, and whether in shards."""


class People:
    """All who put packages into the bucket."""

    def __init__(
        self,
        habits: Habits,
        channel: Bucket,
        clock: Clock,
        rng: Random,
        invariants: Invariants,
        notify: Callable[[str], None],
        bucket: Callable[[], str],
    ) -> None:
        """``notify`` is given the messages that S3 sends, ``bucket`` gives the bucket's name."""
        self.events_lost = False
        """Whether something happened of which the events do not tell."""
        self._habits = habits
        self._channel = channel
        self._clock = clock
        self._rng = rng
        self._invariants = invariants
        self._notify = notify
        self._bucket = bucket
        self._flood = Flood(habits, channel, rng, self._upload, self._delete)
        self._deleted: dict[Place, Stored] = {}
        """What was deleted last with much else."""
        self.places = [
            Place(subdir, name)
            for subdir in habits.subdirs
            for name in packages.FILENAMES[: habits.places]
        ]
        """Where honest people put packages."""

    def act(self) -> str:
        """Do something with some package; tells what."""
        rng = self._rng
        done = self._act_on_much()
        if done:
            return done
        subdir = rng.choice(self._habits.subdirs)
        if rng.random() < self._habits.others and self._invariants.is_published(subdir):
            return self.meddle(subdir)
        if rng.random() < self._habits.configures:
            return self._configure(subdir.channel)
        if rng.random() < self._habits.odd:
            place = Place(rng.choice(self._habits.subdirs), rng.choice(ODD))
            if rng.random() < 0.5:
                return self._misplace(place.subdir)
        elif rng.random() < self._habits.archives:
            return self._archive(rng.choice(self.places))
        elif rng.random() < self._habits.favourite:
            place = self.places[-1]
        else:
            place = rng.choice(self.places)
        return self._delete_or_upload(place)

    def _act_on_much(self) -> str | None:
        """Do something with many packages at once, where people do that; tells what."""
        rng, habits = self._rng, self._habits
        if habits.floods and rng.random() < habits.floods:
            return self._flood.act()
        if habits.moves and rng.random() < habits.moves:
            return self._move_away(rng.choice(habits.with_noarch))
        return None

    def _delete_or_upload(self, place: Place) -> str:
        if place.key in self._channel.objects and self._rng.random() < self._habits.deletes:
            self._delete(place)
            return f"delete {place.key}"
        what, body = self._something_for(place)
        self._upload(place, body)
        return f"upload {place.key}: {what}"

    def _misplace(self, subdir: Subdir) -> str:
        """Upload a good package to where no package is, or delete it; tells what."""
        filename = self._rng.choice(packages.FILENAMES)
        key = self._rng.choice(packages.misplaced_keys(subdir, filename))
        if key in self._channel.objects:
            self._channel.remove(key)
            self._tell("ObjectRemoved:Delete", key, None)
            return f"delete {key}"
        body = packages.good(subdir.name, filename, 0)
        self._channel.upload(key, body)
        self._tell("ObjectCreated:Put", key, len(body))
        return f"misplace {key}"

    def _move_away(self, subdir: Subdir) -> str:
        """Move a subdir away, its packages or its index alone, or the whole channel; tells what.

        Its shards stay: those who publish, and readers, could find them gone at any time.
        """
        whole, packages_go, index_goes = self._rng.choice(_MOVES)
        subdirs = [
            one
            for one in self._habits.with_noarch
            if one == subdir or (whole and one.channel == subdir.channel)
        ]
        for one in subdirs:
            if packages_go:
                self.delete_packages(one)
            if index_goes:
                self.events_lost = True
                for file in (*INDEX_FILES, *OPTIONAL):
                    if one.file_key(file) in self._channel.objects:
                        self._channel.remove(one.file_key(file))
                        self._invariants.moved_away(one, file)
        key = config_key(subdir.channel)
        if whole and key in self._channel.objects:
            self._put(key, None)
        what = " and ".join(["packages"] * packages_go + ["index"] * index_goes)
        return f"move away {what} of {[one.prefix for one in subdirs]}"

    def delete_packages(self, subdir: Subdir) -> None:
        """Delete all packages of a subdir, and what lies there and can be none."""
        for key in self._channel.keys(subdir.prefix):
            filename = key.removeprefix(subdir.prefix)
            if filename.endswith(packages.SUFFIXES) and "/" not in filename:
                self._delete(Place(subdir, filename))

    def upload_everywhere(self, channel: str) -> None:
        """Upload a good package into each subdir of a channel."""
        for place in self.places:
            if place.subdir.channel == channel:
                self._upload(place, packages.good(place.subdir.name, place.filename, 0))

    def _archive(self, place: Place) -> str:
        """Archive a package, restore it, or copy it out of the archive; tells what."""
        stored = self._channel.objects.get(place.key)
        if stored is None:
            return f"{place.key} is not there to be archived"
        if stored.info.archive is None:
            self._channel.archive(place.key, self._rng.choice(("GLACIER", "DEEP_ARCHIVE")))
            self.events_lost = True
            self._invariants.touched(place)
            return f"archive {place.key}"
        if self._rng.random() < _COPIES:
            self._upload(place, stored.body)
            return f"copy {place.key} out of the archive"
        self._channel.restore(place.key)
        self._invariants.touched(place)
        if self._rng.random() < _RESTORES_HEARD:
            self._tell("ObjectRestore:Completed", place.key, len(stored.body))
        return f"restore {place.key} from the archive"

    def flood(self, subdir: Subdir) -> str:
        """Upload more that cannot be indexed than a subdir keeps of it; tells what."""
        return self._flood.fill(subdir)

    def end_flood(self) -> str:
        """Delete what was uploaded that cannot be indexed, except under the honest names."""
        return self._flood.end()

    def refill(self, subdir: Subdir) -> str:
        """Upload again what was deleted from a subdir with much else; tells what."""
        gone = [place for place in self._deleted if place.subdir == subdir]
        for place in gone:
            self._upload(place, self._deleted.pop(place).body)
        return f"refill {subdir.prefix}: {[place.filename for place in gone]}"

    def lose(self, subdir: Subdir) -> str:
        """Delete or restore much of a subdir, or nothing, and let no event tell of it."""
        if self._rng.random() >= self._habits.empties:
            return "nothing is lost"
        back = any(place.subdir == subdir for place in self._deleted)
        restores = back and self._rng.random() < _RESTORES
        return self._restore(subdir) if restores else self._empty(subdir)

    def _empty(self, subdir: Subdir) -> str:
        """Delete most packages of a subdir; the events of it are lost."""
        there = [place for place in self.places if place.subdir == subdir]
        gone = [
            one for one in there if one.key in self._channel.objects and self._rng.random() < 0.8
        ]
        for place in gone:
            self._deleted[place] = self._channel.objects[place.key]
            self._channel.remove(place.key)
            self._invariants.touched(place, heard=False)
        self.events_lost = True
        return f"empty {subdir.prefix}: {[place.filename for place in gone]}"

    def _restore(self, subdir: Subdir) -> str:
        """Bring deleted packages back as they were, their dates included; no event tells of it."""
        back = [
            place
            for place in self._deleted
            if place.subdir == subdir and place.key not in self._channel.objects
        ]
        for place in back:
            self._channel.objects[place.key] = self._deleted.pop(place)
            self._invariants.touched(place)
        self.events_lost = True
        return f"restore {subdir.prefix}: {[place.filename for place in back]}"

    def ask_for_patches(self) -> str:
        """Write configurations that ask for patches; tells what."""
        keys = sorted({config_key(subdir.channel) for subdir in self._habits.subdirs})
        body = next(body for body, configuration in GOOD.items() if configuration.patches)
        for key in keys:
            self._put(key, body)
        return f"ask for patches: {keys}"

    def _upload(self, place: Place, body: bytes) -> None:
        self._channel.upload(place.key, body, metadata=self._metadata(place, body))
        self._invariants.touched(place)
        if not self._tell("ObjectCreated:Put", place.key, len(body)):
            self._invariants.uploaded_unheard(place)

    def _delete(self, place: Place) -> None:
        self._channel.remove(place.key)
        heard = self._tell("ObjectRemoved:Delete", place.key, None)
        self._invariants.touched(place, heard=heard)

    def _metadata(self, place: Place, body: bytes) -> dict[str, str]:
        """What an uploader says of a package: its digest, or that of another for its place.

        The same bytes within one second are one object to sluice, so they say the same.
        """
        if not self._habits.misstates:
            return {}
        rng = Random(f"{place.key} {sha256(body).hexdigest()} {self._clock.ms // SECOND}")  # noqa: S311
        if rng.random() < self._habits.misstates:
            self.events_lost = True  # no event tells that it is false
            variant = rng.randrange(self._habits.variants + 1)
            body = packages.good(place.subdir.name, place.filename, variant)
        return {"package-sha256": sha256(body).hexdigest()}

    def settle_configurations(self) -> None:
        """Have no configuration left that cannot be used: which one then is in force is chance."""
        for channel in sorted({subdir.channel for subdir in self._habits.subdirs}):
            stored = self._channel.objects.get(config_key(channel))
            if stored and stored.body == INVALID:
                self._put(config_key(channel), self._rng.choice(list(GOOD)))

    def configure_unheard(self) -> str:
        """Write a configuration of which no event tells."""
        key = config_key(self._rng.choice(self._habits.subdirs).channel)
        body = self._rng.choice(list(GOOD))
        self._channel.upload(key, body)
        return f"write {key} unheard: {list(GOOD).index(body)}"

    def _configure(self, channel: str) -> str:
        """Write or delete a configuration or a patch; tells what."""
        rng = self._rng
        if not self._habits.patched and rng.random() < 0.5:
            key, bodies = config_key(channel), [*GOOD, INVALID]
        else:
            filename, said = rng.choice(list(PATCH_PACKAGES.items()))
            key, bodies = Subdir(channel, NOARCH).file_key(filename), list(said)
        if key in self._channel.objects and rng.random() < self._habits.deletes / 2:
            body = None
        else:
            body = rng.choice(bodies)
        self._put(key, body)
        return f"write {key}: {bodies.index(body)}" if body is not None else f"delete {key}"

    def _put(self, key: str, body: bytes | None) -> None:
        if body is None:
            self._channel.remove(key)
        else:
            self._channel.upload(key, body)
        name = "ObjectRemoved:Delete" if body is None else "ObjectCreated:Put"
        heard = self._tell(name, key, None if body is None else len(body))
        package = parse_package_key(key)
        if package:
            self._invariants.touched(Place(package.subdir, package.filename), heard=heard)

    def meddle(self, subdir: Subdir) -> str:
        """Let somebody write over what sluice has published, or delete it; tells what."""
        self.events_lost = True
        with self._invariants.by_others():
            if self._rng.random() < 0.5:
                key = subdir.file_key(self._rng.choice((REPODATA, REPODATA_ZST, SHARD_INDEX)))
                if key in self._channel.objects:
                    self._channel.remove(key)
                return f"delete {key}"
            self._write_index(subdir, self._records_there(subdir), *self._rng.choice(_FORMS[:2]))
        return f"index {subdir} with another tool"

    def index_as_others_do(self, subdir: Subdir) -> None:
        """Fill a subdir and index it with another tool, which makes mistakes."""
        rng = self._rng
        records = {}
        for name in packages.FILENAMES:
            place = Place(subdir, name)
            if rng.random() < 0.3:
                continue
            body = packages.good(subdir.name, name, rng.randrange(self._habits.variants))
            record: dict[str, Any] = dict(packages.record_of(subdir.name, name, body) or {})
            if rng.random() < 0.5:
                record["indexed_timestamp"] = self._clock.ms - rng.randrange(100 * DAY)
            if rng.random() < 0.8:
                records[name] = record
            if rng.random() < 0.2:
                body = self._something_for(place)[1]  # not indexed since it was overwritten
            if rng.random() < 0.9:
                self._channel.upload(place.key, body)
                self._invariants.touched(place)
            else:
                self._invariants.brakes.touched(place, heard=False)
        self.events_lost = True
        with self._invariants.by_others():
            self._write_index(subdir, records, *rng.choice(_FORMS))
        self._invariants.indexed_by_others(subdir)

    def index_again(self, subdir: Subdir) -> str:
        """Let another tool index a subdir again that sluice is about to take over; tells what."""
        if self._invariants.is_published(subdir):
            return f"{subdir} is left to sluice"
        with self._invariants.by_others():
            self._write_index(subdir, self._records_there(subdir), True, True)  # noqa: FBT003
        self._invariants.indexed_by_others(subdir)
        return f"index {subdir} again with another tool"

    def _records_there(self, subdir: Subdir) -> dict[str, dict[str, Any]]:
        """The records of all good packages in a subdir."""
        return {
            name: dict(record)
            for name in packages.FILENAMES
            if (stored := self._channel.objects.get(subdir.file_key(name)))
            and (record := packages.record_of(subdir.name, name, stored.body))
        }

    def _something_for(self, place: Place) -> tuple[str, bytes]:
        rng, habits = self._rng, self._habits
        slow = habits.slow > 0 and rng.random() < habits.slow
        how = "slow, " * slow
        if place.filename in ODD or rng.random() < _SPOILT:
            if rng.random() < 0.5:
                return "corrupt", rng.choice(CORRUPT)
            other = rng.choice(self.places)
            body = packages.misplaced(other.subdir.name, other.filename, slow=slow)
            return f"{how}meant for {other.key}", body
        variant = rng.randrange(habits.variants)
        body = packages.good(place.subdir.name, place.filename, variant, slow=slow)
        return f"{how}variant {variant}", body

    def _tell(self, name: str, key: str, size: int | None) -> bool:
        """Send events: none, one or several, soon or late, in no order; tells whether any."""
        rng, habits = self._rng, self._habits
        if rng.random() < habits.dropped:
            self.events_lost = True
            return False
        for _ in range(1 + (rng.random() < habits.duplicated)):
            delay = rng.randrange(2 * SECOND)
            if rng.random() < habits.delayed:
                delay = rng.randrange(20 * MINUTE)
            event = self._event(name, key, size)
            self._clock.after(delay, partial(self._notify, event))
        return True

    def _event(self, name: str, key: str, size: int | None) -> str:
        over_eventbridge = self._rng.random() < 0.2
        # AWS encodes what S3 sends; other servers do not, and for EventBridge nobody says.
        encode = partial(quote, safe="/") if over_eventbridge else partial(quote_plus, safe="/")
        described: dict[str, Any] = {"key": encode(key) if self._rng.random() < 0.5 else key}
        if size is not None:
            described["size"] = size
        about = {"bucket": {"name": self._bucket()}, "object": described}
        if over_eventbridge:
            return json.dumps({"source": "aws.s3", "detail-type": name, "detail": about})
        return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": about}]})

    def _write_index(
        self,
        subdir: Subdir,
        records: dict[str, dict[str, Any]],
        in_one: bool,  # noqa: FBT001 - see _FORMS
        in_shards: bool,  # noqa: FBT001
    ) -> None:
        compress = zstandard.ZstdCompressor(level=1).compress
        if in_one:
            repodata = {
                "info": {"subdir": subdir.name},
                **_by_archive(records),
                "removed": [],
                "repodata_version": 1,
            }
            body = json.dumps(repodata).encode()
            self._channel.upload(subdir.file_key(REPODATA), body)
            self._channel.upload(subdir.file_key(REPODATA_ZST), compress(body))
        if in_shards:
            self._write_shards(subdir, records, compress)

    def _write_shards(
        self,
        subdir: Subdir,
        records: dict[str, dict[str, Any]],
        compress: Callable[[bytes], bytes],
    ) -> None:
        digests = {}
        for name in sorted({record["name"] for record in records.values()}):
            named = {
                filename: _with_binary_digests(record)
                for filename, record in records.items()
                if record["name"] == name
            }
            shard = {**_by_archive(named), "removed": []}
            body = compress(msgpack.packb(shard))
            digests[name] = sha256(body).digest()
            self._channel.upload(subdir.shard_key(digests[name].hex()), body)
        info = {"subdir": subdir.name, "base_url": "", "shards_base_url": "./shards/"}
        index = msgpack.packb({"info": info, "shards": digests, "version": 1})
        self._channel.upload(subdir.file_key(SHARD_INDEX), compress(index))


def _by_archive(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        key: {name: record for name, record in records.items() if name.endswith(suffix)}
        for key, suffix in (("packages", ".tar.bz2"), ("packages.conda", ".conda"))
    }


def _with_binary_digests(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: bytes.fromhex(value) if key in ("md5", "sha256") else value
        for key, value in record.items()
    }
