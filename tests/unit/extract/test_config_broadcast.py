"""Configuration and patches: what has a channel look at them, and what it makes of them."""

from __future__ import annotations

import json
from typing import Any

from sluice.conda.names import NOARCH
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.extract.staging import Indexed
from sluice.layout import Subdir, config_key
from testkit.channel import PATCHES, Package, conda, patch_package
from testkit.system import System

CHANNEL = "Conda/Default"
LINUX, NOARCH_SUBDIR = Subdir(CHANNEL, "linux-64"), Subdir(CHANNEL, NOARCH)
NOW_MS = 1_750_000_000_000
PATCHED = f'[sluice]\npatches = "{PATCHES}"\n'


def package(name: str, *, subdir: str = "linux-64", **fields: Any) -> Package:
    return conda(
        {
            "name": name,
            "version": "1.0",
            "build": "0",
            "build_number": 0,
            "subdir": subdir,
            **fields,
        }
    )


class Channel:
    """One channel whose functions take turns."""

    def __init__(self) -> None:
        self.sluice = System(NOW_MS)

    def add(self, *packages: Package) -> None:
        """Upload packages, and have them indexed."""
        self.sluice.tick(60)
        for one in packages:
            key = f"{CHANNEL}/{one.path}"
            self.sluice.upload({key: one.body})
            assert isinstance(self.sluice.extract(key), Indexed)
        self.sluice.run_until_idle()

    def drop(self, one: Package) -> None:
        """Delete a package, and have that noticed."""
        self.sluice.tick(60)
        key = f"{CHANNEL}/{one.path}"
        self.sluice.channel.remove(key)
        self.sluice.extract(key)
        self.sluice.run_until_idle()

    def configure(self, text: str | None) -> None:
        """Write ``sluice.toml``, and have that noticed."""
        self.sluice.tick(60)
        if text is None:
            self.sluice.channel.remove(config_key(CHANNEL))
        else:
            self.sluice.upload({config_key(CHANNEL): text.encode()})
        self.announcer.notify_all(CHANNEL)
        self.sluice.run_until_idle()

    @property
    def announcer(self) -> ConfigBroadcast:
        return self.sluice.merger.config_broadcast

    def repodata(self, subdir: Subdir = LINUX) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.sluice.body(subdir, "repodata.json"))
        return found

    def generation(self, subdir: Subdir = LINUX) -> int:
        found: int = self.repodata(subdir)["sluice"]["generation"]
        return found

    def problems(self) -> list[tuple[str, str]]:
        document = json.loads(self.sluice.state.body(NOARCH_SUBDIR.rejects_key))
        return [(one["filename"], one["code"]) for one in document["problems"]]


ALPHA = package("alpha", depends=["python"])


def depends_of(channel: Channel, one: Package = ALPHA, subdir: Subdir = LINUX) -> list[str]:
    found: list[str] = channel.repodata(subdir)["packages.conda"][one.filename]["depends"]
    return found


def patch(version: str, *depends: str, **options: Any) -> Package:
    told = {"packages.conda": {ALPHA.filename: {"depends": list(depends)}}}
    return patch_package(version, {"linux-64": told}, **options)


def test_a_configuration_is_in_force_in_every_subdir_once_it_is_uploaded() -> None:
    channel = Channel()
    channel.add(ALPHA, package("beta", subdir="osx-64"))
    channel.configure('[index-config]\nbase-url = "https://cdn.test/team/"\n')
    for name in ("linux-64", "osx-64", NOARCH):
        repodata = channel.repodata(Subdir(CHANNEL, name))
        assert repodata["info"]["base_url"] == "https://cdn.test/team/", name
        assert repodata["repodata_version"] == 2, name


def test_a_configuration_that_is_taken_away_leaves_the_defaults() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure('[index-config]\nbase-url = "https://cdn.test/team/"\n')
    channel.configure(None)
    assert "base_url" not in channel.repodata()["info"]
    assert channel.repodata()["repodata_version"] == 1


def test_an_invalid_configuration_is_told_and_the_last_good_one_stays() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure('[index-config]\nbase-url = "https://cdn.test/team/"\n')
    channel.configure("[index-config]\nbase-url = 5\n")
    assert channel.repodata()["info"]["base_url"] == "https://cdn.test/team/"
    assert [filename for filename, _ in channel.problems()] == ["sluice.toml"]
    channel.configure(None)
    assert channel.problems() == []


