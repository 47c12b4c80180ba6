"""``docs/reference/clients.md``: what ``make clients`` runs, and how it says what it saw."""

from __future__ import annotations

import fcntl
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest

from testkit.eventually import eventually
from testkit.published import read_index
from testkit.zstd import one_frame
from tests.conformance.client_matrix import cells as matrix_cells
from tests.conformance.client_matrix.cells import Cell, Verdict, last_line, run
from tests.conformance.client_matrix.channels import (
    FORMATS,
    ROOT,
    SOLUTION,
    TRANSPORTS,
    Place,
    Places,
    format_of,
    published,
)
from tests.conformance.client_matrix.clients import (
    ALL,
    CONDA_SOURCE,
    REQUIREMENTS,
    CannotRunError,
    Client,
    Task,
    js_rattler,
    py_rattlers,
)
from tests.conformance.client_matrix.page import PAGE, Row, render
from tests.conformance.published import Published

KEYS = [(transport, name) for transport in TRANSPORTS for name in FORMATS]


def cells(**other: Cell) -> Mapping[tuple[str, str], Cell]:
    """A client that can do all, but for some cells, by transport."""
    return {
        (transport, name): other.get(transport, Cell(Verdict.INSTALLED, [name]))
        for transport, name in KEYS
    }


def page_of(**other: Cell) -> str:
    return render([Row("some-client", "1.0", "PyPI", cells(**other))], date(2026, 12, 24))


def row_of(page: str) -> list[str]:
    (line,) = (line for line in page.splitlines() if line.startswith("| some-client |"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_newest_py_rattler_is_the_one_that_all_else_is_tested_with() -> None:
    newest, *older = (client.version for client in py_rattlers())
    assert len(older) == 4
    pinned = (REQUIREMENTS.parent / "dev.txt").read_text()
    assert re.findall(r"^py-rattler==(\S+)", pinned, re.MULTILINE) == [newest]


def test_requirements_have_hashes_and_name_no_host() -> None:
    for path in REQUIREMENTS.glob("*.txt"):
        pins = re.split(r"^(?=\S)", path.read_text(), flags=re.MULTILINE)[1:]
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins), path.name
    locked = (REQUIREMENTS / "package-lock.json").read_text()
    assert "sha512-" in locked
    for path in REQUIREMENTS.iterdir():
        assert not re.search("https?:", path.read_text()), path.name


def test_the_page_has_a_row_for_each_pinned_version() -> None:
    page = PAGE.read_text()
    for client in (*py_rattlers(), *js_rattler()):
        assert f"| {client.name} | {client.version} |" in page, "run make clients"
    for name in ("conda-lock", "conda-rattler-solver"):
        pinned = re.search(
            rf"^{name}==(\S+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE
        )
        assert pinned
        assert f"| {name} | {pinned[1]} |" in page, "run make clients"


def test_a_cell_says_which_format_was_read_unless_it_is_its_own() -> None:
    page = page_of(
        s3=Cell(Verdict.INSTALLED, ["zst"]),
        https=Cell(Verdict.SOLVED, ["shards", "json"]),
        file=Cell(Verdict.INSTALLED),
    )
    assert row_of(page)[3:] == [
        *("✓ *zst*", "✓", "✓ *zst*"),
        *["✓ (solve) *shards, json*"] * 3,
        *["✓ *unknown*"] * 3,
    ]


def test_a_failure_is_said_once_and_each_of_its_cells_leads_there() -> None:
    page = page_of(s3=Cell(Verdict.FAILED, line="no"), file=Cell(Verdict.FAILED, line="never"))
    failed = ["✗ [1](#what-failed-and-why)"] * 3, ["✗ [2](#what-failed-and-why)"] * 3
    assert row_of(page)[3:] == [*failed[0], "✓", "✓", "✓", *failed[1]]
    assert "\n1. `no`\n2. `never`\n" in page


def test_a_page_without_failures_has_no_list_of_them() -> None:
    assert "What failed" not in page_of()


def test_clients_that_were_not_run_are_named() -> None:
    page = page_of()
    assert [name for name in (*ALL, "pixi", "mamba") if f"\n- {name}" not in page] == []


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("one\ntwo\n\n", "two"),
        ("", "no output"),
        ("-----\n", "no output"),
        ("GET https://localhost:4711/zst/x.json", "GET <channel>/x.json"),
        ("connect to localhost:4711, 127.0.0.1:80", "connect to localhost, 127.0.0.1"),
        ("no such file /tmp/client-x/prefix", "no such file <home>/prefix"),
        (f"in {ROOT}/tests", "in <sluice>/tests"),
        ("in /opt/x/lib/site-packages/conda/x.py", "in site-packages/conda/x.py"),
    ],
)
def test_the_last_line_is_without_what_is_of_this_machine(output: str, said: str) -> None:
    assert last_line(output, Path("/tmp/client-x"), "https://localhost:4711/zst") == said  # noqa: S108


