"""Channels whose packages depend on each other in every way in which a match spec can be written.

A number gives the same channel on every machine.
"""

from __future__ import annotations

from random import Random
from typing import Any

SUBDIR = "linux-64"
NAMES = ("app", "lib", "lib-dev", "python", "numpy", "_mutex", "tool.x", "pip")
VERSIONS = (
    *("0.4.1", "0.9", "1", "1.0", "1.0.0", "1.0.1", "1.2", "1.2.3", "1.10", "2.0", "2.0.1"),
    *("1.0rc1", "1.2rc1", "2.0a1", "2.0.dev1", "1.0.post1", "1.2+cpu", "1!0.5", "1.0.1_", "1.0.1a"),
)
PYTHONS = ("2.7.18", "3.9.1", "3.10.4", "3.11.0", "3.11.9", "3.12.1", "3.13.0rc2")
BUILDS = ("h0_0", "h0_1", "py39_0", "py311h1_0", "cpu_0", "cuda_1", "Hx_0", "0")
CHANNELS = ("dummy-channel", "conda-forge", "https://example.com/team", "dummy-channel/linux-64")
"""conda-index has every package in a channel of the first name."""
LICENSES = ("MIT", "BSD-3-Clause", "GPL-3.0-only")
_OPERATORS_OF_ANY = ("", "==", "!=", ">=", "<=", "<", ">", "=")
_OPERATORS = (*_OPERATORS_OF_ANY, "~=")


def channel(number: int) -> dict[str, Any]:
    """The ``repodata.json`` of a channel."""
    rng = Random(number)  # noqa: S311 - nothing secret
    made: dict[str, Any] = {"info": {"subdir": SUBDIR}, "packages": {}, "packages.conda": {}}
    for name in rng.sample(NAMES, rng.randint(2, 6)):
        versions = PYTHONS if name == "python" else VERSIONS
        for version in rng.sample(versions, rng.randint(1, 5)):
            for build in rng.sample(BUILDS, rng.randint(1, 3)):
                _add(rng, made, name, version, build)
    return made


def _add(rng: Random, made: dict[str, Any], name: str, version: str, build: str) -> None:
    stem = f"{name}-{version}-{build}"
    record: dict[str, Any] = {
        "build": build,
        "build_number": rng.choice((0, 0, int(build[-1]), 2)),
        "constrains": [spec(rng) for _ in range(rng.choice((0, 0, 1)))],
        "depends": [spec(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))],
        "license": rng.choice(LICENSES),
        "md5": f"{rng.getrandbits(128):032x}",
        "name": name,
        "sha256": f"{rng.getrandbits(256):064x}",
        "size": 1,
        "subdir": SUBDIR,
        "timestamp": _timestamp(rng, version),
        "version": version,
    }
    if name != "python" and rng.random() < 0.1:
        record["noarch"] = "python"
        record["depends"].append(f"python >=3.{rng.choice((9, 11, 12))}")
    if rng.random() < 0.1:
        record["track_features"] = rng.choice(("mkl", "cuda debug"))
    archives = rng.choice((("packages.conda",), ("packages",), ("packages.conda", "packages")))
    for archive in archives:
        filename = stem + (".tar.bz2" if archive == "packages" else ".conda")
        made[archive][filename] = {**record, "md5": f"{rng.getrandbits(128):032x}"}


def _timestamp(rng: Random, version: str) -> int:
    """In milliseconds.  Where all else is the same, conda takes any of ``1`` and ``1.0``."""
    built = rng.randrange(1_600_000_000_000, 1_700_000_000_000)
    return built if version in ("1", "1.0", "1.0.0") else rng.choice((0, built, 1_650_000_000_000))


def spec(rng: Random) -> str:
    """A match spec that conda accepts, in most cases."""
    if rng.random() < 0.002:
        return _not_valid(rng)
    return rng.choice(_KINDS)(rng)


def version(rng: Random, name: str) -> str:
    """A version of a package of this name, or one beside it."""
    return rng.choice(PYTHONS if name == "python" else VERSIONS)


def clause(rng: Random, name: str) -> str:
    """A clause of a version spec."""
    text = version(rng, name)
    series, dot, _ = text.rpartition(".")
    if dot and rng.random() < 0.3:
        return f"{rng.choice(('', '', '!=', '>='))}{series}.*"
    return rng.choice(_OPERATORS if dot else _OPERATORS_OF_ANY) + text


def clauses(rng: Random, name: str) -> str:
    """A version spec, at times with spaces that mean nothing."""
    text = clause(rng, name)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        following = clause(rng, name)
        # conda takes what follows a space and "=" for a build.
        space = "" if following.startswith("=") else rng.choice(("", "", " "))
        text += space + rng.choice(",,|") + space + following
    return text


