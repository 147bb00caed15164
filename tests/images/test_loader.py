"""The loader on boards: images at several addresses, mutated images, and swapped models."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_runner import compile_sanitized
from tools import on_qemu_boards

import tvmtiny
from tests.images.loader import (
    IMAGE,
    IN_PLACE,
    Loader,
    Platform,
    board_named,
    counted,
    monocypher_or_skip,
    statuses_on_host,
)
from tests.images.test_build import _private_key
from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.tensors import pack_inputs
from tvmtiny.images.build import build_image
from tvmtiny.images.image_format import Image, SignatureKind
from tvmtiny.models import path
from tvmtiny.results import Project
from tvmtiny.targets import cpus
from tvmtiny.targets.table import all_features

#: Addresses in each board's flash, multiples of 16 but not of more.
PLACES = {
    "microbit": (0x20000, 0x28010, 0x31230),
    "mps2-an386": (0x100000, 0x234560, 0x3ABCD0),
    "mps3-an547": (0x40000, 0x51230, 0x6ABC0),
    "riscv-virt": (0x80100000, 0x80234560, 0x803ABCD0),
}
RUN, MUTANTS, SWAP = range(3)


@cache
def built(name: str, board: str) -> tuple[Artifact, Image]:
    model = tvmtiny.load(path(name))
    artifact = tvmtiny.compile(model, board)
    return artifact, build_image(model, artifact, version=3, minimum_firmware=4)


def project(artifact: Artifact, board: str) -> Project:
    return Project(Path(), artifact, board_named(board), ())


@on_qemu_boards(*PLACES)
def test_same_bytes_at_every_address(board: str, tmp_path: Path) -> None:
    artifact, image = built("digits", board)
    where = board_named(board)
    small = board == "microbit"
    # The microbit has 16 KB of RAM for the image, its arena, and the stack.
    loader = Loader(
        where,
        tmp_path,
        Platform(where.cpu, memory_bytes=artifact.arena_bytes),
        2048 if small else 16384,
        image.total_bytes + (16 if small else 4096),
    )
    firmware = loader.build(project(artifact, board))
    inputs = tvmtiny.make_inputs("random:5", artifact.inputs)
    data, size = image.pack(), image.total_bytes
    offsets = (0, 16) if small else (0, 16, 1232)
    jobs = [(RUN, address, IN_PLACE, size) for address in PLACES[board]]
    jobs += [(RUN, PLACES[board][0], offset, size) for offset in offsets]
    files = {"input.bin": pack_inputs(artifact.inputs, inputs)}
    linked = tvmtiny.run(artifact, *inputs)
    expected = b"".join(output.data.tobytes() for output in linked.outputs)
    for job in jobs:
        placed = dict.fromkeys(PLACES[board], data)
        results, output = loader.run(firmware, [job], files, placed)
        ((status, count, stack),), rest = counted(where, results)
        assert (status, rest) == (0, b"")
        assert output == expected
        assert count <= linked.instructions * 1.01, (count, linked.instructions)
        # The measured call has a frame or two of its own.
        assert stack <= image.stack_bytes + 32
    assert size - linked.flash.total <= 512, (size, linked.flash.total)


def mutants(image: Image, other: Image) -> Iterator[tuple[str, bytes, set[int]]]:
    """Defective images: the defect, and the reasons for which they may be refused.

    `image` is signed; `other` is signed with another key.
    """
    data = image.pack()
    rng = np.random.default_rng(21)
    header = image.header_bytes
    reasons = set(range(2, 17))
    for at in range(len(data[:header])):
        for bit in range(0, 8, 2 if at >= 96 else 1):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            yield f"header {at}.{bit}", bytes(damaged), reasons
    for at in rng.integers(header, len(data) - 96, 200):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        yield f"code {at}", bytes(damaged), {13}
    for at in range(len(data) - 96, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        yield f"tail {at}", bytes(damaged), {13 if at < len(data) - 64 else 16}
    for cut in [*range(0, header, 7), *rng.integers(header, len(data), 60), len(data) - 1]:
        yield f"cut {cut}", data[: int(cut)], {2, 3}
    unsigned = replace(image, signature_kind=SignatureKind.NONE, key_id=bytes(8), signature=b"")
    # Complete images with a right hash, whose headers this firmware does not accept.
    for changed, what, reason in (
        (replace(image, cpu="cortex-m33"), "CPU", 7),
        (replace(image, cpu=image.cpu + "x"), "CPU", 7),
        (replace(image, cpu=image.cpu[:-1]), "CPU", 7),
        (replace(image, features=frozenset(all_features())), "features", 8),
        (replace(image, minimum_firmware=6), "firmware", 9),
        (replace(image, version=1), "rollback", 10),
        (replace(image, version=0), "rollback", 10),
        (replace(image, arena_bytes=1 << 20), "arena", 11),
        (replace(image, arena_bytes=(1 << 32) - 1), "arena", 11),
        (replace(image, state_bytes=(1 << 32) - 1), "state", 11),
        (replace(image, stack_bytes=1 << 20), "stack", 12),
        (replace(image, entry=len(image.code)), "entry", 6),
        (replace(image, entry=image.entry + 1), "entry", 6),
        (replace(image, arena_bytes=8), "tensor beyond the arena", 6),
        (replace(image, version=9), "re-hashed", 16),
        (replace(image, code=bytes(len(image.code))), "re-hashed", 16),
        (unsigned, "unsigned", 14),
        (other, "another key", 15),
        (replace(image, signature_kind=SignatureKind.ECDSA_P256), "another kind", 15),
        (replace(other, key_id=image.key_id), "another key under this one's name", 16),
        (replace(image, signature=bytes(64)), "zeros", 16),
        (replace(image, signature=b"\xff" * 64), "ones", 16),
    ):
        yield what, changed.pack(), {reason}
    # Signatures whose half s is not reduced; if accepted, equal bytes would have two signatures.
    order = (1 << 252) + 27742317777372353535851937790883648493
    s = int.from_bytes(image.signature[32:], "little") + order
    forged = image.signature[:32] + s.to_bytes(32, "little")
    yield "malleable", replace(image, signature=forged).pack(), {16}


def signed_images(board: str, folder: Path) -> tuple[Image, Image, Platform]:
    signing = pytest.importorskip("tvmtiny.images.signing")
    keys = [_private_key(folder / name, "Ed25519") for name in ("key.pem", "other.pem")]
    artifact, image = built("sine", board)
    mine, other = (signing.sign(image, key) for key in keys)
    public = signing.read_public_key(keys[0])
    return mine, other, Platform(artifact.target.cpu, public)


def refused(found: list[int], wrong: list[tuple[str, bytes, set[int]]]) -> None:
    bad = [
        (what, status)
        for status, (what, _, reasons) in zip(found, wrong, strict=True)
        if status not in reasons
    ]
    assert not bad, (len(bad), bad[:20])


def test_mutated_images_on_this_machine(tmp_path: Path) -> None:
    monocypher_or_skip()
    image, other, platform = signed_images("mps2-an386", tmp_path)
    wrong = list(mutants(image, other))
    assert len(wrong) >= 2000
    found = statuses_on_host(tmp_path, platform, [image.pack(), *(data for _, data, _ in wrong)])
    assert found[0] == 0
    refused(found[1:], wrong)
    # Every reason occurs at least once.
    assert set(found) >= {0, *range(2, 17)} - {12} | {12}


def test_ecdsa_on_this_machine(tmp_path: Path) -> None:
    signing = pytest.importorskip("tvmtiny.images.signing")
    key = _private_key(tmp_path / "key.pem", "ECDSA-P256")
    artifact, image = built("sine", "mps2-an386")
    signed = signing.sign(image, key)
    forged = [bytearray(signed.signature) for _ in range(64)]
    for at, signature in enumerate(forged):
        signature[at] ^= 1
    images = [signed, *(replace(signed, signature=bytes(each)) for each in forged)]
    images += [replace(signed, version=4), image]
    platform = Platform(artifact.target.cpu, signing.read_public_key(key))
    found = statuses_on_host(tmp_path, platform, [each.pack() for each in images])
    assert found == [0, *[16] * 65, 14]


def test_hash_alone(tmp_path: Path) -> None:
    """Firmware without keys accepts complete images, signed or not."""
    _, image = built("sine", "mps2-an386")
    broken = bytearray(image.pack())
    broken[-40] ^= 1
    found = statuses_on_host(
        tmp_path,
        Platform(cpus()["cortex-m4"]),
        [image.pack(), bytes(broken), image.pack() + b"what lies behind it"],
    )
    assert found == [0, 13, 0]


@on_qemu_boards("mps2-an386")
def test_mutated_images_on_a_board(board: str, tmp_path: Path) -> None:
    monocypher_or_skip()
    image, other, platform = signed_images(board, tmp_path)
    wrong = list(mutants(image, other))
    where = board_named(board)
    loader = Loader(where, tmp_path, platform)
    artifact, _ = built("sine", board)
    firmware = loader.build(project(artifact, board))
    images = [image.pack(), *(data for _, data, _ in wrong)]
    data = b"".join(len(each).to_bytes(4, "little") + each for each in images)
    results, _ = loader.run(firmware, [(MUTANTS, 0, len(images), 0)], {"mutants.bin": data}, {})
    found = struct.unpack(f"<{len(images)}iI", results[32:])
    assert found[0] == 0
    refused(list(found[1:-1]), wrong)
    # Only the first image has run.
    assert found[-1] == 1


@on_qemu_boards("mps2-an386")
def test_ecdsa_on_a_board(board: str, tmp_path: Path) -> None:
    signing = pytest.importorskip("tvmtiny.images.signing")
    key, other = (_private_key(tmp_path / name, "ECDSA-P256") for name in ("key.pem", "other.pem"))
    artifact, image = built("sine", board)
    signed = signing.sign(image, key)
    images = [signed]
    for at in (0, 31, 32, 63):
        signature = bytearray(signed.signature)
        signature[at] ^= 1
        images.append(replace(signed, signature=bytes(signature)))
    images += [replace(signed, version=4), replace(signed, signature=bytes(64)), image]
    images.append(signing.sign(image, other))
    where = board_named(board)
    public = signing.read_public_key(key)
    loader = Loader(where, tmp_path, Platform(artifact.target.cpu, public))
    firmware = loader.build(project(artifact, board))
    packed = [each.pack() for each in images]
    data = b"".join(len(each).to_bytes(4, "little") + each for each in packed)
    results, _ = loader.run(firmware, [(MUTANTS, 0, len(images), 0)], {"mutants.bin": data}, {})
    found = struct.unpack(f"<{len(images)}iI", results[32:])
    assert found == (0, *[16] * 6, 14, 15, 1)


@on_qemu_boards("mps2-an386")
def test_models_are_swapped(board: str, tmp_path: Path) -> None:
    where = board_named(board)
    loader = Loader(where, tmp_path, Platform(where.cpu))
    first, second, _ = PLACES[board]
    images = {
        first: built("digits", board)[1].pack(),
        second: built("sine", board)[1].pack(),
    }
    firmware = loader.build(project(built("digits", board)[0], board))
    rounds = 1000
    results, _ = loader.run(firmware, [(SWAP, first, second, rounds)], {}, images)
    early, late, right = struct.unpack("<3I", results[32:])
    assert right == rounds
    assert early == late


_HASHES = """
#include <stdio.h>
#include "tvmtiny_sha256.h"
#include "tvmtiny_sha512.h"

