"""Profiles: Unicorn's counts against QEMU's, layers against the whole, and errors."""

from __future__ import annotations

import dataclasses
import pickle
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tools import MLPERF_TINY, needs_mlperf_tiny, on_qemu, on_qemu_boards

import tvmtiny
from tvmtiny import models
from tvmtiny.emulation.cycles import timed_cores
from tvmtiny.emulation.unicorn_machine import emulate
from tvmtiny.errors import DeviceError, DeviceTimeoutError, InputError, ProfileBoardError
from tvmtiny.report.firmware import built_firmware
from tvmtiny.report.profile import Profile, profilable_boards, profile, profile_firmware
from tvmtiny.report.profile_tables import profile_tables
from tvmtiny.targets import find_board

#: Unicorn's counts are exact; QEMU's come from a timer of 40 instructions a tick.
TOLERANCE = 1e-3


@cache
def digits(target: str) -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(models.path("digits")), target)


def ramp(artifact: tvmtiny.Artifact) -> list[np.ndarray]:
    return tvmtiny.make_inputs("ramp", artifact.inputs)


def with_code(artifact: tvmtiny.Artifact, function: str, code: str) -> tvmtiny.Artifact:
    """The same artifact with C at the start of a function."""
    files = {}
    found = 0
    for name, text in artifact.files.items():
        files[name], times = re.subn(
            rf"(\b{re.escape(function)}\([^;{{]*\)\s*\{{)",
            lambda match: match[1] + "\n" + code,
            text,
        )
        found += times
    assert found == 1
    return dataclasses.replace(artifact, files=files)


def assert_consistent(found: Profile, artifact: tvmtiny.Artifact) -> None:
    total = found.total
    assert total.qemu_instructions is not None
    assert abs(total.instructions / total.qemu_instructions - 1) < TOLERANCE
    assert [layer.name for layer in found.layers] == [layer.name for layer in artifact.layers]
    for kind in ("instructions", "estimated_cycles"):
        parts = [getattr(part, kind) for part in (*found.layers, found.entry)]
        assert min(parts) > 0
        assert sum(parts) == getattr(total, kind)
    # The entry function does nothing but call the kernels.
    assert found.entry.instructions < 20 * (len(found.layers) + 2)
    assert sum(layer.share for layer in found.layers) == pytest.approx(1, abs=0.05)
    for part in (*found.layers, found.entry, total):
        assert part.estimated_cycles >= part.instructions
    assert total.macs == sum(layer.macs for layer in found.layers) == artifact.macs
    assert total.cycles_per_mac == total.estimated_cycles / total.macs
    assert not found.unlisted


@on_qemu_boards(*(n for n in profilable_boards() if find_board(n).cpu.name in timed_cores()))
def test_shipped_model_on_every_board(board: str) -> None:
    artifact = digits(board)
    steps: list[str] = []
    found = profile(artifact, *ramp(artifact), progress=steps.append)
    assert (found.model, found.board) == ("digits", board)
    assert_consistent(found, artifact)
    in_qemu = board in ("mps3-an547", "riscv-virt-zbb")
    assert steps[-1] == f"executing in {'QEMU' if in_qemu else 'Unicorn'}"
    assert profile(artifact, *ramp(artifact)) == found


@on_qemu
@needs_mlperf_tiny
def test_keyword_spotting() -> None:
    artifact = tvmtiny.compile(tvmtiny.load(MLPERF_TINY / "kws_int8.tflite"), "mps2-an386")
    assert_consistent(profile(artifact, *ramp(artifact)), artifact)


@on_qemu
def test_instructions_are_attributed_to_their_layer() -> None:
    artifact = digits("mps2-an386")
    layer = artifact.layers[2]
    code = """
        for (volatile uint32_t i = 0; i < 1000u; ++i) {
        }
    """
    before = profile(artifact, *ramp(artifact))
    after = profile(with_code(artifact, layer.kernel, code), *ramp(artifact))
    for old, new in zip(before.layers, after.layers, strict=True):
        more = new.instructions - old.instructions
        assert (4000 < more < 9000) if new.kernel == layer.kernel else more == 0
    assert after.entry == before.entry


@on_qemu
def test_unaligned_loads_cost_cycles_but_no_instructions() -> None:
    artifact = digits("mps2-an386")
    layer = artifact.layers[0]
    load = """
        static const uint32_t words[2] = {{1u, 2u}};
        uint32_t loaded;
        __asm__ volatile("ldr %0, [%1, #{offset}]" : "=r"(loaded) : "r"(words));
    """
    found = {
        offset: profile(
            with_code(artifact, layer.kernel, load.format(offset=offset)), *ramp(artifact)
        )
        for offset in (0, 1, 2, 4)
    }
    assert len({profile.total.instructions for profile in found.values()}) == 1
    cycles = {offset: profile.layers[0].estimated_cycles for offset, profile in found.items()}
    calls = sum(other.kernel == layer.kernel for other in artifact.layers[:1])
    assert cycles[4] == cycles[0]
    assert cycles[2] == cycles[0] + calls
    assert cycles[1] == cycles[0] + 2 * calls
    assert found[1].total.estimated_cycles > found[0].total.estimated_cycles


