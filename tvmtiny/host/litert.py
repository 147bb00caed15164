"""Create LiteRT's interpreter for the oracle; run as a program, report why LiteRT rejects a model.

The program imports nothing of this package. It reads a model from stdin and prints LiteRT's message
if LiteRT rejects it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

__all__ = ["make_interpreter", "reference_interpreter"]


def make_interpreter(module: Any, model: bytes) -> Any:
    """Create an interpreter with the reference kernels, or with others if one is missing.

    CEIL, ELU, ROUND and SQUEEZE have no reference kernel, and the one of SUM reads int8 and int16
    as uint8. A model with one of these uses LiteRT's other kernels, without delegates, which may
    differ in the last bit for convolutions and other operators.

    Parameters
    ----------
    module
        ``ai_edge_litert.interpreter``.
    model
        A .tflite file.

    Raises
    ------
    ValueError, RuntimeError
        LiteRT cannot read the model.
    """
    found = reference_interpreter(module, model)
    if found is not None:
        return found
    return _create(module, model, module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def reference_interpreter(module: Any, model: bytes) -> Any | None:
    """Create an interpreter with the reference kernels; None if an operator lacks one.

    See `make_interpreter` for parameters and errors.
    """
    try:
        interpreter = _create(module, model, module.OpResolverType.BUILTIN_REF)
    except ValueError as error:
        if "Didn't find op" not in str(error):
            raise
        return None
    return None if _sums_bytes(interpreter) else interpreter


def _create(module: Any, model: bytes, resolver: Any) -> Any:
    return module.Interpreter(
        model_content=model,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=True,
    )


def _sums_bytes(interpreter: Any) -> bool:
    sums = [o for o in interpreter._get_ops_details() if o["op_name"] == "SUM"]
    # Details of all tensors take long to get, and few models sum.
    types = {d["index"]: d["dtype"] for d in interpreter.get_tensor_details()} if sums else {}
    return any(types.get(operator["inputs"][0]) in (np.int8, np.int16) for operator in sums)


def _main() -> None:
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        return
    # LiteRT logs from C++ to both streams.
    answer = os.dup(1)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        make_interpreter(interpreter, sys.stdin.buffer.read()).allocate_tensors()
    except (ValueError, RuntimeError) as error:
        os.write(answer, str(error).encode("utf-8", "replace"))


if __name__ == "__main__":
    _main()