def build(rng: Random) -> str:
    """A build, or a glob for some."""
    return rng.choice((*BUILDS, "*", "py*", "*_0", "h*_1", "*cuda*"))


def _name(rng: Random) -> str:
    return rng.choice(NAMES)


def _name_only(rng: Random) -> str:
    return _name(rng)


def _positional(rng: Random) -> str:
    name = _name(rng)
    return f"{name} {clauses(rng, name)}"


def _glued(rng: Random) -> str:
    name = _name(rng)
    return f"{name}{rng.choice(('=', '==', '>=', '<', ' = ', '<= '))}{version(rng, name)}"


def _with_build(rng: Random) -> str:
    name = _name(rng)
    text = version(rng, name)
    return rng.choice(
        (
            "{} {} {}",
            "{}={}={}",
            "{}=={}={}",
            "{} {}={}",
            "{} =={} {}",
            "{} ={} {}",
            "{}={} {}",
            "{} {}.* {}",
            "{} >={} {}",
            "{} >={}={}",
        )
    ).format(name, text, build(rng))


def _bracketed(rng: Random) -> str:
    name, quote = _name(rng), rng.choice("'\"")
    pairs = [f"version={quote}{clauses(rng, name)}{quote}"]
    if rng.random() < 0.4:
        pairs.append(_keyword(rng))
    rng.shuffle(pairs)
    before = f" {clauses(rng, name)}" if rng.random() < 0.3 else ""
    return f"{name}{before}[{rng.choice((',', ', ', ' ')).join(pairs)}]"


def _keyword(rng: Random) -> str:
    quote = rng.choice(("'", '"', ""))
    key, value = rng.choice(
        (
            ("build", build(rng)),
            ("build", build(rng)),
            ("build_number", rng.choice("0123")),
            ("license", rng.choice(LICENSES)),
            ("subdir", rng.choice((SUBDIR, "noarch"))),
            ("channel", rng.choice(CHANNELS)),
            ("name", "other"),
            ("fn", f"{_name(rng)}-{rng.choice(VERSIONS)}-{rng.choice(BUILDS)}.conda"),
        )
    )
    if key == "build_number" and rng.random() < 0.5:
        return f"{key}='{rng.choice(('>=', '<', '!=', '=='))}{value}'"
    return f"{key}={quote}{value}{quote}"


def _keyword_only(rng: Random) -> str:
    return f"{_name(rng)}[{_keyword(rng)}]"


def _in_channel(rng: Random) -> str:
    inner = rng.choice((_positional, _with_build, _bracketed, _name_only))(rng)
    return rng.choice((*CHANNELS, CHANNELS[0], CHANNELS[0])) + rng.choice(("::", ":ns:")) + inner


def _namespaced(rng: Random) -> str:
    return f"ns:{_positional(rng)}"


def _commented(rng: Random) -> str:
    return f"{rng.choice((_positional, _bracketed))(rng)} # {_name(rng)} [x]"


def _grouped(rng: Random) -> str:
    name = _name(rng)
    one, two, three = (clause(rng, name) for _ in range(3))
    return rng.choice(
        ("{}[version='({}|{}),{}']",) * 3 + ("{} ({})", "{}[version='{},({}|{})']")
    ).format(name, one, two, three)


def _regular_expression(rng: Random) -> str:
    name = _name(rng)
    return rng.choice(
        ("{} ^1.*$", "{}[version='^1.*$']", "{} * ^h.*$", "{}[build='^py.*$']")
    ).format(name)


def _glob_within(rng: Random) -> str:
    return f"{_name(rng)} {rng.choice(('1.*.3', '*.1', '1*', '3.*.1', '=1.2*', '2.0*|1.*.1'))}"


def _legacy(rng: Random) -> str:
    return f"{_positional(rng)} {rng.choice(('(optional)', '(optional=True)'))}"


def _not_valid(rng: Random) -> str:
    return _name(rng) + rng.choice(
        (
            " ~~ 1",
            " >=",
            " 1,",
            "[version='>=']",
            " 1..2",
            "[version='<1'",
            " ~=1",
            " 1 , =2",
            " (1|2),<3",
            "[version='^[12]$']",
        )
    )


_KINDS = (
    *(_positional,) * 8,
    *(_with_build,) * 6,
    *(_bracketed,) * 8,
    *(_in_channel,) * 4,
    *(_glued,) * 3,
    *(_keyword_only,) * 3,
    *(_name_only,) * 2,
    *(_namespaced,),
    *(_commented,) * 2,
    *(_grouped,) * 2,
    _regular_expression,
    *(_glob_within,) * 2,
    _legacy,
)
