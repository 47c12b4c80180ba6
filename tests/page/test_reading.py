"""The page's readers of zstd, MessagePack and versions agree with those of Python."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from playwright.sync_api import Browser, Page

from sluice.channel_files import page as channel_page
from sluice.conda.version import Version
from testkit.web import served

SOURCES = Path(channel_page.__file__).parent
_CHECK = """async () => {
    const {unzstd} = await import("/zstd.js");
    const all = new Uint8Array(await (await fetch("/cases")).arrayBuffer());
    const view = new DataView(all.buffer);
    const wrong = [];
    for (let at = 0, n = 0; at < all.length; n++) {
        const [packed, plain] = [view.getUint32(at), view.getUint32(at + 4)];
        at += 8;
        const source = all.subarray(at, at += packed);
        const expected = all.subarray(at, at += plain);
        try {
            const found = unzstd(source);
            if (found.length !== plain || !found.every((byte, i) => byte === expected[i]))
                wrong.push(`${n}: another content`);
        } catch (error) {
            wrong.push(`${n}: ${error.message}`);
        }
    }
    return wrong;
}"""
_DAMAGED = """async () => {
    const {unzstd, BadZstd} = await import("/zstd.js");
    const all = new Uint8Array(await (await fetch("/cases")).arrayBuffer());
    const view = new DataView(all.buffer);
    const wrong = [];
    for (let at = 0; at < all.length; ) {
        const packed = view.getUint32(at);
        at += 8;
        try {
            const {length} = unzstd(all.subarray(at, at += packed), 2 ** 22);
            if (length > 2 ** 22) wrong.push(`${length} bytes`);
        } catch (error) {
            if (!(error instanceof BadZstd)) wrong.push(String(error));
        }
    }
    return wrong;
}"""


@pytest.fixture
def sources(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page that may import the page's modules, and fetch ``/cases``."""
    for name in (*channel_page.MODULES, "vendor"):
        (tmp_path / name).symlink_to(SOURCES / name)
    (tmp_path / "index.html").write_text("<!doctype html>")
    with served(tmp_path) as site:
        page = browser.new_page()
        page.goto(site.url)
        yield page
        page.close()


def contents(count: int) -> Iterator[bytes]:
    """Of every kind that makes an encoder choose another way."""
    choice = random.Random(8878)  # noqa: S311 - nothing to guess
    text = b"".join(path.read_bytes() for path in sorted(SOURCES.parents[1].rglob("*.py")))
    yield from (b"", b"a", text, text * 2)
    for _ in range(count):
        yield choice.choice(KINDS)(choice, text, int(2 ** choice.uniform(0, 16)))


