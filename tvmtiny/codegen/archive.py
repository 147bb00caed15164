"""microTVM's Model Library Format: one tar with metadata, sources, parameters and Relax."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo

#: Version of the Model Library Format whose layout this module follows (TVM 0.9 to 0.18).
FORMAT_VERSION = 7


def archive_bytes(artifact: Artifact) -> bytes:
    """Pack `artifact` into a tar file.

    File times and owners are fixed, so that equal artifacts give equal bytes.

    Returns
    -------
    bytes
        The uncompressed tar file.
    """
    stream = io.BytesIO()
    # PAX allows names of any length and equals USTAR as long as no name is long.
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(_members(artifact)):
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _members(artifact: Artifact) -> Iterator[tuple[str, bytes]]:
    yield "metadata.json", (json.dumps(metadata(artifact), indent=2) + "\n").encode()
    yield f"parameters/{artifact.name}.params", artifact.parameters
    yield f"src/{artifact.name}.relax", artifact.relax.encode()
    for name, text in artifact.files.items():
        folder = "include" if name.endswith(".h") else "src"
        yield f"codegen/host/{folder}/{name}", text.encode()


def _slots(artifact: Artifact) -> Iterator[tuple[str, TensorInfo]]:
    """Yield inputs and outputs by name; an output that shares an input's name gets a prefix."""
    names = {t.c_name for t in artifact.inputs}
    for tensor in artifact.inputs:
        yield tensor.c_name, tensor
    for tensor in artifact.outputs:
        yield f"output_{tensor.c_name}" if tensor.c_name in names else tensor.c_name, tensor


def metadata(artifact: Artifact) -> dict[str, Any]:
    """Return the content of ``metadata.json``.

    There is no export date, unlike in microTVM's archives, so that builds are reproducible.
    """

    def io_entry(tensor: TensorInfo) -> dict[str, Any]:
        return {"size": tensor.bytes, "dtype": tensor.dtype, "shape": list(tensor.shape)}

    main = {
        "device": 1,
        "constants_size_bytes": artifact.constants_bytes,
        "io_size_bytes": sum(t.bytes for t in (*artifact.inputs, *artifact.outputs)),
        "workspace_size_bytes": artifact.arena_bytes,
        "state_size_bytes": artifact.state_bytes,
        "inputs": {t.c_name: io_entry(t) for t in artifact.inputs},
        "outputs": {t.c_name: io_entry(t) for t in artifact.outputs},
    }
    functions = [
        {
            "function_name": layer.kernel,
            "layer": layer.index,
            "operator": layer.operator,
            "tensor": layer.name,
            "macs": layer.macs,
            "workspace": [{"device": 1, "workspace_size_bytes": layer.workspace_bytes}],
        }
        for layer in artifact.layers
    ]
    return {
        "version": FORMAT_VERSION,
        "modules": {
            artifact.name: {
                "model_name": artifact.name,
                "executors": ["aot"],
                "style": "full-model",
                "external_dependencies": [],
                "target": [f"c -keys=arm_cpu,cpu -mcpu={artifact.target.cpu.name}"],
                "oracle": artifact.oracle,
                "memory": {
                    "functions": {"main": [main], "operator_functions": functions},
                    "sids": {
                        name: {"arena_offset": t.offset, "size": t.bytes}
                        for name, t in _slots(artifact)
                    },
                },
            }
        },
    }
