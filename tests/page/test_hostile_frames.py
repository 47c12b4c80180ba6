"""What a frame declares of itself makes the page take no more room than its blocks can fill."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from playwright.sync_api import Browser, Page

from sluice.channel_files import page as channel_page
from testkit.web import served

SOURCES = Path(channel_page.__file__).parent
MIB = 1024 * 1024
BLOCK = 128 * 1024
MAGIC = bytes.fromhex("28b52ffd")
EMPTY = b"\x01\x00\x00"
"""The last block, stored, with nothing in it."""
# Counts from before the modules are read, which keep the constructor that they find.
_COUNT = """
    globalThis.room = 0;
    globalThis.Uint8Array = new Proxy(Uint8Array, {
        construct(target, values, called) {
            if (typeof values[0] === "number") room += values[0];
            return Reflect.construct(target, values, called);
        },
    });
"""
_UNPACK = """async ([source, limit]) => {
    const {BadZstd, unzstd} = await import("/zstd.js");
    const bytes = new Uint8Array(source);
    room = 0;
    try {
        return [unzstd(bytes, limit ?? undefined).length, room];
    } catch (error) {
        return [error instanceof BadZstd ? error.message : String(error), room];
    }
}"""


@pytest.fixture(scope="module")
def unpacking(browser: Browser) -> Iterator[Page]:
    """A page that may import the page's modules, and counts the bytes that they make room for."""
    with served(SOURCES) as site:
        page = browser.new_page()
        page.add_init_script(_COUNT)
        page.route("**/blank", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto(f"{site.url}/blank")
        yield page
        page.close()


def unpack(page: Page, source: bytes, limit: int | None = None) -> tuple[int | str, int]:
    """How long the content is or why it is refused, and how many bytes there was room made for."""
    found: Any = page.evaluate(_UNPACK, [list(source), limit])
    return found[0], found[1]


def single(size: int, blocks: bytes) -> bytes:
    """A frame of one segment, which declares its size in eight bytes."""
    return MAGIC + b"\xe0" + struct.pack("<Q", size) + blocks


def streamed(window: int, blocks: bytes) -> bytes:
    """A frame that declares no size but a window of 2 ** ``window`` bytes."""
    return MAGIC + bytes([0, (window - 10) << 3]) + blocks


def repeated(count: int, size: int = BLOCK) -> bytes:
    """Blocks of four bytes that are one byte so many times, and the last one."""
    return (struct.pack("<I", size << 3 | 1 << 1)[:3] + b"x") * count + EMPTY


@pytest.mark.parametrize("size", [1, 2 * MIB, 2**31, 2**32 - 1, 2**32, 2**52, 2**64 - 1])
def test_a_frame_that_declares_more_than_it_holds_is_refused(unpacking: Page, size: int) -> None:
    why = "its header declares more than its blocks can hold"
    assert unpack(unpacking, single(size, EMPTY)) == (why, 0)


@pytest.mark.parametrize("frame", [single(65 * MIB, repeated(520)), streamed(20, repeated(520))])
def test_more_than_is_allowed_is_refused_before_there_is_room_for_it(
    unpacking: Page, frame: bytes
) -> None:
    assert unpack(unpacking, frame) == ("more content than is allowed", 0)


def test_frames_are_allowed_no_more_together_than_one(unpacking: Page) -> None:
    frames = single(3 * BLOCK, repeated(3)) + streamed(20, repeated(3))
    assert unpack(unpacking, frames, 6 * BLOCK)[0] == 6 * BLOCK
    assert unpack(unpacking, frames, 6 * BLOCK - 1) == ("more content than is allowed", 0)


@pytest.mark.parametrize("window", [10, 20, 27, 30, 41])
def test_a_window_costs_no_more_than_the_content(unpacking: Page, window: int) -> None:
    content, room = unpack(unpacking, streamed(window, repeated(5, 900)))
    assert content == 4500
    assert room < 20_000


def test_what_is_no_frame_is_refused_also_behind_one(unpacking: Page) -> None:
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"content" * 9)
    skippable = struct.pack("<II", 0x184D2A50, 5) + b"notes"
    assert unpack(unpacking, frame + skippable + frame)[0] == 2 * 63
    for junk, why in (
        (b"x", "cut off"),
        (b"junk", "not Zstandard"),
        (skippable[:-1], "cut off"),
        (frame[:-1], "cut off"),
        (MAGIC, "cut off"),
    ):
        assert unpack(unpacking, frame + junk) == (why, 0)
        assert unpack(unpacking, junk) == (why, 0)
