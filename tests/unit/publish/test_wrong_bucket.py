"""A bucket parameter that is changed by mistake, and changed back: no package leaves the index.

Through the functions and through ``sluice index``; with the binding there, and with it deleted
in between, as in a state of 0.1 that is upgraded at the same time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import pytest

from sluice.admin.standalone.index import IndexOptions, index
from sluice.catalog.binding import binding_object
from sluice.errors import WrongState
from sluice.layout import Subdir, channel_binding_key
from sluice.publish.publisher import Publisher
from sluice.reconcile.run import ReconcileRequest
from testkit.channel import Package
from testkit.memory_store import MemoryStore
from testkit.published import Index, read_index
from testkit.system import System
from tests.support.standalone_channel import CHANNEL as OF_INDEX
from tests.support.standalone_channel import LINUX, StandaloneChannel, package

START_MS = 1_750_000_000_000
OTHER = "new-bucket"
CHANNEL = "team"
SUBDIR = Subdir(CHANNEL, "linux-64")


class Deployment(Protocol):
    """A channel that is kept indexed, in one way or another."""

    state: MemoryStore
    production: MemoryStore
    channel_name: str

    def upload(self, *packages: Package) -> None:
        """Put packages into the bucket that the parameters lead to, with events if there are."""
        ...

    def lead_to(self, bucket: MemoryStore, name: str) -> None:
        """Change the parameter."""
        ...

    def run(self) -> list[str]:
        """Reconcile, or index; what was refused."""
        ...

    def index_in_production(self) -> Index: ...


class Functions:
    """The three functions."""

    channel_name = CHANNEL

    def __init__(self) -> None:
        self._sluice = System(START_MS)
        self.state = self._sluice.state
        self.production = self._sluice.channel

    def upload(self, *packages: Package) -> None:
        self._sluice.tick()
        for one in packages:
            key = f"{CHANNEL}/{one.path}"
            self._sluice.upload({key: one.body})
            self._sluice.extract(key)

    def lead_to(self, bucket: MemoryStore, name: str) -> None:
        sluice = self._sluice
        sluice.channel = bucket
        publisher = Publisher(bucket, sluice.state, "state", max_age_seconds=60)
        sluice.merger = replace(sluice.merger, channel=bucket, bucket=name, publisher=publisher)
        sluice.extractor = replace(sluice.extractor, channel=bucket)
        sluice.reconciler = replace(sluice.reconciler, channel=bucket, bucket=name)

    def run(self) -> list[str]:
        """The merges that wait, and a reconcile of everything."""
        refused = []
        try:
            self._sluice.deliver_merges()
        except WrongState as error:
            refused.append(str(error))
            self._sluice.merges.messages.clear()
        self._sluice.tick(60)
        report = self._sluice.reconcile(ReconcileRequest())
        for step in report.steps.values():
            refused += [one.failure for one in step.subdirs if one.failure]
        return refused

    def index_in_production(self) -> Index:
        return read_index(lambda file: self.production.body(SUBDIR.file_key(file)))


class ByCommand:
    """``sluice index --state``."""

    channel_name = OF_INDEX

    def __init__(self) -> None:
        self._world = StandaloneChannel()
        self.state = self._world.state
        self.production = self._world.public

    def upload(self, *packages: Package) -> None:
        for one in packages:
            self._world.channel.public.upload(f"{OF_INDEX}/{one.path}", one.body)  # type: ignore[attr-defined]

    def lead_to(self, bucket: MemoryStore, name: str) -> None:
        self._world.channel = replace(self._world.channel, public=bucket, bucket=name)

    def run(self) -> list[str]:
        self._world.tick(60)
        report = index(self._world.channel, IndexOptions(subdirs_at_once=1))
        return [one.reason for one in report.failures]

    def index_in_production(self) -> Index:
        return self._world.published(LINUX)


@pytest.fixture(params=[Functions, ByCommand], ids=["functions", "sluice index"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    found: Deployment = request.param()
    return found


def packages(count: int) -> list[Package]:
    return [package(f"name{number}") for number in range(count)]


def bound_to(deployment: Deployment) -> str | None:
    binding = binding_object(deployment.state, deployment.channel_name).read().value
    return binding.bucket if binding else None


@pytest.mark.parametrize("count", [4, 60])
@pytest.mark.parametrize("unbound", [False, True], ids=["bound", "binding deleted"])
def test_a_parameter_that_is_changed_and_changed_back_changes_no_index(
    deployment: Deployment, count: int, *, unbound: bool
) -> None:
    production_name = deployment_bucket(deployment)
    deployment.upload(*packages(count))
    assert deployment.run() == []
    before = deployment.index_in_production()
    assert len(before.records) == count
    assert bound_to(deployment) == production_name

    new = MemoryStore(lambda: START_MS / 1000)
    deployment.lead_to(new, OTHER)
    if unbound:
        deployment.state.remove(channel_binding_key(deployment.channel_name))
    for _ in range(2):
        refused = deployment.run()
        assert refused
        assert all(OTHER in one and "sluice rebind" in one for one in refused)
        assert new.objects == {}, "nothing is published into the wrong bucket"
        assert deployment.index_in_production() == before

    deployment.lead_to(deployment.production, production_name)
    assert deployment.run() == []
    assert deployment.index_in_production() == before
    assert bound_to(deployment) == production_name

    deployment.upload(package("later"))
    assert deployment.run() == []
    after = deployment.index_in_production()
    assert len(after.records) == count + 1
    assert {name: after.records[name] for name in before.records} == before.records


def test_an_upload_into_the_wrong_bucket_is_not_lost_once_the_state_is_right(
    deployment: Deployment,
) -> None:
    production_name = deployment_bucket(deployment)
    deployment.upload(*packages(4))
    deployment.run()
    before = deployment.index_in_production()
    new = MemoryStore(lambda: START_MS / 1000)
    deployment.lead_to(new, OTHER)
    deployment.upload(package("astray"))
    assert deployment.run()
    assert [key for key in new.objects if not key.endswith(".conda")] == []
    # What extract has staged about the other bucket's object does not reach this index.
    deployment.lead_to(deployment.production, production_name)
    assert deployment.run() == []
    assert deployment.index_in_production() == before


def deployment_bucket(deployment: Deployment) -> str:
    return "channel" if isinstance(deployment, Functions) else "channel-bucket"
