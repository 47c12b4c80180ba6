"""``run_exports.json`` as CEP 12 has it."""

from __future__ import annotations

import json

import pytest

from sluice.catalog.client_view import ClientView
from sluice.catalog.entry import Entries, Pin
from sluice.errors import Corrupt
from sluice.publish import run_exports
from sluice.publish.fence import Stamp
from sluice.publish.run_exports import RunExportsContents
from tests.support.staging_records import A2, A, B

STAMP = Stamp(3, "ab" * 32, "me")
PIN = Pin(identity=None, extractor=0, at=1, reason="r")


def test_every_package_is_in_it_also_one_that_exports_nothing() -> None:
    contents = RunExportsContents()
    contents.add(ClientView(run_exports={A2: {}, A: {"weak": ["alpha"], "strong": ["beta"]}}))
    body = run_exports.render_run_exports(contents, subdir="linux-64", stamp=STAMP)
    assert json.loads(body) == {
        "info": {"arch": "64", "platform": "linux", "subdir": "linux-64", "version": 1},
        "packages": {A2: {"run_exports": {}}},
        "packages.conda": {A: {"run_exports": {"strong": ["beta"], "weak": ["alpha"]}}},
        "sluice": {"generation": 3, "tree": "ab" * 32},
    }


def test_noarch_is_a_platform_without_an_architecture() -> None:
    info = json.loads(
        run_exports.render_run_exports(RunExportsContents(), subdir="noarch", stamp=STAMP)
    )["info"]
    assert info == {"arch": "", "platform": "noarch", "subdir": "noarch", "version": 1}


def test_what_was_rendered_can_be_read_and_changed() -> None:
    contents = RunExportsContents()
    contents.add(ClientView(run_exports={A: {}, A2: {}, B: {"noarch": ["x"]}}))
    read = run_exports.decode_run_exports(
        run_exports.render_run_exports(contents, subdir="noarch", stamp=STAMP)
    )
    assert read == contents
    gone: Entries = {A: PIN, A2: PIN}
    read.drop(gone)
    assert read.packages.keys() == {B}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"packages": {}}', b'{"packages": 1}'])
def test_what_is_no_such_file_is_corrupt(body: bytes) -> None:
    with pytest.raises(Corrupt, match=r"run_exports\.json that sluice wrote"):
        run_exports.decode_run_exports(body)
