"""``current_repodata.json``: the newest packages, selected as conda-index selects them.  Pure.

Old clients try it first, and read the whole index if it is not enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from sluice.conda.match_spec import MatchSpec, parse_match_spec
from sluice.conda.match_spec_eval import Match, Matcher, spec_matcher
from sluice.conda.record_fields import is_version
from sluice.conda.timestamps import timestamp_ms
from sluice.conda.version import Version
from sluice.limits import CURRENT_REPODATA_CHECKS_MAX
from sluice.publish.repodata import Records, RepodataContents

_CONDA, _TAR_BZ2 = ".conda", ".tar.bz2"
_CHECKS_PER_RECORD = 10
"""Comparisons that take as long as reading a field of a record."""


class _RecordFields(msgspec.Struct):
    """The fields of a record that the selection reads."""

    name: str
    version: str
    build: str = ""
    build_number: int = 0
    depends: list[str] = []
    timestamp: Any = None
    features: Any = None
    track_features: Any = None


class _ComparedFields(msgspec.Struct):
    """The fields that only few match specs ask for: read when one does, not kept."""

    version: str
    build_number: int = 0
    features: Any = None
    license: Any = None
    license_family: Any = None
    md5: Any = None
    sha256: Any = None
    subdir: Any = None
    track_features: Any = None


@dataclass(frozen=True, slots=True)
class _Package:
    filename: str
    version: Version
    fields: _RecordFields
    raw: msgspec.Raw

    @property
    def build(self) -> str:
        return self.fields.build

    def field(self, key: str) -> Any:
        """The value of a field by which a match spec can choose."""
        if key == "fn":
            return self.filename
        return getattr(msgspec.json.decode(self.raw, type=_ComparedFields), key)

    @property
    def has_features(self) -> bool:
        return bool(self.fields.features or self.fields.track_features)

    @property
    def sort_key(self) -> tuple[Version, int, int, str, str]:
        """A sort key by which the newest sorts last; of equals, the one that conda prefers."""
        fields, built = self.fields, timestamp_ms(self.fields.timestamp)
        return self.version, fields.build_number, built, fields.build, self.filename


_Groups = Mapping[str, list[_Package]]
"""Packages by name, newest first."""


def select_current(contents: RepodataContents) -> RepodataContents:
    """Select the packages that most people need.

    Of each name that is its newest version.  If that does not satisfy a dependency of another
    selected package, the newest version that does is added, and newer ones of which that cannot be
    said, such as for a regular expression.  If it has features, the newest version
    before it without features is added.  Records in revision 3 and removed files stay as they are.
    """
    groups = _group_by_name(contents.records)
    newest = {name: _same_series(group[0], group) for name, group in groups.items()}
    missing = _missing_dependencies(newest, groups)
    kept = {name: [*group, *missing.get(name, ())] for name, group in newest.items()}
    without_features = (
        _newest_without_features(groups[name], packages) for name, packages in kept.items()
    )
    filenames = {
        package.filename for group in [*kept.values(), *without_features] for package in group
    }
    records = {
        filename: _with_counterpart(filename, raw, contents.records)
        for filename, raw in contents.records.items()
        if filename in filenames
    }
    return replace(contents, records=records)


def _group_by_name(records: Records) -> _Groups:
    packages = {filename: _read_package(filename, raw) for filename, raw in records.items()}
    groups: dict[str, list[_Package]] = {}
    for filename, package in packages.items():
        has_conda = filename.endswith(_TAR_BZ2) and packages.get(
            filename.removesuffix(_TAR_BZ2) + _CONDA
        )
        if package and not has_conda:
            groups.setdefault(package.fields.name.lower(), []).append(package)
    for group in groups.values():
        group.sort(key=lambda package: package.sort_key, reverse=True)
    return groups


def _read_package(filename: str, raw: msgspec.Raw) -> _Package | None:
    """``None`` for a record that cannot be ordered: an existing index may hold anything."""
    try:
        fields = msgspec.json.decode(raw, type=_RecordFields)
    except msgspec.ValidationError:
        return None
    if not is_version(fields.version.lower()):
        return None
    return _Package(filename, Version(fields.version), fields, raw)


def _same_series(package: _Package, group: list[_Package]) -> list[_Package]:
    """All packages of a group with the version of ``package``, or of its series."""
    return [other for other in group if other.version.starts_with(package.version)]


def _missing_dependencies(newest: _Groups, groups: _Groups) -> dict[str, list[_Package]]:
    """The other dependencies of the newest packages; as in conda-index, not those of these in turn.

    The work is bounded, however many packages there are: the rest is left out.
    """
    missing: dict[str, list[_Package]] = {}
    checks_left = CURRENT_REPODATA_CHECKS_MAX
    for text in _dependencies(newest.values()):
        spec = parse_match_spec(text)
        name = spec.name.lower() if spec else ""
        group = groups.get(name, [])
        checks = _check_count(text)
        if not spec or len(_readings(spec)) * checks * 2 * len(group) > checks_left:
            continue
        search = _Search()
        for matches in _readings(spec):
            if not search.satisfied:
                search.run(matches, newest.get(name, []), group)
        checks_left -= checks * search.tries
        missing.setdefault(name, []).extend(search.missing)
    return missing


def _readings(spec: MatchSpec) -> list[Matcher]:
    """What a spec asks for; where conda and the CEP differ, what satisfies both first."""
    stricter = [spec_matcher(spec, strict=True)] if spec.stricter_version else []
    return [*stricter, spec_matcher(spec)]


@dataclass(slots=True)
class _Search:
    """The search for what satisfies a spec."""

    missing: list[_Package] = field(default_factory=list)
    """The newest package that matches, with its series, and the newer ones that may match."""
    satisfied: bool = False
    tries: int = 0

    def run(self, matches: Matcher, newest: list[_Package], group: list[_Package]) -> None:
        """Search in ``newest``, and in the whole group if none of these matches."""
        for number, package in enumerate((*newest, *group)):
            self.tries += 1
            match = matches(package)
            self.satisfied = match is Match.YES
            if number >= len(newest) and match is not Match.NO:
                self.missing += _same_series(package, group) if self.satisfied else [package]
            if self.satisfied:
                break


def _dependencies(groups: Iterable[list[_Package]]) -> list[str]:
    """Every spec once, the simple ones first."""
    specs = {spec for group in groups for package in group for spec in package.fields.depends}
    return sorted(specs, key=lambda spec: (_check_count(spec), spec))


def _check_count(spec: str) -> int:
    """The work of comparing a package with a spec, in comparisons of a clause with a version."""
    reads_record = "[" in spec
    return 1 + spec.count(",") + spec.count("|") + (_CHECKS_PER_RECORD if reads_record else 0)


def _newest_without_features(group: list[_Package], kept: list[_Package]) -> list[_Package]:
    if not any(package.has_features for package in kept):
        return []
    return [package for package in group if not package.has_features][:1]


def _with_counterpart(filename: str, raw: msgspec.Raw, records: Records) -> msgspec.Raw:
    """The record of a ``.conda`` with the MD5 of the ``.tar.bz2`` of the same name (CEP 36)."""
    counterpart = records.get(filename.removesuffix(_CONDA) + _TAR_BZ2)
    if not filename.endswith(_CONDA) or counterpart is None:
        return raw
    md5 = msgspec.json.decode(counterpart).get("md5")
    record = {**msgspec.json.decode(raw), "legacy_bz2_md5": md5}
    return msgspec.Raw(msgspec.json.encode(record, order="sorted")) if md5 else raw
