"""The inputs of a generation besides its packages: the active configuration and patch.

The current objects in the bucket decide both, whatever triggered the merge.  An invalid one changes
nothing, and people see the error.  The last good configuration stays active; of the patches, the
newest good one is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from sluice import channel_config
from sluice.catalog import node as render
from sluice.catalog import patch_object
from sluice.catalog.client_view import RenderRules
from sluice.catalog.codec import content_digest
from sluice.catalog.entry import Entries, Record
from sluice.catalog.file_warnings import CONFIG_KEY_UNKNOWN
from sluice.catalog.head import Head, head_object
from sluice.catalog.patch_object import StoredPatch
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import ActiveConfig, ActivePatch, InputProblem, Inputs, Tree
from sluice.channel_config import ChannelConfig
from sluice.concurrency import Executor
from sluice.conda.build_order import BuildOrderKey, build_order_key
from sluice.conda.names import NOARCH, package_name
from sluice.conda.patch import affected_files
from sluice.conda.timestamps import EpochMs
from sluice.errors import Archived, BadConfig, BadPackage
from sluice.layout import SLUICE_TOML, Subdir, config_key
from sluice.limits import CONFIG_BYTES_MAX
from sluice.package.patch_package import PatchPackage, read_patch_package
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectStore, OpenObject, describe_object
from sluice.storage.versioned_object import ObjectVersion, read_newest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SelectedInputs:
    """The inputs of the next generation."""

    inputs: Inputs
    rules: RenderRules
    patch_body: bytes | None = None
    """What the patch says about the subdir, if that is not stored yet."""


class PatchCandidate(NamedTuple):
    """A record of the patch package, in the form by which the newest is chosen."""

    age: BuildOrderKey
    filename: str
    sha256: str
    identity: ObjectId


class _Patch(NamedTuple):
    candidate: PatchCandidate
    package: PatchPackage


@dataclass(frozen=True, slots=True)
class InputSelector:
    """Selects the inputs of one subdir."""

    channel: ObjectStore
    state: ObjectStore
    subdir: Subdir
    catalog: CatalogReader
    executor: Executor
    defaults: ChannelConfig

    def select(
        self, parent: Tree, of_noarch: Callable[[str], Entries], *, at: EpochMs
    ) -> SelectedInputs:
        """Read the current configuration and patches.

        ``of_noarch`` returns the entries of a package name, for the merge of ``noarch``, which may
        be about to change them.  Raises ``Unavailable`` and ``Corrupt``.
        """
        in_force, problems, warnings = self._config(parent, at=at)
        settings = channel_config.config_from_dict(in_force.settings)
        patch = None
        if settings.patches:
            entries = self._entries(settings.patches, of_noarch)
            patch, malformed = self._newest_patch(entries, at=at)
            problems += malformed
        inputs = Inputs(
            config=in_force,
            patch=None,
            problems=_with_known_dates(problems, parent) if self.subdir.name == NOARCH else [],
            renderer=render.RENDERER_VERSION,
            warnings=(_with_known_dates(warnings, parent) or UNSET)
            if self.subdir.name == NOARCH
            else UNSET,
        )
        return self._select(inputs, settings, patch, parent, at=at)

    def _config(
        self, parent: Tree, *, at: EpochMs
    ) -> tuple[ActiveConfig, list[InputProblem], list[InputProblem]]:
        """The configuration to use, the problems of the current file, and warnings about it."""
        key = config_key(self.subdir.channel)
        try:
            with self.channel.open(key) as opened:
                if opened is None:
                    return self._active_config(None, None, self.defaults), [], []
                identity = ObjectId.from_info(opened.info)
                body = _read_bounded(opened)
            parsed = channel_config.parse_channel_config(body, defaults=self.defaults)
            warnings = [
                InputProblem(
                    filename=SLUICE_TOML,
                    identity=identity,
                    code=CONFIG_KEY_UNKNOWN,
                    sentence=sentence,
                    at=at,
                )
                for sentence in channel_config.config_warnings(body)
            ]
            return self._active_config(identity, sha256(body).hexdigest(), parsed), [], warnings
        except Archived as error:
            info = describe_object(self.channel, key)
            if info is None:
                return self._active_config(None, None, self.defaults), [], []
            identity, code, sentence = ObjectId.from_info(info), "archived", str(error)
        except BadConfig as error:
            code, sentence = error.code, error.sentence
        problem = InputProblem(
            filename=SLUICE_TOML, identity=identity, code=code, sentence=sentence, at=at
        )
        in_force = msgspec.structs.replace(
            self._last_valid_config(parent),
            seen=identity,
            defaults=channel_config.config_fingerprint(self.defaults),
        )
        return in_force, [problem], []

    def _active_config(
        self, seen: ObjectId | None, digest: str | None, settings: ChannelConfig
    ) -> ActiveConfig:
        return ActiveConfig(
            seen=seen,
            digest=digest,
            settings=channel_config.config_to_dict(settings),
            defaults=channel_config.config_fingerprint(self.defaults),
        )

    def _last_valid_config(self, parent: Tree) -> ActiveConfig:
        if parent.inputs:
            return parent.inputs.config
        if self.subdir.name != NOARCH and (
            inputs := self._read_noarch(lambda tree, _: tree.inputs)
        ):
            return inputs.config
        return self._active_config(None, None, self.defaults)

    def _entries(self, name: str, of_noarch: Callable[[str], Entries]) -> Entries:
        if self.subdir.name == NOARCH:
            return of_noarch(name)
        return self._read_noarch(
            lambda tree, catalog: catalog.entries([tree.names.get(name)])[0],
        )

    def _read_noarch(self, read: Callable[[Tree, CatalogReader], T]) -> T:
        noarch = Subdir(self.subdir.channel, NOARCH)

        def read_version(version: ObjectVersion[Head]) -> T:
            catalog = CatalogReader(self.state, noarch, self.executor)
            return read(catalog.tree(version.value.tree), catalog)

        return read_newest(head_object(self.state, noarch), read_version)

    def _newest_patch(
        self, entries: Entries, *, at: EpochMs
    ) -> tuple[_Patch | None, list[InputProblem]]:
        """The newest patch that can be used, and the problems of newer ones."""
        problems: list[InputProblem] = []
        noarch = Subdir(self.subdir.channel, NOARCH)
        for candidate in sorted(patch_candidates(entries), reverse=True):
            try:
                key = noarch.file_key(candidate.filename)
                package = read_patch_package(self.channel, key, self.subdir.name)
            except (BadPackage, Archived) as error:
                problems.append(_unusable_patch(candidate, error, at=at))
                continue
            if package is not None:  # its removal is on the way
                return _Patch(candidate, package), problems
        return None, problems

    def _select(
        self,
        inputs: Inputs,
        settings: ChannelConfig,
        patch: _Patch | None,
        parent: Tree,
        *,
        at: EpochMs,
    ) -> SelectedInputs:
        if patch is None:
            return SelectedInputs(inputs, RenderRules(settings))
        instructions = patch.package.instructions
        before = parent.inputs.patch if parent.inputs else None
        in_force = ActivePatch(
            package=patch.candidate.filename,
            sha256=patch.package.sha256,
            instructions=None,
            at=at,
        )
        body: bytes | None = None
        if before and (before.package, before.sha256) == (in_force.package, in_force.sha256):
            in_force = before
        elif instructions is not None:
            body = patch_object.encode_patch(
                StoredPatch(at=at, package=in_force.package, instructions=instructions)
            )
            in_force = msgspec.structs.replace(in_force, instructions=content_digest(body))
        if instructions is not None and in_force.instructions:
            self.catalog.cache_instructions(in_force.instructions, instructions)
        return SelectedInputs(
            msgspec.structs.replace(inputs, patch=in_force),
            RenderRules(settings, instructions),
            body,
        )


def names_changed_by_inputs(parent: Tree, before: RenderRules, chosen: SelectedInputs) -> set[str]:
    """The names of a tree that may look different to clients with the chosen inputs."""
    known = parent.inputs
    if not known or known.renderer != chosen.inputs.renderer:
        return set(parent.shown)
    old, new = before.config, chosen.rules.config
    if _view_settings(old) != _view_settings(new):
        return set(parent.shown)
    files = affected_files(before.instructions, chosen.rules.instructions)
    names = {package_name(filename) for filename in files}
    if "" in names:  # files whose names only their records have are in revision 3
        names |= {name for name, node in parent.names.items() if node.extras and node.extras.v3}
    return names & parent.names.keys()


def _view_settings(settings: ChannelConfig) -> tuple[object, ...]:
    return (
        settings.package_revision_assignment,
        bool(settings.repodata_revisions),
        settings.timestamps,
        settings.package_revisions,
    )


def _read_bounded(opened: OpenObject) -> bytes:
    """Read just enough to see that a configuration is too large."""
    body = bytearray()
    for chunk in opened.chunks:
        body += chunk
        if len(body) > CONFIG_BYTES_MAX:
            break
    return bytes(body)


def patch_candidates(entries: Entries) -> Iterator[PatchCandidate]:
    """The records of a patch package that can be ordered."""
    for filename, entry in entries.items():
        if isinstance(entry, Record) and entry.identity and entry.record.get("sha256"):
            age = build_order_key(entry.record)
            if age:
                yield PatchCandidate(age, filename, entry.record["sha256"], entry.identity)


def _unusable_patch(
    candidate: PatchCandidate, error: BadPackage | Archived, *, at: EpochMs
) -> InputProblem:
    code, sentence = (
        (error.code, error.sentence) if isinstance(error, BadPackage) else ("archived", str(error))
    )
    return InputProblem(
        filename=candidate.filename,
        identity=candidate.identity,
        code=code,
        sentence=sentence,
        at=at,
    )


def _with_known_dates(problems: list[InputProblem], parent: Tree) -> list[InputProblem]:
    """Replace problems that are already known by their first reports."""
    known = {_without_date(problem): problem for problem in _problems(parent)}
    return [known.get(_without_date(problem), problem) for problem in problems]


def _problems(tree: Tree) -> list[InputProblem]:
    """The problems and warnings of a tree."""
    return [*tree.inputs.problems, *(tree.inputs.warnings or ())] if tree.inputs else []


def _without_date(problem: InputProblem) -> InputProblem:
    return msgspec.structs.replace(problem, at=0)
