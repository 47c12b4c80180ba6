"""Compare ``current_repodata.json`` with conda's choice: ``make conda-conformance``.

Each difference needs a known cause: without the match specs of its causes, the two must be equal.
Exits with 1 where they are not, and writes ``docs/conformance-conda.md``.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from sluice.conda.match_spec import parse_match_spec
from sluice.publish.current_repodata import select_current
from sluice.publish.repodata import RepodataContents
from tests.conformance.conda_choice import (
    READERS,
    Choice,
    CondaMissing,
    CondaSource,
    choices,
    conda_source,
)
from tests.conformance.indexers import versions
from tests.conformance.made_up_channels import BUILDS, CHANNELS, channel

PAGE = Path(__file__).parents[2] / "docs" / "conformance-conda.md"
RECORDED = Path(__file__).parents[1] / "golden" / "conda_choices.json"
"""What conda chose of the first channels, without the match specs of ``CAUSES``: for make test,
which has no conda."""
RECORDED_CHANNELS = 150
CHANNELS_COMPARED = 2000
Channel = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of match spec that conda-index reads differently."""

    what: str
    why: str
    """What conda-index does, what sluice does, and who is right."""
    applies: Callable[[str], bool]


def _names_other_channel(spec: str) -> bool:
    by_keyword = re.search(r"channel=['\"]?([^,'\" \]]*)", spec)
    named = by_keyword or re.match(r"([^\[#]*):[^\[#:]*:", spec)
    return named is not None and not named[1].startswith(CHANNELS[0])


def _has_group_outside(spec: str) -> bool:
    return "(" in re.sub(r"\[.*\]|\(optional[^)]*\)", "", spec.partition("#")[0])


def _is_fuzzy_with_build(spec: str) -> bool:
    parsed = parse_match_spec(spec)
    return parsed is not None and parsed.stricter_version is not None


def _differs_in_case(spec: str) -> bool:
    parsed = parse_match_spec(spec)
    pattern = parsed.fields.get("build", "*") if parsed else "*"
    return any(
        fnmatchcase(build.lower(), pattern.lower()) and not fnmatchcase(build, pattern)
        for build in BUILDS
    )


