"""The errors of a `Session` with a board that faults, hangs or disappears."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tools import on_qemu

import tvmtiny
from tvmtiny.errors import DeviceFaultError, LinkClosedError, LinkError, LinkTimeoutError, PortError

MakeArtifact = Callable[..., Any]

#: Faults, or never ends, if the first input has this value.
FAULT, HANG = 100, 101
BODY = f"""
    if (from[0] == {2 * FAULT - 255}) {{ *(volatile int32_t *)0xF0000000u = 1; }}
    if (from[0] == {2 * HANG - 255}) {{ for (i = 0;;) {{ __asm__ volatile(""); }} }}
"""


@pytest.fixture
def inputs(hand_inputs: list[np.ndarray]) -> Callable[[int], list[np.ndarray]]:
    def make(first: int) -> list[np.ndarray]:
        values = hand_inputs[0].copy()
        values[0, 0] = first
        return [values, hand_inputs[1]]

    return make


@on_qemu
def test_errors_of_a_board(
    make_artifact: MakeArtifact,
    hand_inputs: list[np.ndarray],
    hand_outputs: tuple[np.ndarray, np.ndarray],
    inputs: Callable[[int], list[np.ndarray]],
) -> None:
    artifact = make_artifact("mps2-an386", body=BODY)

    def check(session: tvmtiny.Session) -> None:
        for got, expected in zip(session.run(*hand_inputs), hand_outputs, strict=True):
            np.testing.assert_array_equal(got, expected)

    with tvmtiny.Session(artifact, timeout=60) as session:
        check(session)
        for call in (session.run, session.run_layers, session.time):
            with pytest.raises(DeviceFaultError) as fault:
                call(*inputs(FAULT))
            assert fault.value.function == "tvmtiny_hand_scale"
            assert "0xf0000000" in fault.value.fault
            assert set(fault.value.registers) == {"sp", "cfsr", "hfsr"}
            assert any("DATA" in frame for frame in fault.value.frames)
            if call != session.time:
                assert fault.value.layer == "layer 1 ADD (scale)"
            # The board goes on serving, without a reset.
            check(session)
        for call in (session.run, session.run_layers, session.time):
            session.timeout = 0.3
            with pytest.raises(LinkTimeoutError, match=r"within 0\.3 s") as late:
                call(*inputs(HANG))
            assert any("POLL" in frame for frame in late.value.frames)
            session.timeout = 60
            session.reset()
            check(session)
        qemu = session._transport.process  # type: ignore[union-attr]
        timer = threading.Timer(0.3, qemu.kill)
        timer.start()
        with pytest.raises(LinkClosedError, match="QEMU was killed by signal 9"):
            session.run(*inputs(HANG))
        timer.join()
        with pytest.raises((LinkError, PortError)):
            session.reset()
