"""Firmware for MLPerf Tiny's runner, as far as it is the same on all platforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tvmtiny.codegen.names import c_type, macro_stem
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project.runtime_files import c_files, render

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo

__all__ = [
    "BENCHMARKS",
    "ENERGY",
    "LISTENING",
    "MLPERF_MODES",
    "check_benchmarks",
    "common_values",
    "input_values",
    "mlperf_files",
    "model_source",
]

#: The mode whose timestamps are edges on a pin.
ENERGY = "mlperf-energy"
#: Modes whose firmware speaks the protocol of the runner.
MLPERF_MODES = ("mlperf", ENERGY)

#: Encoding of an input element that the runner sends, by benchmark: a byte of the model, a pixel
#: from 0 to 255, or a float32; or samples that are played.
BENCHMARKS = {
    "kws01": "bytes",
    "ic01": "pixels",
    "vww01": "pixels",
    "ad01": "float",
    "sww01": "samples",
}

#: Benchmarks whose models take samples.
LISTENING = frozenset(name for name, encoding in BENCHMARKS.items() if encoding == "samples")


def check_benchmarks(artifacts: Sequence[Artifact], benchmarks: Sequence[str]) -> None:
    """Raise if benchmarks are unknown, or the models cannot be parts of one firmware.

    Parameters
    ----------
    artifacts
        The models.
    benchmarks
        One benchmark for each model, a key of `BENCHMARKS`.

    Raises
    ------
    InputError
        The numbers differ, a benchmark is unknown, or a name, a benchmark or the placement is not
        as one firmware needs it.
    """
    names = [artifact.name for artifact in artifacts]
    if not artifacts or len(artifacts) != len(benchmarks):
        raise InputError(
            f"{len(benchmarks)} benchmarks for {len(artifacts)} models; give one for each model"
        )
    for benchmark in benchmarks:
        if benchmark not in BENCHMARKS:
            raise InputError(
                f"there is no benchmark {quoted(benchmark)} for this firmware; known: "
                f"{', '.join(BENCHMARKS)}"
            )
    if len(set(names)) < len(names) or len(set(benchmarks)) < len(benchmarks):
        raise InputError("the models of one firmware need different names and benchmarks")
    if any(artifact.placement != artifacts[0].placement for artifact in artifacts):
        raise InputError("the models of one firmware need the same --place")


def mlperf_files(benchmarks: Sequence[str]) -> dict[str, str]:
    """Return the protocol and the table of the models, by file name.

    Parameters
    ----------
    benchmarks
        Benchmarks of the models. The first one is selected at the start.
    """
    files = c_files("mlperf")
    for name in ("mlperf_models.h", "mlperf_models.c"):
        files[name] = render(f"mlperf/{name}.j2", benchmarks=benchmarks)
    return files


def model_source(values: dict[str, Any]) -> str:
    """Generate the C file that connects a model to the protocol, from `input_values`.

    The file includes ``mlperf.h``, ``mlperf_models.h``, and the model's header from its parent
    folder.
    """
    return render("mlperf/mlperf_model.c.j2", **values)


def common_values(artifact: Artifact, benchmark: str) -> dict[str, Any]:
    """Compute the values that the template of a model needs for every benchmark."""
    return {
        "artifact": artifact,
        "prefix": f"tvmtiny_{artifact.name}",
        "benchmark": benchmark,
        "encoding": BENCHMARKS[benchmark],
    }


def input_values(artifact: Artifact, benchmark: str) -> dict[str, Any]:
    """Compute the values for the template of a model whose inputs the runner sends.

    Returns
    -------
    dict
        Values by name; ``bytes`` is the size of the input that is kept.

    Raises
    ------
    InputError
        The model does not suit the benchmark.
    """
    if artifact.feed is not None:
        raise InputError(f"{benchmark} takes whole inputs; leave --frontend out")
    if artifact.external or (artifact.stream is not None and artifact.stream.mode.pushes):
        raise InputError(
            "MLPerf Tiny's firmware needs whole inputs in the arena; compile the model with --io "
            "arena and --stream none"
        )
    if len(artifact.inputs) != 1 or len(artifact.outputs) != 1:
        raise InputError(
            f"{artifact.name} has several inputs or outputs; the benchmarks need one of each"
        )
    (given,), (output,) = artifact.inputs, artifact.outputs
    encoding = BENCHMARKS[benchmark]
    _check(artifact.name, given, output, encoding)
    elements = math.prod(given.shape)
    input_bytes = 4 * elements if encoding == "float" else elements
    return {
        **common_values(artifact, benchmark),
        "bytes": input_bytes,
        "input": given,
        "input_type": c_type(given.dtype),
        "input_bytes": input_bytes,
        "elements": elements,
        "stem": macro_stem("input", 0, given.c_name),
        "output": output,
        "output_stem": macro_stem("output", 0, output.c_name),
        "results": 1 if benchmark == "ad01" else math.prod(output.shape),
    }


def _check(model: str, given: TensorInfo, output: TensorInfo, encoding: str) -> None:
    """Raise if a model does not suit the benchmark."""
    if given.dtype != "int8" or given.scale is None:
        raise InputError(f"{model} takes {given.dtype}; the benchmarks need int8")
    if encoding == "float" and given.shape != output.shape:
        raise InputError(
            f"{model} computes {list(output.shape)} from {list(given.shape)}; ad01 needs an output "
            "with the shape of the input"
        )
