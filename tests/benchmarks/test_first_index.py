"""What the first index of larger packages is measured with."""

from __future__ import annotations

from hashlib import sha256

from benchmarks.first_index import OPERATIONS
from benchmarks.report import document
from benchmarks.results import Results
from sluice.extract.extract import examine
from sluice.extract.staging import Indexed
from sluice.layout import parse_package_key
from sluice.storage import object_headers
from testkit.made_up import conda, indexes, payload
from testkit.memory_store import MemoryStore

SIZE = 4 * 1024 * 1024


def test_a_package_with_a_payload_is_a_good_one_and_does_not_compress() -> None:
    bodies = []
    for number, index in enumerate(indexes(2)):
        package = conda(index, payload(number, SIZE))
        assert SIZE < len(package.body) < SIZE + 8192
        store = MemoryStore()
        store.put(f"channel/{package.path}", package.body, object_headers.PRIVATE_JSON_HEADERS)
        key = parse_package_key(f"channel/{package.path}")
        assert key
        verdict = examine(
            store,
            key,
            size_hint=len(package.body),
            trust_uploader_digests=True,
            clock=lambda: 0,
        )
        assert isinstance(verdict, Indexed)
        assert verdict.record["sha256"] == sha256(package.body).hexdigest()
        bodies.append(package.body)
    assert bodies[0] != bodies[1]


def test_the_report_has_a_section_for_each_operation_only_where_it_was_measured() -> None:
    assert "on SeaweedFS" not in document(Results())
    assert len(set(OPERATIONS)) == 5
