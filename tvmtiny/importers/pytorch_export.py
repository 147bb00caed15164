"""Convert a ``torch.export`` archive with litert-torch; this module is a separate program.

The program runs with the Python that has litert-torch, which can differ from tvmtiny's Python, and
imports nothing from tvmtiny. Its arguments are the archive, the .tflite file, and optionally
``--keep-layout``. The program writes one JSON object to stdout: ``inputs`` (name, shape and order
of each) and ``outputs``, or ``missing`` (a module) or ``error``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

#: Operators that work on pixels, by parts of their names.
_WINDOWS = ("conv", "pool", "pixel_shuffle", "upsample", "instance_norm")
#: Operators that work with any order of axes.
_KEEPING = (
    *("add", "batch_norm", "clamp", "div", "dropout", "gelu", "hardsigmoid", "hardswish"),
    *("hardtanh", "leaky_relu", "mul", "pad", "relu", "relu6", "sigmoid", "silu", "sub", "tanh"),
)


def _wants_channels_last(node: Any) -> bool:
    """Whether a placeholder reaches an operator on pixels through operators of any order."""
    pending, seen = [node], set()
    while pending:
        for user in pending.pop().users:
            name = str(user.target).split(".")[1] if "." in str(user.target) else ""
            if any(part in name for part in _WINDOWS):
                return True
            if name.rstrip("_") in _KEEPING and user not in seen:
                seen.add(user)
                pending.append(user)
    return False


def _convert(archive: str, target: str, keep_layout: bool) -> dict[str, Any]:
    import litert_torch
    import torch

    program = torch.export.load(archive)
    args, kwargs = program.example_inputs
    if kwargs:
        return {"error": "the program takes keyword arguments; export it with positional ones"}
    module = program.module()
    names = list(program.graph_signature.user_inputs)
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    moved = [
        i
        for i, (name, value) in enumerate(zip(names, args, strict=True))
        if not keep_layout
        and isinstance(value, torch.Tensor)
        and value.dim() == 4
        and _wants_channels_last(nodes[name])
    ]
    results = module(*args)
    results = results if isinstance(results, (tuple, list)) else [results]
    images = [i for i, value in enumerate(results) if moved and value.dim() == 4]
    shapes = [list(value.shape) for value in args]
    sample = list(args)
    for i in moved:
        sample[i] = sample[i].permute(0, 2, 3, 1).contiguous()
    if moved or images:
        module = litert_torch.to_channel_last_io(module, args=moved, outputs=images)
    litert_torch.convert(module, tuple(sample)).export(target)
    given = list(program.graph_signature.user_outputs)
    return {
        "inputs": [
            {
                "name": name,
                "shape": shape,
                "order": [0, 2, 3, 1] if i in moved else list(range(len(shape))),
            }
            for i, (name, shape) in enumerate(zip(names, shapes, strict=True))
        ],
        "outputs": [
            {
                "name": str(name),
                "shape": list(value.shape),
                "order": [0, 2, 3, 1] if i in images else list(range(value.dim())),
            }
            for i, (name, value) in enumerate(zip(given, results, strict=True))
        ],
    }


def main(words: list[str]) -> None:
    """Convert the archive, and print a description of the result."""
    # Keep output of libraries, from Python or native code, out of the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        found = _convert(words[0], words[1], "--keep-layout" in words)
    except ModuleNotFoundError as error:
        found = {"missing": (error.name or "").partition(".")[0], "error": str(error)}
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        found = {"error": f"{type(error).__name__}: {' '.join(lines)[:600]}"}
    answer.write(json.dumps(found))
    answer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
