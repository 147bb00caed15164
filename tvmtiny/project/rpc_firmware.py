"""The platform-independent part of firmware that serves a host; see docs/rpc.md."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, Any

from tvmtiny.codegen.artifact import model_identity
from tvmtiny.project.runtime_files import c_files, render

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo

__all__ = ["rpc_library_files", "rpc_model_source"]

_CHARACTERS_PER_LINE = 16


def rpc_library_files() -> dict[str, str]:
    """Return the RPC server by file name, independent of any board."""
    return c_files("rpc")


def rpc_model_source(artifact: Artifact, board_name: str) -> str:
    """Generate the C file that serves a model to a host.

    The file includes ``board.h``, ``device.h``, ``measure.h`` and ``serial.h`` of the device, and
    the model's header from its parent folder.
    """
    return render(
        "device/server/rpc_model.c.j2",
        artifact=artifact,
        prefix=f"tvmtiny_{artifact.name}",
        identity=", ".join(f"0x{byte:02x}" for byte in model_identity(artifact)),
        metadata=_characters(_metadata(artifact, board_name)),
    )


def _metadata(artifact: Artifact, board_name: str) -> str:
    def describe(tensor: TensorInfo) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": tensor.name,
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
        }
        if tensor.scale is not None:
            described |= {"scale": float(tensor.scale), "zero_point": int(tensor.zero_point or 0)}
        return described

    return json.dumps(
        {
            "model": artifact.name,
            "board": board_name,
            "identity": model_identity(artifact).hex(),
            "tvm": metadata.version("apache-tvm"),
            "tvmtiny": metadata.version("tvmtiny"),
            "inputs": [describe(tensor) for tensor in artifact.inputs],
            "outputs": [describe(tensor) for tensor in artifact.outputs],
            "layers": [
                {
                    "operator": layer.operator,
                    "name": layer.name,
                    "dtype": layer.dtype,
                    "shape": list(layer.shape),
                }
                for layer in artifact.layers
            ],
        },
        separators=(",", ":"),
    )


def _characters(text: str) -> str:
    """Format printable ASCII as character constants; string literals are limited to 4,095 bytes."""
    constants = [f"'\\{c}'" if c in "'\\" else f"'{c}'" for c in text]
    lines = [
        ", ".join(constants[start : start + _CHARACTERS_PER_LINE])
        for start in range(0, len(constants), _CHARACTERS_PER_LINE)
    ]
    return ",\n        ".join(lines)