CAUSES = (
    Cause(
        "the name of a channel",
        "conda-index puts all packages into a channel `dummy-channel`, so no package is in the"
        " channel that the spec names, and the file lacks what it asks for. sluice does not compare"
        " channels: a name holds for all packages of a channel or for none. conda-index is wrong.",
        _names_other_channel,
    ),
    Cause(
        "clauses in parentheses, outside of brackets",
        "conda drops what is in them: `lib (<1)` is `lib`. In CEP 29 and in rattler they group,"
        " and so in sluice. What satisfies that satisfies conda, too.",
        _has_group_outside,
    ),
    Cause(
        "a regular expression",
        "sluice does not run expressions that anybody may upload. It keeps every package that the"
        " rest of the spec allows, so the file has more, never less.",
        lambda spec: "^" in spec,
    ),
    Cause(
        "`=1.0` with a build",
        "conda and rattler take it for `==1.0`, CEP 29 for `1.0.*`. sluice keeps what the stricter"
        " one asks for, and where the channel has none of it, what the CEP asks for.",
        _is_fuzzy_with_build,
    ),
    Cause(
        "a build that differs in case",
        "conda compares case, CEP 29 does not. sluice keeps both.",
        _differs_in_case,
    ),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two files differ."""

    number: int
    more: frozenset[str]
    """Files that sluice has and conda-index has not."""
    fewer: frozenset[str]


@dataclass(slots=True)
class Comparison:
    """What was seen with one of conda's readers."""

    rejected: int = 0
    """Match specs that conda rejects."""
    differences: list[Difference] = field(default_factory=list)
    by_cause: dict[str, list[Difference]] = field(default_factory=dict)
    unexplained: list[Difference] = field(default_factory=list)


def without_specs(made: Channel, is_dropped: Callable[[str], bool]) -> dict[str, Any]:
    """A channel whose packages do not depend on some match specs."""
    changed = deepcopy(dict(made))
    for records in (changed["packages"], changed["packages.conda"]):
        for record in records.values():
            record["depends"] = [spec for spec in record["depends"] if not is_dropped(spec)]
    return changed


def chosen_by_sluice(made: Channel) -> list[str]:
    """What sluice chooses of a channel."""
    contents = RepodataContents()
    for records in (made["packages"], made["packages.conda"]):
        for filename, record in records.items():
            contents.records[filename] = msgspec.Raw(msgspec.json.encode(record, order="sorted"))
    return sorted(select_current(contents).records)


def has_cause(spec: str) -> bool:
    """Whether conda-index is known to read a spec differently."""
    return any(cause.applies(spec) for cause in CAUSES)


def _has_other_cause(cause: Cause, spec: str) -> bool:
    return has_cause(spec) and not cause.applies(spec)


def compare(numbers: Sequence[int], source: CondaSource, *, solver: str) -> Comparison:
    """Compare the choices of both, and look for the cause of each difference."""
    made = {number: channel(number) for number in numbers}
    found = _choose(made.values(), source, solver)
    result = Comparison(sum(len(choice.rejected) for choice in found))
    result.differences = _differences(made, found)
    differing = {each.number: made[each.number] for each in result.differences}
    for cause in CAUSES:
        only = {
            number: without_specs(each, partial(_has_other_cause, cause))
            for number, each in differing.items()
        }
        seen = _differences(only, _choose(only.values(), source, solver))
        result.by_cause[cause.what] = seen
    plain = {number: without_specs(each, has_cause) for number, each in differing.items()}
    result.unexplained = _differences(plain, _choose(plain.values(), source, solver))
    return result


def _choose(made: Iterable[Channel], source: CondaSource, solver: str) -> list[Choice]:
    return choices(list(made), source, solver=solver)


def _differences(made: Mapping[int, Channel], found: Sequence[Choice]) -> list[Difference]:
    result = []
    for (number, each), choice in zip(made.items(), found, strict=True):
        rejected = frozenset(choice.rejected)
        ours = frozenset(chosen_by_sluice(without_specs(each, rejected.__contains__)))
        theirs = frozenset(choice.chosen)
        if ours != theirs:
            result.append(Difference(number, ours - theirs, theirs - ours))
    return result


_HEAD = """\
# What conda chooses for `current_repodata.json`

sluice selects for `current_repodata.json` as conda-index does. This page is generated: `make
conda-conformance CONDA_SOURCE=<folder of a clone>` makes channels up
(`tests/conformance/made_up_channels.py`), whose packages depend on each other in every way in which
a match spec can be written, and has both choose: sluice, and conda-index with conda's `MatchSpec`.
It fails where they differ without one of the causes below: without the match specs of that kind
they must be equal. What conda chose of the first channels is recorded for `make test`
(`tests/golden/conda_choices.json`).

| | |
|---|---|
"""


def render(
    seen: Mapping[str, Comparison], numbers: Sequence[int], source: CondaSource, date: str
) -> str:
    """The page."""
    facts = {
        "date": date,
        "conda": f"commit `{source.commit}`",
        "conda-index": versions()["conda_index"],
        "channels": f"{len(numbers):,}: {numbers[0]} to {numbers[-1]}",
    }
    lines = [f"| {key} | {value} |" for key, value in facts.items()]
    readers = " | ".join(f"reader: {READERS[solver]}" for solver in seen)
    lines += ["", f"| | {readers} |", "|---|" + "--:|" * len(seen)]
    lines += [
        _row("channels with the same choice", [_equal(each, numbers) for each in seen.values()]),
        _row("channels where sluice has more", [_count(each, "more") for each in seen.values()]),
        _row("channels where sluice has less", [_count(each, "fewer") for each in seen.values()]),
        _row("differences without a known cause", [len(c.unexplained) for c in seen.values()]),
        _row("match specs that conda rejects", [each.rejected for each in seen.values()]),
    ]
    lines += ["", "A spec that conda rejects ends conda-index, which then writes no file."]
    lines += ["sluice writes it; the two were compared without these specs.", ""]
    lines += ["## Causes", ""]
    for cause in CAUSES:
        lines += [f"### A spec with {cause.what}", "", cause.why, ""]
        for solver, comparison in seen.items():
            found = comparison.by_cause[cause.what]
            listed = ", ".join(str(each.number) for each in found) or "none"
            lines += [f"- reader {READERS[solver]}, {len(found)} channels: {listed}"]
        lines.append("")
    return _HEAD + "\n".join(lines).rstrip() + "\n"


def _row(what: str, values: Sequence[int]) -> str:
    return f"| {what} | {' | '.join(f'{value:,}' for value in values)} |"


def _equal(comparison: Comparison, numbers: Sequence[int]) -> int:
    return len(numbers) - len(comparison.differences)


def _count(comparison: Comparison, attribute: str) -> int:
    return sum(bool(getattr(each, attribute)) for each in comparison.differences)


def record(source: CondaSource) -> None:
    """Record what conda chooses, for make test."""
    made = [without_specs(channel(number), has_cause) for number in range(RECORDED_CHANNELS)]
    found = _choose(made, source, "libmamba")
    RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def main() -> None:
    """Compare, print every difference, and write the page if all channels of it were compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=CHANNELS_COMPARED)
    parser.add_argument("--first", type=int, default=0, help="the number of the first channel")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.channels)
    try:
        source = conda_source(os.environ)
        seen = {solver: compare(numbers, source, solver=solver) for solver in READERS}
    except CondaMissing as error:
        sys.exit(str(error))
    for solver, comparison in seen.items():
        _print(READERS[solver], comparison, numbers)
    if numbers == range(CHANNELS_COMPARED):
        PAGE.write_text(render(seen, numbers, source, datetime.now(UTC).date().isoformat()))
        record(source)
    if any(comparison.unexplained for comparison in seen.values()):
        sys.exit("sluice and conda differ without a known cause, see above")


def _print(reader: str, comparison: Comparison, numbers: Sequence[int]) -> None:
    same = _equal(comparison, numbers)
    print(f"{reader}: {same} of {len(numbers)} the same")  # noqa: T201 - a command line
    for what, found in [*comparison.by_cause.items(), ("no known cause", comparison.unexplained)]:
        for each in found:
            files = [f"+{name}" for name in sorted(each.more)]
            files += [f"-{name}" for name in sorted(each.fewer)]
            print(f"  {each.number}: {what}: {' '.join(files)}")  # noqa: T201 - the same


if __name__ == "__main__":
    main()