def test_a_subdir_that_comes_while_the_configuration_is_invalid_has_the_last_good_one() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure('[index-config]\nbase-url = "https://cdn.test/team/"\n')
    channel.configure("nonsense")
    channel.add(package("beta", subdir="osx-64"))
    info = channel.repodata(Subdir(CHANNEL, "osx-64"))["info"]
    assert info["base_url"] == "https://cdn.test/team/"


def test_a_configuration_that_changes_nothing_makes_no_generation() -> None:
    channel = Channel()
    channel.add(ALPHA)
    before = channel.generation()
    channel.announcer.notify_all(CHANNEL)
    channel.sluice.run_until_idle()
    assert channel.generation() == before


def test_a_patch_package_that_nobody_has_named_is_a_package_like_any_other() -> None:
    channel = Channel()
    channel.add(ALPHA, patch("1.0", "python >=3"))
    assert depends_of(channel) == ["python"]


def test_a_patch_that_is_uploaded_reaches_the_other_subdirs() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure(PATCHED)
    before = channel.generation()
    channel.add(patch("1.0", "python >=3"))
    assert depends_of(channel) == ["python >=3"]
    assert channel.generation() == before + 1


def test_a_patch_of_noarch_is_in_force_with_the_commit_that_brings_it() -> None:
    channel = Channel()
    gamma = package("gamma", subdir=NOARCH, depends=["python"])
    channel.add(gamma)
    channel.configure(PATCHED)
    before = channel.generation(NOARCH_SUBDIR)
    told: dict[str, Any] = {"packages.conda": {gamma.filename: {"depends": []}}}
    channel.add(patch_package("1.0", {NOARCH: told}))
    assert depends_of(channel, gamma, NOARCH_SUBDIR) == []
    assert channel.generation(NOARCH_SUBDIR) == before + 1


def test_the_newest_patch_counts_and_taking_it_away_brings_back_the_one_before() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure(PATCHED)
    first, second = patch("1.9", "one"), patch("1.10", "two")
    channel.add(second)
    channel.add(first)
    assert depends_of(channel) == ["two"]
    channel.drop(second)
    assert depends_of(channel) == ["one"]
    channel.drop(first)
    assert depends_of(channel) == ["python"]


def test_a_package_that_comes_after_the_patch_is_patched_as_well() -> None:
    channel = Channel()
    channel.add(package("beta"))
    channel.configure(PATCHED)
    channel.add(patch("1.0", "python >=3"))
    channel.add(ALPHA)
    assert depends_of(channel) == ["python >=3"]


def test_a_malformed_patch_is_told_and_the_last_good_one_stays() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure(PATCHED)
    channel.add(patch("1.0", "python >=3"))
    bad = patch("2.0", body=b"{nonsense")
    channel.add(bad)
    assert depends_of(channel) == ["python >=3"]
    assert channel.problems() == [(bad.filename, "patch-invalid")]
    channel.drop(bad)
    assert channel.problems() == []


def test_naming_no_patches_any_more_takes_them_back() -> None:
    channel = Channel()
    channel.add(ALPHA)
    channel.configure(PATCHED)
    channel.add(patch("1.0", "python >=3"))
    channel.configure("")
    assert depends_of(channel) == ["python"]


def test_what_a_patch_removes_is_listed_as_removed_and_comes_back_with_it() -> None:
    channel = Channel()
    channel.add(ALPHA, package("beta"))
    channel.configure(PATCHED)
    one = patch_package("1.0", {"linux-64": {"remove": [ALPHA.filename]}})
    channel.add(one)
    assert channel.repodata()["removed"] == [ALPHA.filename]
    assert ALPHA.filename not in channel.repodata()["packages.conda"]
    channel.drop(one)
    assert channel.repodata()["removed"] == []
    assert ALPHA.filename in channel.repodata()["packages.conda"]


def test_subdirs_are_found_by_their_heads_and_by_what_is_staged() -> None:
    channel = Channel()
    channel.add(ALPHA)
    key = f"{CHANNEL}/win-64/beta-1.0-0.conda"
    channel.sluice.upload({key: package("beta", subdir="win-64").body})
    channel.sluice.extract(key)
    told = channel.announcer.notify_all(CHANNEL)
    assert [subdir.name for subdir in told] == ["linux-64", NOARCH, "win-64"]
    assert channel.announcer.notify_all("elsewhere") == []