def _words(choice: random.Random, _text: bytes, size: int) -> bytes:
    words = [choice.randbytes(choice.randrange(1, 40)) for _ in range(20)]
    return b"".join(choice.choices(words, k=size // 20 + 1))


def _twice(choice: random.Random, _text: bytes, size: int) -> bytes:
    once = choice.randbytes(size // 2)
    return once + choice.randbytes(choice.randrange(5)) + once


def _excerpt(choice: random.Random, text: bytes, size: int) -> bytes:
    begin = choice.randrange(len(text) - size)
    return text[begin : begin + size]


KINDS: tuple[Callable[[random.Random, bytes, int], bytes], ...] = (
    lambda choice, _, size: choice.randbytes(size),
    lambda choice, _, size: choice.randbytes(1) * size,
    lambda choice, _, size: bytes(choice.choices(range(choice.randrange(1, 256)), k=size)),
    lambda choice, _, size: bytes(int(choice.expovariate(1) * 5) % 256 for _ in range(size)),
    _excerpt,
    _words,
    _twice,
)


@cache
def compressor(level: int, *, checksum: bool) -> zstandard.ZstdCompressor:
    """Each once: to make the tables of the high levels takes longer than to compress."""
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum)


def compressed(content: bytes, choice: random.Random) -> bytes:
    """One frame, with and without size, checksum and window."""
    level = choice.choice((-5, 1, 3, 6, 12, 19))
    compresses = compressor(level, checksum=choice.random() < 0.5)
    if choice.random() < 0.7:
        return compresses.compress(content)
    stream = compresses.compressobj()
    return stream.compress(content) + stream.flush()


def write_cases(sources: Path, cases: Sequence[tuple[bytes, bytes]]) -> None:
    body = b"".join(
        struct.pack(">II", len(packed), len(plain)) + packed + plain for packed, plain in cases
    )
    (sources / "cases").write_bytes(body)


def test_what_zstd_has_compressed_is_unpacked(sources: Page, tmp_path: Path) -> None:
    choice = random.Random(1)  # noqa: S311 - nothing to guess
    cases = [(compressed(one, choice), one) for one in contents(1000)]
    skippable = struct.pack("<II", 0x184D2A53, 5) + b"notes"
    first, second = cases[2], cases[5]
    cases.append((first[0] + skippable + second[0], first[1] + second[1]))
    write_cases(tmp_path, cases)
    assert sources.evaluate(_CHECK) == []


def test_frames_that_tell_only_their_window_look_back_as_far_as_it_goes(
    sources: Page, tmp_path: Path
) -> None:
    choice = random.Random(3)  # noqa: S311 - nothing to guess
    cases = []
    for log in range(10, 28):
        once = choice.randbytes(min(2**log, 2**22) // 2)
        parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=log)
        stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        cases.append((stream.compress(once * 2) + stream.flush(), once * 2))
        assert zstandard.frame_content_size(cases[-1][0]) == -1
        assert len(cases[-1][0]) < 1.1 * len(once)  # the second half looks back
    write_cases(tmp_path, cases)
    assert sources.evaluate(_CHECK) == []


def test_what_is_damaged_is_refused_and_nothing_worse(sources: Page, tmp_path: Path) -> None:
    choice = random.Random(2)  # noqa: S311 - nothing to guess
    cases = []
    for one in contents(500):
        frame = bytearray(compressed(one[:20_000], choice))
        for _ in range(choice.randrange(1, 4)):
            frame[choice.randrange(len(frame))] = choice.randrange(256)
        cases.append(
            (bytes(frame[: choice.choice((len(frame), choice.randrange(len(frame)) + 1))]), b"")
        )
    write_cases(tmp_path, cases)
    assert sources.evaluate(_DAMAGED) == []


def test_a_dictionary_is_refused(sources: Page, tmp_path: Path) -> None:
    header = "28b52ffd 23 01000000 00"  # one segment of no bytes, dictionary 1
    write_cases(tmp_path, [(bytes.fromhex(f"{header} 010000"), b"")])
    assert sources.evaluate(_CHECK) == ["0: it has a dictionary"]


def test_what_msgpack_has_packed_is_read(sources: Page, tmp_path: Path) -> None:
    values: list[Any] = [
        *(None, True, False, 0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53),
        *(-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**53)),
        *(1.5, -0.25, "", "ä€🐍", "x" * 31, "x" * 32, "x" * 256, "x" * 70_000),
        *([], list(range(15)), list(range(16)), list(range(70_000))),
        *({}, {str(n): n for n in range(16)}, {str(n): [n] for n in range(70_000)}),
        {"__proto__": 1, "constructor": {"toString": None}},
    ]
    (tmp_path / "cases").write_bytes(msgpack.packb(values))
    found = sources.evaluate("""async () => {
        const {unpack} = await import("/msgpack.js");
        const value = unpack(new Uint8Array(await (await fetch("/cases")).arrayBuffer()));
        return JSON.stringify(value);
    }""")
    assert msgpack.packb(json.loads(found)) == msgpack.packb(values)


def test_binary_is_bytes_and_what_is_cut_off_is_refused(sources: Page) -> None:
    for size in (1, 300, 70_000):
        packed = list(msgpack.packb(bytes(size)))
        found = sources.evaluate(
            """async (packed) => {
                const {BadMessagePack, unpack} = await import("/msgpack.js");
                const whole = unpack(new Uint8Array(packed));
                let refused = false;
                try {
                    unpack(new Uint8Array(packed.slice(0, -1)));
                } catch (error) {
                    refused = error instanceof BadMessagePack || error instanceof RangeError;
                }
                return [whole instanceof Uint8Array, whole.length, refused];
            }""",
            packed,
        )
        assert found == [True, size, True]


def test_versions_have_the_order_that_sluice_gives_them(sources: Page) -> None:
    choice = random.Random(33)  # noqa: S311 - nothing to guess
    parts = ("0", "1", "2", "10", "1a", "1b2", "rc1", "dev", "post", "post1", "1_", "alpha", "007")
    versions = ["1!0", "0!1", "1.0+a", "1.0+", "1.0_", "2!1.0+3", "20240101123456789012345678"]
    versions += [
        choice.choice(".-_").join(choice.choices(parts, k=choice.randrange(1, 5)))
        + choice.choice(("", "", "+1", "+local.2", "_"))
        for _ in range(400)
    ]
    choice.shuffle(versions)
    ordered: list[str] = sources.evaluate(
        """async (versions) => {
            const {compareVersions} = await import("/version.js");
            return versions.sort(compareVersions);
        }""",
        versions,
    )
    assert sorted(ordered) == sorted(versions)
    assert [(a, b) for a, b in pairwise(ordered) if Version(b) < Version(a)] == []