@on_qemu_boards("riscv-virt-v")
def test_layers_are_counted_without_timings(board: str) -> None:
    artifact = digits(board)
    found = profile(artifact, *ramp(artifact))
    total = found.total
    counts = [part.instructions for part in (*found.layers, found.entry)]
    assert min(counts) > 0 and sum(counts) == total.instructions == total.qemu_instructions
    assert sum(layer.share for layer in found.layers) == pytest.approx(
        1 - found.entry.instructions / total.instructions
    )
    assert found.manual is None and not found.assumptions
    every = (*found.layers, found.entry, total)
    assert {part.estimated_cycles for part in every} == {total.cycles_per_mac} == {None}
    *_, last = profile_tables(found)
    assert "not estimated: there are no instruction timings of rv32imcv" in str(last)


@on_qemu_boards("riscv-virt")
def test_misaligned_loads_are_found_in_their_layer(board: str) -> None:
    # Cores may trap on these accesses; QEMU does not.
    load = """
        static const uint32_t words[2] = {{1u, 2u}};
        __asm__ volatile("lw t0, {offset}(%0)" : : "r"(words) : "t0");
    """
    artifact = digits(board)
    kernel = artifact.layers[2].kernel
    for offset in (0, 1):
        code = load.format(offset=offset)
        with built_firmware(with_code(artifact, kernel, code), find_board(board)) as firmware:
            trace = emulate(firmware, ramp(artifact), 60)
        found = [layer.split_loads for layer in trace.layers]
        assert [bool(count) for count in found] == [
            bool(offset) and layer.kernel == kernel for layer in artifact.layers
        ]


@on_qemu
def test_endless_loop_times_out() -> None:
    artifact = digits("mps2-an386")
    endless = with_code(artifact, artifact.layers[0].kernel, 'for (;;) { __asm__ volatile(""); }')
    with (
        built_firmware(endless, find_board("mps2-an386")) as firmware,
        pytest.raises(DeviceTimeoutError, match="mps2-an386 in Unicorn did not finish within 1 s"),
    ):
        profile_firmware(firmware, ramp(artifact), timeout=1)


# The processor's identification register, which reads as zero in Unicorn.
IN_UNICORN = "*(volatile uint32_t *)0xE000ED00u == 0u"


@on_qemu
def test_other_outputs_than_qemu_are_an_error() -> None:
    artifact = digits("mps2-an386")
    broken = with_code(artifact, artifact.layers[0].kernel, f"if ({IN_UNICORN}) {{ return; }}")
    with pytest.raises(DeviceError, match="Unicorn computes different outputs of digits than QEMU"):
        profile(broken, *ramp(artifact))


@on_qemu
def test_fault_in_unicorn_names_the_layer() -> None:
    artifact = digits("mps2-an386")
    kernel = artifact.layers[1].kernel
    code = f"(void)*(volatile uint32_t *)({IN_UNICORN} ? 0xf0000000u : 0x20000000u);"
    with pytest.raises(DeviceError) as raised:
        profile(with_code(artifact, kernel, code), *ramp(artifact))
    message = str(raised.value)
    assert f"in {kernel}, layer 1 DEPTHWISE_CONV_2D" in message
    assert "in Unicorn" in message and "\n" not in message


def test_boards_that_cannot_be_profiled_are_refused() -> None:
    assert "zephyr:mps3_an547" not in profilable_boards()
    artifact = digits("zephyr:mps3_an547")
    with pytest.raises(ProfileBoardError) as raised:
        profile(artifact, *ramp(artifact))
    error = raised.value
    assert error.exit_code == 2
    assert error.supported == profilable_boards()
    for part in ("zephyr:mps3_an547", "cortex-m55", "mps2-an386"):
        assert part in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_code_for_a_cpu_needs_a_board() -> None:
    artifact = digits("cortex-m4")
    with pytest.raises(InputError, match=r"CPU cortex-m4.*mps2-an386"):
        profile(artifact, *ramp(artifact))


def test_timeout_is_checked_before_anything_is_built(tmp_path: Path) -> None:
    artifact = digits("mps2-an386")
    with pytest.raises(InputError, match="timeout"):
        profile(artifact, *ramp(artifact), timeout=0)
