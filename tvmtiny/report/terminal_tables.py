"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tvmtiny.errors.base import short_name, visible
from tvmtiny.report.fitting import FittingTable, Name, TableColumn
from tvmtiny.targets import Board, Cpu

# Commands that take no model must not wait for imports of TVM or NumPy.
if TYPE_CHECKING:
    from tvmtiny.checking import CheckResult
    from tvmtiny.codegen import Artifact
    from tvmtiny.codegen.stream_info import StreamInfo
    from tvmtiny.quantizing import Quantized
    from tvmtiny.report.doctor import Finding
    from tvmtiny.report.inspection import BoardEstimate, Inspection
    from tvmtiny.results import OutputTensor, Pauses, RunResult
    from tvmtiny.rpc.discovery import Devices

#: Number of elements up to which an output is shown in full.
_SHOWN_ELEMENTS = 16


def board_table(boards: Iterable[Board]) -> FittingTable:
    """List boards with their memory."""
    table = FittingTable(
        (
            TableColumn("board"),
            TableColumn("cpu"),
            TableColumn("memory", wrap_at=18),
            TableColumn("description", wrap_at=18, spare=1),
        )
    )
    for board in boards:
        memory = ", ".join(f"{r.name} {size_text(r.length)}" for r in board.regions)
        table.add_row(board.name, board.cpu.name, memory, Text(board.description))
    return table


def cpu_table(cpus: Iterable[Cpu]) -> FittingTable:
    """List CPUs with the features by which kernels are chosen."""
    table = FittingTable(
        (
            TableColumn("cpu"),
            TableColumn("features", wrap_at=20),
            TableColumn("description", wrap_at=20, spare=1),
        )
    )
    for cpu in cpus:
        table.add_row(cpu.name, ", ".join(sorted(cpu.features)), cpu.description)
    return table


def device_tables(devices: Devices) -> Iterator[RenderableType]:
    """List serial ports, and boards running in QEMU."""
    ports = _table("port", "usb", "serial number", "description")
    for port in devices.ports:
        texts = (port.path, port.usb, port.serial_number, port.product or port.description)
        ports.add_row(*(Text(text or "") for text in texts))
    emulated = _table("port", "board", "model", "process")
    for board in devices.emulated:
        emulated.add_row(Text(board.url), board.board, board.model, str(board.process))
    yield ports if devices.ports else "no serial ports"
    yield ""
    yield emulated if devices.emulated else "no boards in QEMU"


def doctor_table(findings: Iterable[Finding]) -> Table:
    """List the findings about the machine, with advice."""
    # Import on demand: this module imports readers of ELF files and versions, which are slow to
    # load.
    from tvmtiny.report.doctor import Status

    styles = {Status.OK: "green", Status.NOTE: "yellow", Status.MISSING: "red"}
    table = _table("", "found", "")
    for finding in findings:
        detail = Text(finding.detail)
        if finding.status is not Status.OK:
            detail.append(f"\nneeded for {finding.needed_for}")
            # Put the remedy on its own line, so that it is easy to copy.
            detail.append(f"\n{finding.remedy}" if finding.remedy else "", style="bold")
        table.add_row(
            Text(finding.what), Text(finding.status.value, style=styles[finding.status]), detail
        )
    return table


def inspection_tables(found: Inspection) -> Iterator[RenderableType]:
    """Yield interface, operators and verdict of a model, and the boards last."""
    interface = FittingTable(
        (
            TableColumn(""),
            TableColumn("tensor", wrap_at=6),
            TableColumn("dtype"),
            TableColumn("shape"),
            TableColumn("scale"),
            TableColumn("zero point"),
        )
    )
    for kind, tensors in (("input", found.inputs), ("output", found.outputs)):
        for t in tensors:
            scale = "" if t.scale is None else f"{t.scale:.8g}"
            point = "" if t.zero_point is None else str(t.zero_point)
            interface.add_row(kind, Name(t.name), t.dtype, _shape(t.shape), scale, point)
    yield interface
    nodes = FittingTable(
        (
            TableColumn("#", number=True),
            TableColumn("operator"),
            TableColumn("output", wrap_at=6, spare=2),
            TableColumn("shape", spare=1),
            TableColumn("dtype"),
            TableColumn("MACs", number=True),
            TableColumn("weights", number=True),
        )
    )
    for n in found.nodes:
        nodes.add_row(
            str(n.index),
            Text(visible(n.operator)),
            Name(n.output),
            _shape(n.shape),
            n.dtype,
            f"{n.macs:,}" if n.macs else "",
            f"{n.weights_bytes:,}" if n.weights_bytes else "",
            style="red" if n.problems else None,
        )
    yield nodes
    live = ""
    if found.live_macs != found.macs:
        live = f", {found.live_macs:,} without dead channels and taps outside of the input"
    refused = (("LiteRT", f"refuses the model: {found.litert}"),) if found.litert else ()
    yield fact_table(
        ("model file", f"{found.model_bytes:,} bytes"),
        ("MACs", f"{found.macs:,}{live}"),
        ("weights", f"{found.weights_bytes:,} bytes"),
        *((("state", f"{found.state_bytes:,} bytes"),) if found.state_bytes else ()),
        ("largest operator", f"{found.largest_activations_bytes:,} bytes of activations"),
        ("can be compiled", "yes" if found.problem is None else f"no: {found.problem}"),
        *((("note", found.note),) if found.note else ()),
        *refused,
        *_large_enough(found.boards),
    )


