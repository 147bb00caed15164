"""Firmware that serves a host, in QEMU, with a plain peer at the other end of its serial line."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_link import DeviceExceptionError, RawLink, RawSession, byte_array, integer
from tools import needs_programs, on_qemu, on_qemu_boards

from tvmtiny.codegen.artifact import model_identity
from tvmtiny.errors import InputError
from tvmtiny.project.faults import describe_fault
from tvmtiny.project.measurement import decode_times
from tvmtiny.project.qemu.options import machine_of_board
from tvmtiny.project.qemu.platform import QemuPlatform
from tvmtiny.project.qemu.sources import firmware_sizes
from tvmtiny.results import Firmware
from tvmtiny.targets import find_board
from tvmtiny.targets.architectures import find_architecture

MakeArtifact = Callable[..., Any]
_TIMEOUT = 60.0
ENDLESS = 'for (i = from[0] != 0;;) { __asm__ volatile(""); }'


def build(artifact: Any, board: str, directory: Path) -> Firmware:
    platform = QemuPlatform()
    return platform.build(platform.generate(artifact, find_board(board), directory, "rpc"))


@contextlib.contextmanager
def connected(firmware: Firmware) -> Iterator[RawLink]:
    """A QEMU that runs the firmware, and the link to the firmware."""
    machine = machine_of_board(firmware.project.board)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [
                *(*machine.command(), "-display", "none", "-monitor", "none"),
                *("-kernel", str(firmware.elf)),
                *("-chardev", f"socket,id=link,host=127.0.0.1,port={port},nodelay=on"),
                *("-serial", "chardev:link"),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            listener.settimeout(_TIMEOUT)
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                descriptor = connection.fileno()
                yield RawLink(descriptor, descriptor, _TIMEOUT)
        finally:
            process.kill()
            process.wait()


def give_inputs(session: RawSession, inputs: list[np.ndarray]) -> None:
    for index, array in enumerate(inputs):
        session.copy_to(session.slot(f"input.{index}", array.nbytes), array.tobytes())


def fault_words(error: DeviceExceptionError) -> dict[str, int]:
    head, *words = str(error).split()
    assert head == "tvmtiny-fault"
    return {name: int(value, 16) for name, value in (word.split("=") for word in words)}


@on_qemu_boards()
def test_a_model_runs_whole_by_layers_and_measured(
    board: str,
    make_artifact: MakeArtifact,
    hand_inputs: list[np.ndarray],
    hand_outputs: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
) -> None:
    artifact = make_artifact(board)
    platform = QemuPlatform()
    project = platform.generate(artifact, find_board(board), tmp_path / "harness")
    expected = platform.run(platform.build(project), hand_inputs)
    with connected(build(artifact, board, tmp_path / "rpc")) as link:
        session = RawSession(link, 0x1234)
        payload = session.hello.payload
        assert payload[3:11] == model_identity(artifact)
        assert payload[12:].decode() == board and payload[11] == len(board)
        give_inputs(session, hand_inputs)
        assert session.call("tvmtiny.run") is None
        for index, output in enumerate(hand_outputs):
            slot = session.slot(f"output.{index}", output.nbytes)
            assert session.copy_from(slot, output.nbytes) == output.tobytes()
        give_inputs(session, hand_inputs)
        for index, output in enumerate(hand_outputs):
            assert session.call("tvmtiny.run_layer", integer(index)) is None
            slot = session.slot(f"layer.{index}", output.nbytes)
            assert session.copy_from(slot, output.nbytes) == output.tobytes()
        with pytest.raises(DeviceExceptionError, match="no memory now"):
            session.copy_from(session.slot("layer.0", 8), 8)
        give_inputs(session, hand_inputs)
        data = session.call("tvmtiny.time", integer(3))
        assert isinstance(data, bytes)
        counter = find_architecture(artifact.target.cpu.architecture).counter
        timing = decode_times(data, counter)
        assert len(timing.instructions) == 3
        for count in timing.instructions:
            assert abs(count - expected.instructions) <= (0 if counter.hz_option is None else 4)
        assert timing.stack_bytes == expected.stack_bytes


@on_qemu_boards()
def test_a_fault_is_an_exception_and_the_board_goes_on(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    address = "0xa0000000" if board == "microbit" else "0xf0000000"
    # The second input decides; the stack overflows if it is 3.
    declarations = (
        "uint32_t tvmtiny_hand_recurse(volatile uint32_t *n);"
        "uint32_t tvmtiny_hand_recurse(volatile uint32_t *n)"
        "{ volatile uint32_t own[16]; own[0] = *n;"
        "  return *n == 0u ? 0u : tvmtiny_hand_recurse(own) + own[0]; }"
    )
    body = (
        f"if (scale[0] == 2.0f) {{ i = *(volatile uint32_t *){address}u; }}"
        "if (scale[0] == 3.0f) { volatile uint32_t n = 1; i = tvmtiny_hand_recurse(&n); }"
    )
    artifact = make_artifact(board, declarations=declarations, body=body)
    firmware = build(artifact, board, tmp_path)
    with connected(firmware) as link:
        session = RawSession(link, 1)
        for scale, cause in ((2.0, "fault"), (3.0, "stack overflow"), (2.0, "fault")):
            give_inputs(session, [hand_inputs[0], np.array([scale], dtype=np.float32)])
            with pytest.raises(DeviceExceptionError) as raised:
                session.call("tvmtiny.run")
            error = describe_fault(
                fault_words(raised.value), firmware.elf, artifact.layers, artifact.target.cpu
            )
            assert error.layer == "layer 1 ADD (scale)"
            assert cause in error.fault.lower()
            assert (error.function == "tvmtiny_hand_scale") == (scale == 2.0)
            # The same session continues.
            give_inputs(session, hand_inputs)
            assert session.call("tvmtiny.run") is None


@on_qemu_boards()
def test_abort_ends_an_endless_loop(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    # Floating-point state is pending and the registers are full while the loop runs.
    loop = 'for (;;) { to[0] *= 1.5f; __asm__ volatile("" : : : "memory"); }'
    artifact = make_artifact(board, body=f"if (scale[0] == 2.0f) {loop}")
    with connected(build(artifact, board, tmp_path)) as link:
        for number in range(1, 4):
            session = RawSession(link, number)
            give_inputs(session, [hand_inputs[0], np.array([2.0], dtype=np.float32)])
            link.write(call_packet(session.function("tvmtiny.run")))
            # More bytes than the board's ring holds, as a host sends that waits for long.
            for _ in range(40):
                link.send(3)
            link.abort()
        session = RawSession(link, 9)
        give_inputs(session, hand_inputs)
        assert session.call("tvmtiny.run") is None
        output = session.copy_from(session.slot("output.0", 8), 8)
        assert output == (2 * hand_inputs[0].ravel() + np.arange(1, 9)).astype(np.int8).tobytes()


@on_qemu
def test_a_long_description_comes_whole(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    """Longer than the string literals that C99 compilers must support."""
    artifact = make_artifact("mps2-an386")
    artifact.layers[1].name = "'\"\\??/\u00e4" * 1000
    with connected(build(artifact, "mps2-an386", tmp_path)) as link:
        described = json.loads(str(RawSession(link, 1).call("tvmtiny.metadata")))
    assert described["layers"][1]["name"] == artifact.layers[1].name
    assert (described["model"], described["board"]) == ("hand", "mps2-an386")


@on_qemu_boards("mps3-an547", "riscv-virt", "sifive-e")
def test_abort_ends_a_measurement(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    artifact = make_artifact(board, body=ENDLESS)
    with connected(build(artifact, board, tmp_path)) as link:
        session = RawSession(link, 1)
        give_inputs(session, hand_inputs)
        link.write(call_packet(session.function("tvmtiny.time"), integer(1)))
        # An ABORT before the measurement ends nothing, so this one is sent after 40 other frames.
        for _ in range(40):
            link.send(3)
        link.abort()
        assert RawSession(link, 2).call("tvmtiny.echo", integer(5)) == 5


def call_packet(function: int, *arguments: bytes) -> bytes:
    body = struct.pack("<Qi", function, len(arguments)) + b"".join(arguments)
    return struct.pack("<Qi", 4 + len(body), 3) + body


@on_qemu_boards("mps2-an386", "riscv-virt")
def test_bytes_go_there_and_back(board: str, make_artifact: MakeArtifact, tmp_path: Path) -> None:
    data = random.Random(5).randbytes(40_000)
    with connected(build(make_artifact(board), board, tmp_path)) as link:
        session = RawSession(link, 1)
        memory = session.allocate(len(data))
        session.copy_to(memory, data)
        assert session.copy_from(memory, len(data)) == data
        session.free(memory)
        assert session.call("tvmtiny.echo", byte_array(data[:3000])) == data[:3000]


@needs_programs("arm-none-eabi-gcc")
@pytest.mark.parametrize("board", ("microbit", "mps2-an386", "mps3-an547"))
def test_the_device_side_is_small(board: str, make_artifact: MakeArtifact, tmp_path: Path) -> None:
    firmware = build(make_artifact(board), board, tmp_path)
    # The figures that scripts/rpc_size.py prints.
    flash, ram, buffers = firmware_sizes(firmware)
    assert 4_000 < flash < 10_000
    assert 200 < ram - buffers < 1_800


def test_an_unknown_firmware_is_refused(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allowed: 'harness', 'rpc'"):
        QemuPlatform().generate(make_artifact("microbit"), find_board("microbit"), tmp_path, "x")
