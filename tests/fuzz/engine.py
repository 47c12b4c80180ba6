"""One layer under atheris: libFuzzer, guided by which branches of the Python code are taken.

python -m tests.fuzz.engine <layer> <options and folders of libFuzzer>
"""

from __future__ import annotations

import struct
import sys
import tarfile

import atheris

with atheris.instrument_imports(include=["sluice", "tarfile", "zipfile"]):
    from tests.fuzz.layers import LAYERS, scale_down

_CHECKSUM = slice(148, 156)
_MAGIC = slice(257, 262)


def with_checksums(archive: bytes) -> bytes:
    """Repair the checksum of every tar header, at which the reading of a changed one would end."""
    blocks = []
    for start in range(0, len(archive), tarfile.BLOCKSIZE):
        block = bytearray(archive[start : start + tarfile.BLOCKSIZE])
        if len(block) == tarfile.BLOCKSIZE and block[_MAGIC] == b"ustar":
            block[_CHECKSUM] = b" " * 8
            block[_CHECKSUM] = struct.pack("8s", b"%06o\0 " % sum(block))
        blocks.append(bytes(block))
    return b"".join(blocks)


def mutate_tar(archive: bytes, size_max: int, _seed: int) -> bytes:
    """Change an archive somewhere, as libFuzzer likes, and make it sound again."""
    return with_checksums(atheris.Mutate(archive, size_max))


def main() -> None:
    """Fuzz until libFuzzer's options say stop; never returns."""
    layer, *options = sys.argv[1:]
    scale_down()
    mutators = {"custom_mutator": mutate_tar} if layer == "tar" else {}
    atheris.Setup([sys.argv[0], *options], LAYERS[layer], **mutators)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
