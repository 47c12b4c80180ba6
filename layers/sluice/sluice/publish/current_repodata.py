"""``current_repodata.json``: the newest of everything, chosen as conda-index chooses it.  Pure.

Clients of long ago try it first, and read the whole index where it does not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from sluice.conda.match_spec import parse
from sluice.conda.match_spec_eval import matcher
from sluice.conda.record_fields import is_version
from sluice.conda.timestamps import in_milliseconds
from sluice.conda.version import Version
from sluice.limits import CURRENT_TRIES_MAX
from sluice.publish.repodata import Contents, Records

_CONDA, _TAR_BZ2 = ".conda", ".tar.bz2"


class _Said(msgspec.Struct):
    """What of a record there is to go by."""

    name: str
    version: str
    build: str = ""
    build_number: int = 0
    depends: list[str] = []
    timestamp: Any = None
    features: Any = None
    track_features: Any = None


@dataclass(frozen=True, slots=True)
class _Package:
    filename: str
    version: Version
    said: _Said

    @property
    def has_features(self) -> bool:
        return bool(self.said.features or self.said.track_features)

    @property
    def age(self) -> tuple[Version, int, int, str]:
        """The newest sorts last."""
        said = self.said
        return self.version, said.build_number, in_milliseconds(said.timestamp), self.filename


_Groups = Mapping[str, list[_Package]]
"""By name, newest first."""


def current(contents: Contents) -> Contents:
    """The contents with the packages alone that most people need.

    Of each name its newest version; then, where that does not satisfy what one of those depends
    on, the newest that does; and where it has features, the newest before it that has none.
    Records in revision 3 and what was removed stand there as they are.
    """
    groups = _grouped(contents.records)
    newest = {name: _series_of(group[0], group) for name, group in groups.items()}
    missing = _missing(newest, groups)
    kept = {name: [*group, *missing.get(name, ())] for name, group in newest.items()}
    plain = (_newest_without_features(groups[name], of) for name, of in kept.items())
    chosen = {one.filename for group in [*kept.values(), *plain] for one in group}
    records = {
        filename: _with_counterpart(filename, raw, contents.records)
        for filename, raw in contents.records.items()
        if filename in chosen
    }
    return replace(contents, records=records)


def _grouped(records: Records) -> _Groups:
    packages = {filename: _read(filename, raw) for filename, raw in records.items()}
    groups: dict[str, list[_Package]] = {}
    for filename, package in packages.items():
        is_there_twice = filename.endswith(_TAR_BZ2) and packages.get(
            filename.removesuffix(_TAR_BZ2) + _CONDA
        )
        if package and not is_there_twice:
            groups.setdefault(package.said.name.lower(), []).append(package)
    for group in groups.values():
        group.sort(key=lambda one: one.age, reverse=True)
    return groups


def _read(filename: str, raw: msgspec.Raw) -> _Package | None:
    """``None`` for what nobody can order: an index that was taken over may hold anything."""
    try:
        said = msgspec.json.decode(raw, type=_Said)
    except msgspec.ValidationError:
        return None
    if not is_version(said.version.lower()):
        return None
    return _Package(filename, Version(said.version), said)


def _series_of(one: _Package, group: list[_Package]) -> list[_Package]:
    """All of a group whose version is that of one, or of its series."""
    return [other for other in group if other.version.starts_with(one.version)]


def _missing(newest: _Groups, groups: _Groups) -> dict[str, list[_Package]]:
    """What else the newest depend on.  As in conda-index, not what those others depend on.

    No number of packages may bring this down: what takes too long to tell is left out.
    """
    found: dict[str, list[_Package]] = {}
    left = CURRENT_TRIES_MAX
    for text in _dependencies(newest.values()):
        spec = parse(text)
        name = spec.name.lower() if spec else ""
        group = groups.get(name, [])
        clauses = _clauses(text)
        if not spec or clauses * 2 * len(group) > left:
            continue
        asked, tries = matcher(spec), [*newest.get(name, ()), *group]
        best = next((n for n, one in enumerate(tries) if asked(one.version, one.said.build)), None)
        left -= clauses * (len(tries) if best is None else best + 1)
        if best is not None and best >= len(newest[name]):
            found.setdefault(name, []).extend(_series_of(tries[best], group))
    return found


def _dependencies(groups: Iterable[list[_Package]]) -> list[str]:
    """Every spec once, the simple ones first."""
    specs = {spec for group in groups for one in group for spec in one.said.depends}
    return sorted(specs, key=lambda spec: (_clauses(spec), spec))


def _clauses(spec: str) -> int:
    return 1 + spec.count(",") + spec.count("|")


def _newest_without_features(group: list[_Package], kept: list[_Package]) -> list[_Package]:
    if not any(one.has_features for one in kept):
        return []
    return [one for one in group if not one.has_features][:1]


def _with_counterpart(filename: str, raw: msgspec.Raw, records: Records) -> msgspec.Raw:
    """The record of a ``.conda`` with the MD5 of the ``.tar.bz2`` of the same (CEP 36)."""
    counterpart = records.get(filename.removesuffix(_CONDA) + _TAR_BZ2)
    if not filename.endswith(_CONDA) or counterpart is None:
        return raw
    md5 = msgspec.json.decode(counterpart).get("md5")
    record = {**msgspec.json.decode(raw), "legacy_bz2_md5": md5}
    return msgspec.Raw(msgspec.json.encode(record, order="sorted")) if md5 else raw