def _large_enough(boards: Sequence[BoardEstimate]) -> Iterator[tuple[str, str]]:
    """State the demand on a board, and list the boards that meet it or those that do not."""
    yield "RAM", f"at least {boards[0].ram_bytes:,} bytes"
    yield "constants", f"at least {boards[0].flash_bytes:,} bytes"
    large = [board.board for board in boards if board.may_fit]
    small = [board.board for board in boards if not board.may_fit]
    if len(large) >= len(small):
        yield "boards", f"all{f' but {_listed(small)}' if small else ''} may be large enough"
    else:
        yield "boards", f"{_listed(large)} may be large enough" if large else "none is large enough"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def artifact_tables(artifact: Artifact, files: Sequence[Path]) -> Iterator[RenderableType]:
    """Yield layers, sizes and files of a compilation."""
    layers = FittingTable(
        (
            TableColumn("#", number=True),
            TableColumn("operator"),
            TableColumn("output", wrap_at=6, spare=3),
            TableColumn("shape", spare=2),
            TableColumn("MACs", number=True, spare=1),
            TableColumn("constants", number=True),
            TableColumn("schedule", wrap_at=28),
        )
    )
    for layer in artifact.layers:
        layers.add_row(
            str(layer.index),
            layer.operator,
            Name(layer.name),
            _shape(layer.shape),
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.constants_bytes:,}" if layer.constants_bytes else "",
            layer.schedule,
        )
    yield layers
    state = [("state", f"{artifact.state_bytes:,} bytes")] if artifact.states else []
    yield fact_table(
        ("target", f"{artifact.target.name} ({artifact.target.cpu.name})"),
        ("MACs", f"{artifact.macs:,}"),
        ("arena", f"{artifact.arena_bytes:,} bytes (at least {artifact.plan.lower_bound:,})"),
        *state,
        ("constants", f"{artifact.constants_bytes:,} bytes"),
        ("files", "\n".join(str(path) for path in files)),
    )


def quantized_tables(made: Quantized, file: str) -> Iterator[RenderableType]:
    """Yield the changes caused by quantization."""
    outputs = _table("output", "largest", "max difference", "mean difference", "same maximum")
    for change in made.outputs:
        outputs.add_row(
            Name(change.name),
            f"{change.largest:.4g}",
            f"{change.max_abs_diff:.4g}",
            f"{change.mean_abs_diff:.4g}",
            f"{change.same_argmax:.1%}",
        )
    yield outputs
    facts = [
        ("file", file),
        ("size", f"{made.bytes_after:,} bytes, {made.bytes_before:,} before"),
        ("samples", f"{made.samples:,}"),
    ]
    if made.accuracy_before is not None and made.accuracy_after is not None:
        gained = made.accuracy_after - made.accuracy_before
        text = f"{made.accuracy_after:.1%}, {made.accuracy_before:.1%} before ({gained:+.1%})"
        facts.append(("accuracy", text))
    yield fact_table(*facts)


def run_tables(
    result: RunResult, checked: CheckResult | None, stream: StreamInfo | None = None
) -> Iterator[RenderableType]:
    """Yield the figures and outputs of a run, with its comparison and streaming if available."""
    flash, ram = result.flash, result.static_ram_bytes
    facts = [
        ("model", result.model),
        ("board", f"{result.board} ({result.cpu})"),
        ("instructions", f"{result.instructions:,} per inference"),
        ("arena", f"{result.arena_bytes:,} bytes"),
        ("static RAM", "not known" if ram is None else f"{ram:,} bytes"),
        ("stack", f"{result.stack_bytes:,} bytes"),
        (
            "flash",
            "not known"
            if flash is None
            else f"{flash.total:,} bytes ({flash.code:,} code, {flash.constants:,} constants)",
        ),
        *((f"output {short_name(o.name)}", _values(o)) for o in result.outputs),
    ]
    if checked is not None:
        verdict = "exact" if checked.exact else f"{checked.mismatched_bytes:,} bytes differ"
        layers = f"{checked.layers_exact} of {checked.layers_compared} layers exact"
        facts.append((f"check ({checked.oracle})", f"{verdict}, {layers}"))
    if stream is not None:
        facts += _streamed(stream, result.pauses)
    yield fact_table(*facts)


def _streamed(stream: StreamInfo, pauses: Pauses | None) -> Iterator[tuple[str, str]]:
    """Describe the layers that run row by row, and the longest pieces of an inference."""
    if stream.segments:
        layers = ", ".join(f"layers {s.first} to {s.last}" for s in stream.segments)
        pushed = f", {stream.pushes} rows of the input are pushed" if stream.pushes else ""
        yield "row by row", f"{layers}; {stream.rings_bytes:,} bytes of rings{pushed}"
    if pauses is not None and pauses.pushes:
        yield "longest push", f"{max(pauses.pushes):,} instructions"
    longest = f"about {stream.longest_slice_cycles:,} cycles"
    if pauses is not None and pauses.slices:
        longest = f"{max(pauses.slices):,} instructions, {longest}"
    yield "in steps", f"{stream.slices:,}, the longest {longest}"


def _values(output: OutputTensor) -> str:
    flat = output.data.ravel()
    import numpy as np

    shown = np.array2string(flat[:_SHOWN_ELEMENTS], separator=" ", max_line_width=200)
    more = f" ... {flat.size:,} in all" if flat.size > _SHOWN_ELEMENTS else ""
    return f"{output.dtype} {_shape(output.shape)}: {shown}{more}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in ("#", "MACs", "weights", "constants")
        table.add_column(
            column,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=column in ("#", "operator"),
        )
    return table


def fact_table(*facts: tuple[str, str]) -> Table:
    """Create a table of facts from pairs of a name and a value."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in facts:
        table.add_row(Text(key), Text(value))
    return table


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def size_text(length: int) -> str:
    """Format the size of a memory region, which is usually a round number."""
    return f"{length // 1024} KB" if length < 1 << 20 else f"{length / (1 << 20):g} MB"
