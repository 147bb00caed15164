"""Every operator's case table against the oracle: numpy, C on the host, C on emulated boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.case_groups import check_host, families, family_cases
from tests.tools import on_qemu
from tvmtiny.ops import operators

#: Operators with other code for TFLM: WHILE contains FULLY_CONNECTED. LOGISTIC computes its table
#: in another way as well, but no case is known where an entry differs.
_ROUNDED_DIFFERENTLY = {
    *("FULLY_CONNECTED", "MUL", "RELU6", "TANH", "UNIDIRECTIONAL_SEQUENCE_LSTM", "WHILE")
}

_EACH = sorted(families())
_WITH_KERNELS_OF_A_CORE = [name for name in _EACH if not families()[name].shared]


def _selected(request: pytest.FixtureRequest) -> list[str]:
    """The families for which the test that runs now was selected."""
    function = request.function
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    return [item.callspec.params["family"] for item in items if item.function is function]


def test_every_operator_has_cases() -> None:
    tested = {operator for family in families().values() for operator in family.tables}
    assert tested == {operator.name for operator in operators() if operator.in_litert}


@pytest.mark.parametrize("family", _EACH)
def test_numpy_reference(family: str) -> None:
    family_cases(family).check_reference()


@pytest.mark.parametrize("family", _EACH)
def test_c_on_host(family: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The host runs the portable twins of the DSP extension's instructions."""
    check_host(family, "mps2-an386", _selected(request), tmp_path)


@pytest.mark.parametrize("family", _WITH_KERNELS_OF_A_CORE)
def test_c_without_dsp_on_host(family: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    check_host(family, "mps2-an385", _selected(request), tmp_path)


@pytest.mark.parametrize("family", _EACH)
def test_c_on_host_with_rounding_of_tflm(family: str, tmp_path: Path) -> None:
    differs = family_cases(family).check_host_with_rounding_of_tflm("mps2-an386", tmp_path)
    assert differs == bool(_ROUNDED_DIFFERENTLY & set(families()[family].tables))


@on_qemu
@pytest.mark.parametrize("family", _EACH)
def test_c_on_cortex_m4(family: str) -> None:
    family_cases(family).check_board("mps2-an386")


@on_qemu
@pytest.mark.parametrize("family", _WITH_KERNELS_OF_A_CORE)
def test_c_on_cortex_m3(family: str) -> None:
    family_cases(family).check_board("mps2-an385")


@on_qemu
@pytest.mark.parametrize("family", _EACH)
def test_c_on_cortex_m0(family: str) -> None:
    """The small cases only, since the board has 16 KB of RAM."""
    family_cases(family, small=True).check_board("microbit")