def test_a_line_of_any_length_fits_the_page() -> None:
    said = last_line("x" * 100_000, Path("/home"), "file:///channel")
    assert len(said) < 300


@pytest.mark.parametrize("named", [None, "", "/nowhere"])
def test_without_condas_source_conda_and_what_needs_it_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.delenv(CONDA_SOURCE, raising=False)
    if named is not None:
        monkeypatch.setenv(CONDA_SOURCE, named)
    for name in ("conda", "conda-lock", "conda-rattler-solver"):
        with pytest.raises(CannotRunError, match=r"CONDA_SOURCE=.*CLIENTS="):
            list(ALL[name]())


_INSTALL = """
import pathlib, sys
prefix, *names = sys.argv[1:]
for name in names:
    data = pathlib.Path(prefix, "share", name.split("-")[0], "data")
    data.parent.mkdir(parents=True)
    data.write_bytes(" ".join(name.split("-")[:2]).encode())
    meta = pathlib.Path(prefix, "conda-meta", name + ".json")
    meta.parent.mkdir(exist_ok=True)
    meta.touch()
print("done")
"""
_ALL = ("app-1.0-h0_0", "lib-1.0-h0_0", "helper-1.0-h0_0")


def client_of(*commands: Sequence[str], installs: bool = True) -> Client:
    """A client that calls Python; ``PREFIX`` stands for the folder that it is to install into."""

    def of_task(task: Task) -> list[list[str]]:
        return [
            [
                sys.executable,
                "-c",
                *(str(task.prefix) if part == "PREFIX" else part for part in one),
            ]
            for one in commands
        ]

    return Client("fake", "1", "nowhere", "none", of_task, installs=installs)


def places_of(read: Sequence[str], proofs: Mapping[str, str] | None = None) -> Places:
    place = Place(
        dict.fromkeys(FORMATS, "https://localhost/x"),
        dict.fromkeys(FORMATS, proofs) if proofs else {},
        lambda: list(read),
    )
    return Places(dict.fromkeys(TRANSPORTS, place), "http://127.0.0.1:1", Path("/none"))


def cell_of(client: Client, places: Places) -> Cell:
    _, cell = next(run(client, places))
    return cell


@pytest.mark.parametrize(
    ("read", "formats"),
    [
        (["shards/noarch/repodata_shards.msgpack.zst", "shards/noarch/shards/0.msgpack.zst"], 1),
        (["x/noarch/repodata_shards.msgpack.zst", "x/linux-64/repodata.json"], 2),
        ([], 0),
    ],
)
def test_a_client_that_installed_everything_has_read_what_the_log_says(
    read: list[str], formats: int
) -> None:
    cell = cell_of(client_of([_INSTALL, "PREFIX", *_ALL]), places_of(read))
    assert cell == Cell(Verdict.INSTALLED, ["shards", "json"][:formats])


def test_without_a_log_the_copies_tell_from_which_a_client_installs() -> None:
    fails_without = (
        "import pathlib, sys; sys.exit('json' not in pathlib.Path(sys.argv[1]).read_text())"
    )

    def commands(task: Task) -> list[list[str]]:
        (task.home / "url").write_text(task.url + " json" * (task.url == "https://localhost/x"))
        return [
            [sys.executable, "-c", fails_without, str(task.home / "url")],
            [sys.executable, "-c", _INSTALL, str(task.prefix), *_ALL],
        ]

    client = Client("fake", "1", "nowhere", "none", commands)
    cell = cell_of(client, places_of([], {"shards": "file:///by-shards", "json": "file:///json"}))
    assert cell == Cell(Verdict.INSTALLED, ["json"])


