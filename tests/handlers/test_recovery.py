"""What docs/security.md tells an operator to do when nothing stored can be trusted any more."""

from __future__ import annotations

import pytest

from testkit.channel import conda
from tests.handlers.functions import BUCKET, INDEX, STATE
from tests.handlers.stack_driver import StackDriver

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

SUBDIR = "demo/noarch"
PACKAGES = [conda({**INDEX, "version": version}) for version in ("1", "2", "3")]


def records(driver: StackDriver) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = driver.stack.read(BUCKET, f"{SUBDIR}/repodata.json")[
        "packages.conda"
    ]
    return found


def delete(driver: StackDriver, bucket: str, *prefixes: str) -> None:
    for prefix in prefixes:
        for key in driver.stack.keys(bucket, prefix):
            if not key.endswith(".conda"):
                driver.stack.s3.delete_object(Bucket=bucket, Key=key)


def test_an_index_is_made_anew_from_the_packages_alone(driver: StackDriver) -> None:
    driver.upload(*PACKAGES)
    driver.merge()
    before = records(driver)
    delete(driver, STATE, "heads/", "staging/")
    delete(driver, BUCKET, "")
    assert driver.reconcile()["counts"]["missing"] == len(PACKAGES)
    after = records(driver)
    assert after.keys() == before.keys()
    assert [without_time(record) for record in after.values()] == [
        without_time(record) for record in before.values()
    ]


def test_an_index_that_can_be_trusted_is_the_base_and_keeps_its_timestamps(
    driver: StackDriver,
) -> None:
    driver.upload(*PACKAGES)
    driver.merge()
    before = records(driver)
    delete(driver, STATE, "heads/", "staging/")
    driver.reconcile()
    driver.reconcile()
    assert records(driver) == before


def test_a_forged_record_is_replaced_by_what_the_package_says(driver: StackDriver) -> None:
    driver.upload(*PACKAGES)
    driver.merge()
    before = records(driver)
    target = PACKAGES[0].filename
    found = driver.stack.s3.head_object(Bucket=BUCKET, Key=f"{SUBDIR}/{target}")
    forged = {
        "verdict": "indexed",
        "filename": target,
        "extractor": 99,
        "at": 0,
        "format": 1,
        "identity": {
            "etag": found["ETag"],
            "modified": int(found["LastModified"].timestamp()),
            "size": found["ContentLength"],
        },
        "record": {**before[target], "depends": ["evil"]},
        "digests_from": {},
    }
    driver.stage(f"staging/{SUBDIR}/{target}/1.json", forged)
    driver.merge()
    assert records(driver)[target]["depends"] == ["evil"]
    delete(driver, STATE, "heads/", "staging/")
    driver.reconcile()
    driver.reconcile()
    assert records(driver) == before


def without_time(record: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in record.items() if key != "indexed_timestamp"}
