"""Updates over the board link, also over a link that breaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tools import on_qemu_boards

import tvmtiny
from tests.cli.conftest import Command
from tests.images.delta_pieces import apply_pieces
from tests.images.loader import board_named, monocypher_or_skip
from tests.images.test_build import _private_key, float_model, floats
from tests.images.test_loader import built
from tvmtiny.errors import DeviceError, ImageError, InputError, LinkError
from tvmtiny.images.build import build_image
from tvmtiny.images.firmware import IMAGES, build_image_firmware
from tvmtiny.images.image_format import Image
from tvmtiny.images.link_delta import make_pieces
from tvmtiny.project.qemu.transport import start_qemu
from tvmtiny.rpc.board import EMULATED_CONNECT_TIMEOUT
from tvmtiny.rpc.remote import open_pipe
from tvmtiny.rpc.updating import Updater, update

#: The proxy has a process of its own: TVM frees a board's memory without yielding to other threads.
_PROXY = """
import sys
sys.path.insert(0, sys.argv[1])
from fault_proxy import FaultProxy, Rates
proxy = FaultProxy(int(sys.argv[2]), int(sys.argv[3]), Rates(*map(float, sys.argv[4:])))
print(proxy.port, flush=True)
sys.stdin.read()
print(sum(proxy.faults.values()), flush=True)
"""


@contextmanager
def damaged(port: int, seed: int, *rates: float) -> Iterator[tuple[str, list[int]]]:
    """The URL of a line to a port; the number of its faults is appended to the list at the end."""
    folder = Path(__file__).parents[1] / "rpc"
    words = [sys.executable, "-c", _PROXY, str(folder), str(port), str(seed), *map(str, rates)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        faults: list[int] = []
        yield f"socket://127.0.0.1:{int(process.stdout.readline())}", faults
        said, _ = process.communicate()
        faults.append(int(said))


@contextmanager
def running(board: str, folder: Path, **options: object) -> Iterator[str]:
    """The port of a board with firmware for images and no model yet."""
    where = board_named(board)
    firmware = build_image_firmware(where, folder / "firmware", firmware_version=4, **options)  # type: ignore[arg-type]
    qemu = start_qemu(firmware.elf, firmware.machine, IMAGES, board)
    try:
        yield qemu.url
    finally:
        qemu.close()


def versions(name: str, board: str) -> tuple[Image, Image]:
    _, first = built(name, board)
    return first, replace(first, version=first.version + 1, code=first.code + bytes(60))


@on_qemu_boards("microbit")
def test_update_of_a_board_with_flash(board: str, tmp_path: Path, command: Command) -> None:
    """Install a first model and a newer one; images that a board refuses are not sent."""
    first, second = versions("digits", board)
    files = [tmp_path / "first.tvmi", tmp_path / "second.tvmi"]
    for file, image in zip(files, (first, second), strict=True):
        file.write_bytes(image.pack())
    with running(board, tmp_path) as url:
        result = update(url, first)
        assert (result.before.status, result.before.active) == (65, None)
        assert (result.after.version, result.after.name) == (3, "digits")
        assert result.sent_bytes == first.total_bytes
        # An image of another model is not the running one.
        known = ("--from", files[1], "--from", files[0])
        found = command("update", files[1], "--board", url, *known, "--json").json
        assert (found["before"]["version"], found["after"]["version"]) == (3, 4)
        assert found["after"]["wear"] == [1, 1]
        assert found["difference"] and found["sent_bytes"] < 300
        again = command("update", files[1], "--board", url).out
        assert "version 4" in again
        message = command("update", files[0], "--board", url).error(2)
        assert "older than a version that has run there" in message
        for wrong, reason in (
            (replace(second, cpu="cortex-m4"), "for another CPU"),
            (replace(second, minimum_firmware=5), "requires a later firmware"),
            (replace(second, code=bytes(1 << 15)), "too large for a slot"),
            (replace(second, arena_bytes=1 << 16), "needs more memory"),
            (replace(second, selftest=(1, bytes(32))), "failed its self-test.*version 4"),
        ):
            with pytest.raises(ImageError, match=reason):
                update(url, wrong)
        # The old model still runs and gives the results of the linked model.
        artifact, _ = built("digits", board)
        inputs = tvmtiny.make_inputs("random:3", artifact.inputs)
        board_side = Updater(lambda: open_pipe(url, 60.0, EMULATED_CONNECT_TIMEOUT, 115200), url)
        try:
            remote = board_side._remote
            remote.write(remote.memory("input.0", artifact.inputs[0].bytes), inputs[0].tobytes())
            remote.function("tvmtiny.run")()
            output = remote.read(remote.memory("output.0", artifact.outputs[0].bytes))
        finally:
            board_side.close()
        (expected,) = tvmtiny.run(artifact, *inputs).outputs
        assert output == np.asarray(expected.data).tobytes()


@on_qemu_boards("mps2-an386")
def test_update_over_a_line_that_damages(board: str, tmp_path: Path) -> None:
    """The update completes or fails with an error of the link; then another call resumes it."""
    folder = monocypher_or_skip()
    signing = pytest.importorskip("tvmtiny.images.signing")
    keys = [_private_key(tmp_path / name, "Ed25519") for name in ("key.pem", "other.pem")]
    public = signing.read_public_key(keys[0])
    with running(board, tmp_path, key=public, monocypher=folder) as url:
        port = int(url.rpartition(":")[2])
        _, image = built("digits", board)
        with pytest.raises(ImageError, match="not signed"):
            update(url, image)
        with pytest.raises(ImageError, match="a key that the firmware does not have"):
            update(url, signing.sign(image, keys[1]))
        broken = kept = happened = 0
        for number in range(1):
            # Bytes before the code move, so that every byte of the code differs.
            image = replace(
                image,
                version=image.version + 1,
                code=bytes(64) + image.code,
                entry=image.entry + 64,
            )
            signed = signing.sign(image, keys[0])
            # Frames are flipped, dropped or duplicated, and the line closes; none are split or
            # delayed.
            with damaged(port, number, 1e-4, 1e-4, 1e-4, 0, 0, 0, 1e-4) as (line, faults):
                for _ in range(20):
                    try:
                        result = update(line, signed, timeout=10, attempts=2)
                        break
                    except LinkError:
                        broken += 1
                else:
                    pytest.fail("no update in 20 calls")
            happened += sum(faults)
            kept += result.kept_bytes
            assert (result.after.version, result.after.name) == (image.version, "digits")
        assert happened > 3
        # Some updates were interrupted and resumed.
        assert broken > 0 and kept > 0


@on_qemu_boards("mps2-an386")
def test_update_by_a_difference(board: str, tmp_path: Path) -> None:
    """An interrupted one resumes; where a difference does not help, the whole image is sent."""
    _, first = built("digits", board)
    images = [first]
    for _ in range(3):
        # All that is behind the start moves.
        images.append(
            replace(
                images[-1],
                version=images[-1].version + 1,
                code=bytes(64) + images[-1].code,
                entry=images[-1].entry + 64,
            )
        )
    with running(board, tmp_path) as url:
        update(url, images[0])
        # Begin an update that is interrupted after two pages.
        updater = Updater(lambda: open_pipe(url, 60.0, EMULATED_CONNECT_TIMEOUT, 115200), url)
        old, new = images[0].pack(), images[1].pack()
        state = updater.state()
        updater._checked("begin", len(new))
        for piece in make_pieces(old, new, output=state.page_bytes):
            if piece.offset < 2 * state.page_bytes:
                updater._checked("patch", piece.offset, piece.data)
        with pytest.raises(ImageError, match="a piece of a difference is invalid"):
            updater._checked("patch", 0, b"\x03")
        with pytest.raises(DeviceError, match="takes an offset and bytes"):
            updater._call("patch", 0, 0)
        assert updater._takes("patch") and not updater._takes("unheard")
        updater.close()
        result = update(url, images[1], known=images[:1])
        assert result.difference and result.kept_bytes == 2 * state.page_bytes
        assert result.sent_bytes < 100
        assert result.after.version == images[1].version
        # An image that is not known, and one that the flash does not hold.
        result = update(url, images[2], known=images[:1])
        assert not result.difference and result.sent_bytes > 10_000
        there = images[2].pack()
        fake = SimpleNamespace(pack=lambda: there[128:-32] + there[:128] + there[-32:])
        result = update(url, images[3], known=[fake])  # type: ignore[list-item]
        assert not result.difference and result.after.version == images[3].version
        # A model with floats, whose outputs the emulator of the build has computed.
        artifact = floats(board)
        image = build_image(float_model(), artifact, version=images[3].version)
        assert image.selftest is not None
        with pytest.raises(ImageError, match="failed its self-test"):
            update(url, replace(image, selftest=(image.selftest[0], bytes(32))))
        assert update(url, image).after.name == "floats"


def test_pieces_of_a_difference() -> None:
    rng = np.random.default_rng(9)
    for _ in range(100):
        old = rng.integers(0, 5, int(rng.integers(0, 700)), np.uint8).tobytes()
        cut = int(rng.integers(0, len(old) + 1))
        more = rng.integers(0, 5, int(rng.integers(0, 99)), np.uint8).tobytes()
        new = old[cut:] + more + old[:cut]
        start = int(rng.integers(0, 8)) * 4
        pieces = list(make_pieces(old, new, start, 64, 128))
        assert new[:start] + apply_pieces(old, iter(pieces), start) == new
        for piece in pieces:
            assert piece.offset % 4 == 0 and len(piece.data) <= 64 and piece.length <= 128
    digits = built("digits", "mps2-an386")[1]
    old, new = digits.pack(), replace(digits, version=99).pack()
    assert sum(len(piece.data) for piece in make_pieces(old, new)) < 50


def test_arguments() -> None:
    _, image = built("sine", "mps2-an386")
    with pytest.raises(InputError, match="0 attempts"):
        update("socket://127.0.0.1:1", image, attempts=0)
    with pytest.raises(InputError, match="nan s leaves no time"):
        update("socket://127.0.0.1:1", image, timeout=float("nan"))
    with pytest.raises(InputError, match="cannot open the port"):
        update("socket://127.0.0.1:1", image)
    where = board_named("mps2-an385")
    with pytest.raises(InputError, match="has no flash for images"):
        build_image_firmware(where, Path("unused"))