int main(void)
{
    static uint8_t data[300];
    uint32_t bytes;
    uint32_t part;

    for (bytes = 0; bytes < sizeof data; ++bytes) {
        data[bytes] = (uint8_t)(bytes * 7u);
    }
    for (bytes = 0; bytes <= sizeof data; ++bytes) {
        struct tvmtiny_sha256 small;
        struct tvmtiny_sha512 large;
        uint8_t digest[96];

        part = bytes / 3u;
        tvmtiny_sha256_begin(&small);
        tvmtiny_sha256_add(&small, data, part);
        tvmtiny_sha256_add(&small, data + part, bytes - part);
        tvmtiny_sha256_end(&small, digest);
        tvmtiny_sha512_begin(&large);
        tvmtiny_sha512_add(&large, data, part);
        tvmtiny_sha512_add(&large, data + part, bytes - part);
        tvmtiny_sha512_end(&large, digest + 32);
        fwrite(digest, 1, sizeof digest, stdout);
    }
    return 0;
}
"""


def test_hashes(tmp_path: Path) -> None:
    """Messages of every length around the block sizes, in two parts."""
    (tmp_path / "main.c").write_text(_HASHES)
    sources = [tmp_path / "main.c", IMAGE / "tvmtiny_sha256.c", IMAGE / "verify/tvmtiny_sha512.c"]
    include = [f"-I{IMAGE}", f"-I{IMAGE / 'verify'}"]
    compile_sanitized(sources, tmp_path, include, "hashes")
    done = subprocess.run([tmp_path / "hashes"], capture_output=True, check=True)
    data = bytes(i * 7 & 255 for i in range(300))
    expected = [
        hashlib.sha256(data[:n]).digest() + hashlib.sha512(data[:n]).digest() for n in range(301)
    ]
    assert done.stdout == b"".join(expected)
