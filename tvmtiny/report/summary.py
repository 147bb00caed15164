"""Plain dictionaries of the library's results for ``--json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tvmtiny.checking import CheckResult
from tvmtiny.codegen import Artifact
from tvmtiny.codegen.stream_info import StreamInfo
from tvmtiny.results import Pauses, RunResult


def _longest(pauses: Pauses | None) -> dict[str, int | None]:
    """Return the longest pieces of an inference in instructions; None if not measured."""
    slices, pushes = (pauses.slices, pauses.pushes) if pauses else ((), ())
    return {
        "longest_push_instructions": max(pushes, default=None),
        "longest_slice_instructions": max(slices, default=None),
    }


def run_summary(
    result: RunResult, checked: CheckResult | None, stream: StreamInfo | None = None
) -> dict[str, Any]:
    """Summarize a run, its comparison with the oracle, and its streaming, where available."""
    summary: dict[str, Any] = {
        "model": result.model,
        "board": result.board,
        "cpu": result.cpu,
        "instructions": result.instructions,
        "arena_bytes": result.arena_bytes,
        "static_ram_bytes": result.static_ram_bytes,
        "stack_bytes": result.stack_bytes,
        "flash": None if result.flash is None else asdict(result.flash),
        "outputs": [
            {
                "name": output.name,
                "dtype": output.dtype,
                "shape": list(output.shape),
                "data": output.data.tolist(),
            }
            for output in result.outputs
        ],
    }
    if checked is not None:
        summary["check"] = asdict(checked)
    if stream is not None:
        summary["stream"] = {**stream.summary(), **_longest(result.pauses)}
    return summary


def artifact_summary(artifact: Artifact, files: Sequence[Path]) -> dict[str, Any]:
    """Summarize a compilation: sizes, layers, files."""
    return {
        "model": artifact.name,
        "target": artifact.target.name,
        "cpu": artifact.target.cpu.name,
        "oracle": artifact.oracle,
        "macs": artifact.macs,
        "arena_bytes": artifact.arena_bytes,
        "arena_lower_bound": artifact.plan.lower_bound,
        "state_bytes": artifact.state_bytes,
        "constants_bytes": artifact.constants_bytes,
        **({} if artifact.stream is None else {"stream": artifact.stream.summary()}),
        **({} if artifact.feed is None else {"feed": artifact.feed.summary()}),
        "inputs": [asdict(tensor) for tensor in artifact.inputs],
        "outputs": [asdict(tensor) for tensor in artifact.outputs],
        "states": [asdict(state) for state in artifact.states],
        "layers": [asdict(layer) for layer in artifact.layers],
        "files": [str(path) for path in files],
    }
