"""Code that is added to the C that TVM prints."""

from __future__ import annotations

import pytest
from tvm import te

from tvmtiny.codegen.lower import _check_temporaries, lower_kernel
from tvmtiny.schedule.implementation import SCHEDULE_ATTR


def test_parameters_that_nothing_reads() -> None:
    x, y = te.placeholder((4,), "int32", name="x"), te.placeholder((4,), "int32", name="y")
    out = te.compute((4,), lambda i: x[i] * 0 + y[i], name="out")
    function = te.create_prim_func([x, y, out]).with_attr(SCHEDULE_ATTR, "plain")
    kernel = lower_kernel(function, "f")
    assert kernel.prototype == (
        "void f(const int32_t *TVMTINY_RESTRICT x, const int32_t *TVMTINY_RESTRICT y, "
        "int32_t *TVMTINY_RESTRICT out)"
    )
    assert "(void)x;" in kernel.source
    assert "(void)y;" not in kernel.source


_ONCE = """
  int32_t v_ = acc_ptr[0];
  acc_ptr[0] = ((v_) > (3) ? (v_) : (3));
"""


def test_temporaries_of_memory_are_used_once() -> None:
    _check_temporaries(_ONCE)
    with pytest.raises(AssertionError, match="v_ is used again"):
        _check_temporaries(_ONCE + "  out[0] = ((v_) > (5) ? (v_) : (5));\n")
