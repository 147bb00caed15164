"""Every operator's case table against the oracle: numpy, C on the host, C on emulated boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.three_ways import operator_cases, small_cases
from tests.tools import on_qemu
from tvmtiny.ops import operators

pytestmark = pytest.mark.parametrize("operator", [operator.name for operator in operators()])

#: Operators whose code is another one for TFLM. LOGISTIC computes its table in another way, too,
#: but no case is known where an entry differs.
_ROUNDED_DIFFERENTLY = {"FULLY_CONNECTED", "MUL"}


def test_numpy_reference(operator: str) -> None:
    operator_cases(operator).check_reference()


@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m4"])
def test_c_on_host(operator: str, cpu: str, tmp_path: Path) -> None:
    """Of the DSP extension's instructions, the host runs the portable twins."""
    operator_cases(operator).check_host(cpu, tmp_path)


def test_c_on_host_with_rounding_of_tflm(operator: str, tmp_path: Path) -> None:
    differs = operator_cases(operator).check_host_with_rounding_of_tflm("cortex-m4", tmp_path)
    assert differs == (operator in _ROUNDED_DIFFERENTLY)


@on_qemu
def test_c_on_cortex_m4(operator: str) -> None:
    operator_cases(operator).check_board("mps2-an386")


@on_qemu
def test_c_on_cortex_m3(operator: str) -> None:
    operator_cases(operator).check_board("mps2-an385")


@on_qemu
def test_c_on_cortex_m0(operator: str) -> None:
    """In 16 KB of RAM: just the small cases."""
    small_cases(operator, 400).check_board("microbit")