def test_what_a_server_refuses_that_checks_signatures_has_failed() -> None:
    unsigned = (
        "import os, sys;"
        "sys.exit('forbidden' if os.environ['AWS_ENDPOINT_URL'] == 'http://signed' else 0)"
    )
    client = client_of([unsigned], [_INSTALL, "PREFIX", *_ALL])
    places = places_of([])
    checking = replace(places.by_transport["s3"], signed_endpoint="http://signed")
    assert cell_of(client, places).verdict == Verdict.INSTALLED
    cell = cell_of(client, replace(places, by_transport={"s3": checking}))
    assert cell == Cell(Verdict.FAILED, line="forbidden")


@pytest.mark.parametrize(
    ("client", "line"),
    [
        (client_of(["import sys; sys.exit('no such channel')"]), "no such channel"),
        (client_of([_INSTALL, "PREFIX", *_ALL], ["raise SystemExit(2)"]), "no output"),
        (client_of(["print('done')"]), "installed [], said nothing"),
        (client_of([_INSTALL, "PREFIX", *_ALL[:2]]), "installed ['app', 'lib'], said nothing"),
        (
            client_of(["print('app-1.0-h0_0.conda')"], installs=False),
            "solved ['app-1.0-h0_0.conda']",
        ),
        (client_of(["import os; os.kill(os.getpid(), 11)"]), "no output"),
    ],
)
def test_a_client_that_did_not_do_all_has_failed(client: Client, line: str) -> None:
    assert cell_of(client, places_of([])) == Cell(Verdict.FAILED, line=line)


def test_a_client_that_does_not_end_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix_cells, "_SECONDS_MAX", 5)
    lock, ready = tmp_path / "lock", tmp_path / "ready"
    holding = (
        "import fcntl, pathlib, time;"
        f"held = open({str(lock)!r}, 'w'); fcntl.flock(held, fcntl.LOCK_EX);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    )
    starting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holding!r}])"
    cell = cell_of(client_of([starting]), places_of([]))
    assert cell == Cell(Verdict.FAILED, line="no end within 5 s")
    assert ready.exists()
    with lock.open("w") as file:
        eventually(lambda: _can_lock(file), bool, what="the lock that the child's child held")


def _can_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_a_client_that_solves_only_is_said_to_have_solved() -> None:
    said = f"print(*{sorted(SOLUTION)!r})"
    assert cell_of(client_of([said], installs=False), places_of([])).verdict == Verdict.SOLVED


def test_each_channel_has_its_format_and_each_copy_only_one_with_packages(tmp_path: Path) -> None:
    formats = list(FORMATS)
    with published(tmp_path) as places:
        place = places.by_transport["file"]
        for at, name in enumerate(formats):
            files = _files(place.urls[name])
            assert {format_of(path.rpartition("/")[2]) for path in files} - {None} == {
                *formats[at:]
            }
            assert list(place.proofs[name]) == formats[at:]
            for only, url in place.proofs[name].items():
                assert _formats_with_packages(_files(url)) == {only}
        read = read_index(lambda path: _files(place.urls["shards"])[f"linux-64/{path}"])
        assert SOLUTION - read.records.keys() == {"helper-1.0-h0_0.conda"}


def _files(url: str) -> dict[str, bytes]:
    folder = Path(urlsplit(url).path)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _formats_with_packages(files: dict[str, bytes]) -> set[str]:
    index = Published(files)
    found = set()
    if "linux-64/repodata_shards.msgpack.zst" in files and index.shard_index()["shards"]:
        found.add("shards")
    if index.records():
        found.add("json")
    body = files.get("linux-64/repodata.json.zst")
    if body and Published({"linux-64/repodata.json": one_frame(body)}).records():
        found.add("zst")
    return found
