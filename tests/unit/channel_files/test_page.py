"""The document for people, and what it lists."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sluice.channel_files import page, page_data
from sluice.channel_files.page import vendored
from sluice.publish.fence import Stamp

SOURCES = Path(page.__file__).parent
STAMP = Stamp(7, "tree", "state")


class Tags(HTMLParser):
    """The policy, and what stands in scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.policy = ""
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.attributes: set[str] = set()
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.attributes |= {name for name, _ in attrs}
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._within in self.inline:
            self.inline[self._within].append(data)

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._within = ""


def tags() -> Tags:
    parser = Tags()
    parser.feed(page.render_page().decode())
    return parser


def listed(shown: dict[str, dict[str, Any]]) -> dict[str, Any]:
    body = page_data.render_page_data(
        shown, subdirs=["linux-64", "noarch"], stamp=STAMP, s3_url="s3://bucket/team"
    )
    document: dict[str, Any] = json.loads(zlib.decompress(body, wbits=31))
    return document


def test_the_policy_allows_the_script_and_the_style_of_the_page_and_nothing_else() -> None:
    found = tags()
    hashes = {}
    for tag, (content,) in found.inline.items():
        hashes[tag] = b64encode(sha256(content.encode()).digest()).decode()
    assert found.policy.split("; ") == [
        "default-src 'none'",
        "connect-src 'self'",
        "img-src data:",
        f"script-src 'sha256-{hashes['script']}'",
        f"style-src 'sha256-{hashes['style']}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]


def test_nothing_in_the_document_needs_more_than_its_policy_allows() -> None:
    found = tags()
    assert [
        one for one in found.attributes if one.startswith("on") or one in ("style", "src")
    ] == []
    assert "{{" not in page.render_page().decode()


def test_the_sources_make_no_markup_of_text_and_name_no_other_server() -> None:
    for path in SOURCES.rglob("*"):
        if path.suffix in (".js", ".css", ".html"):
            text = path.read_text()
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text
            ), path.name
            addresses = set(re.findall(r"\w+://[\w.]*", text.replace("s3://", "")))
            # A namespace, in the icon, and a comment of fzstd.
            allowed = {"page.html": {"http://www.w3.org"}, "fzstd.js": {"https://gist.github.com"}}
            assert addresses <= allowed.get(path.name, set()), path.name


def test_every_source_is_part_of_the_document_in_the_order_of_its_imports() -> None:
    assert sorted(page.MODULES) == sorted(path.name for path in SOURCES.glob("*.js"))
    known = {vendored.MODULE}
    names = [vendored.EXPORT]
    for module in page.MODULES:
        text = (SOURCES / module).read_text()
        assert set(re.findall(r'^import [^;]* from "\./([^"]+)";$', text, re.MULTILINE)) <= known
        known.add(module)
        declared = r"^(?:export )?(?:async )?(?:const|let|class|function\*?) (\w+)"
        names += re.findall(declared, text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert not re.search(r"^(import|export) ", tags().inline["script"][0], re.MULTILINE)


def test_the_code_of_others_is_as_they_have_published_it() -> None:
    assert sha256((SOURCES / vendored.MODULE).read_bytes()).hexdigest() == vendored.SHA256
    assert {path.name for path in (SOURCES / "vendor").iterdir()} == {
        Path(vendored.MODULE).name,
        Path(vendored.LICENCE).name,
    }


def test_the_code_of_others_is_in_the_document_under_its_licence_and_in_a_scope_of_its_own() -> (
    None
):
    (script,) = tags().inline["script"]
    licence = (SOURCES / vendored.LICENCE).read_text()
    assert "Permission is hereby granted" in licence
    assert "Copyright (c) 2020 Arjun Barrett" in licence
    code = (SOURCES / vendored.MODULE).read_text().replace("\nexport ", "\n")
    assert script.startswith(
        f"\n/* {vendored.PACKAGE} {vendored.VERSION}\n\n{licence}\n*/\n"
        f"const decompress = (() => {{\n{code}\nreturn decompress;\n}})();\n"
    )


def test_the_document_is_the_same_whenever_it_is_made() -> None:
    first = page.render_page()
    page.render_page.cache_clear()
    assert page.render_page() == first
    assert page.page_digest() == sha256(first).hexdigest()


def test_a_row_is_what_the_list_shows_and_no_more() -> None:
    found = listed(
        {
            "alpha": {
                "version": "1.0",
                "timestamp": 5,
                "subdirs": ["linux-64", "noarch"],
                "summary": "First\n  of all",
                "license": "MIT",
                "home": ["https://alpha.example"],
                "dev_url": "https://alpha.example",
                "doc_url": "javascript:alert(1)",
                "source_url": "https://src.example",
                "description": "long " * 100,
                "run_exports": {"1.0": {"weak": ["alpha"]}},
            },
            "beta": {"version": "2", "timestamp": 0, "subdirs": ["noarch"], "summary": 7},
        }
    )
    home, source = "https://alpha.example", "https://src.example"
    assert found == {
        "format": 1,
        "packages": [
            ["alpha", "1.0", 5, [0, 1], "First of all", "MIT", home, "", "", source],
            ["beta", "2", 0, [1]],
        ],
        "s3": "s3://bucket/team",
        "sluice": {"generation": 7, "tree": "tree"},
        "subdirs": ["linux-64", "noarch"],
    }


def test_a_long_summary_is_cut_off() -> None:
    shown = {
        "version": "1",
        "timestamp": 0,
        "subdirs": [],
        "summary": "x" * 1000,
        "license": "y" * 1000,
    }
    (row,) = listed({"alpha": shown})["packages"]
    assert row[4:] == ["x" * 199 + "…", "y" * 199 + "…"]


def test_what_is_listed_has_the_same_bytes_for_the_same_state() -> None:
    shown = {"alpha": {"version": "1", "timestamp": 0, "subdirs": ["noarch"]}}
    bodies = {
        page_data.render_page_data(shown, subdirs=["noarch"], stamp=STAMP, s3_url="s3://b/c")
        for _ in range(2)
    }
    assert len(bodies) == 1
