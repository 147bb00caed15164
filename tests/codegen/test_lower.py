"""Code that is added to the C that TVM prints."""

from __future__ import annotations

import pytest
from tvm import te, tirx

from tvmtiny.codegen.lower import _check_temporaries, lower_kernels
from tvmtiny.schedule.implementation import SCHEDULE_ATTR


def test_parameters_that_nothing_reads() -> None:
    x, y = te.placeholder((4,), "int32", name="x"), te.placeholder((4,), "int32", name="y")
    out = te.compute((4,), lambda i: x[i] * 0 + y[i], name="out")
    function = te.create_prim_func([x, y, out]).with_attr(SCHEDULE_ATTR, "plain")
    kernel = lower_kernels({"f": function})["f"]
    assert kernel.prototype == (
        "void f(const int32_t *TVMTINY_RESTRICT x, const int32_t *TVMTINY_RESTRICT y, "
        "int32_t *TVMTINY_RESTRICT out)"
    )
    assert "(void)x;" in kernel.source
    assert "(void)y;" not in kernel.source


def _scaled(factor: int) -> tirx.PrimFunc:
    x = te.placeholder((4,), "int32", name="x")
    out = te.compute((4,), lambda i: x[i] * factor, name="out")
    return te.create_prim_func([x, out]).with_attr(SCHEDULE_ATTR, "plain")


def test_functions_that_are_lowered_together() -> None:
    together = lower_kernels({f"f{i}": _scaled(factor) for i, factor in enumerate((5, 7, 5))})
    assert list(together) == ["f0", "f1", "f2"]
    for (symbol, kernel), factor in zip(together.items(), (5, 7, 5), strict=True):
        alone = lower_kernels({symbol: _scaled(factor)})[symbol]
        assert (alone.prototype, alone.source) == (kernel.prototype, kernel.source)
        assert kernel.source.startswith(f"void {symbol}(const int32_t *TVMTINY_RESTRICT x, ")
        assert kernel.source.count("void") == 1 and f"x[i] * {factor}" in kernel.source


_ONCE = """
  int32_t v_ = acc_ptr[0];
  acc_ptr[0] = ((v_) > (3) ? (v_) : (3));
"""


def test_temporaries_of_memory_are_used_once() -> None:
    _check_temporaries(_ONCE)
    with pytest.raises(AssertionError, match="v_ is used again"):
        _check_temporaries(_ONCE + "  out[0] = ((v_) > (5) ? (v_) : (5));\n")
