"""Output of ``tvmtiny profile`` and ``tvmtiny bench``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tvmtiny.report.bench import BenchResult
from tvmtiny.report.fitting import FittingTable, TableColumn
from tvmtiny.report.peers import measured
from tvmtiny.report.profile import Profile

#: Length in characters of the bar of a layer that takes all the time.
_BAR_LENGTH = 10

#: The peer whose arena is that of an interpreter.
_ARENA_PEER = "CMSIS-NN"

_PROFILE_COLUMNS = (
    TableColumn("#", number=True),
    TableColumn("operator"),
    TableColumn("MACs", number=True),
    TableColumn("instructions", number=True),
    TableColumn("/MAC", number=True, spare=5),
    TableColumn("est. cycles", number=True),
    TableColumn("/MAC", number=True, spare=4),
    TableColumn("share", number=True),
    TableColumn("", spare=3),
    TableColumn("weights", number=True, spare=1),
    TableColumn("flash read", number=True, spare=1),
    TableColumn("RAM read", number=True, spare=1),
    TableColumn("schedule", wrap_at=24, spare=2),
)

_BENCH_COLUMNS = (
    TableColumn("model"),
    TableColumn("instructions", number=True),
    TableColumn("/MAC", number=True, spare=4),
    TableColumn("est. cycles", number=True, spare=6),
    TableColumn("/MAC", number=True, spare=5),
    TableColumn("exact"),
    TableColumn("stack", number=True, spare=3),
    TableColumn("code", number=True, spare=1),
    TableColumn("const.", number=True, spare=2),
    TableColumn("arena", number=True),
)
_PEER_COLUMNS = (
    TableColumn("TFLM's", number=True, spare=7),
    TableColumn("best peer"),
    TableColumn("faster", number=True),
)
_EARLIER_COLUMNS = (TableColumn("before", number=True), TableColumn("change", number=True))


def profile_summary(found: Profile) -> dict[str, Any]:
    """Summarize a profile for ``--json``."""
    summary = asdict(found)
    estimate = {key: summary.pop(key) for key in ("manual", "assumptions", "unlisted")}
    return {**summary, "estimate": estimate}


def profile_tables(found: Profile) -> Iterator[RenderableType]:
    """Yield the layers in order, their total, and the assumptions of the estimate."""
    table = FittingTable(_PROFILE_COLUMNS)
    for layer in found.layers:
        table.add_row(
            str(layer.index),
            layer.operator,
            _amount(layer.macs or None),
            _amount(layer.instructions),
            _ratio(layer.instructions_per_mac),
            _amount(layer.estimated_cycles),
            _ratio(layer.cycles_per_mac),
            f"{layer.share:.1%}",
            "█" * round(layer.share * _BAR_LENGTH),
            _amount(layer.weights_bytes or None),
            _amount(layer.flash_read_bytes),
            _amount(layer.ram_read_bytes),
            Text(layer.schedule),
        )
    total = found.total
    entry = found.entry
    if entry.estimated_cycles is None or total.estimated_cycles is None:
        share = entry.instructions / total.instructions
    else:
        share = entry.estimated_cycles / total.estimated_cycles
    table.add_row(
        "",
        "entry",
        "",
        _amount(entry.instructions),
        "",
        _amount(entry.estimated_cycles),
        "",
        f"{share:.1%}",
    )
    table.add_row(
        "",
        "total",
        _amount(total.macs or None),
        _amount(total.instructions),
        _ratio(total.instructions_per_mac),
        _amount(total.estimated_cycles),
        _ratio(total.cycles_per_mac),
        "",
        "",
        _amount(total.weights_bytes),
        _amount(total.flash_read_bytes),
        _amount(total.ram_read_bytes),
        style="bold",
    )
    yield table
    yield Text(f"\n{found.model} on {found.board} ({found.cpu})")
    if found.front_end is not None:
        yield Text(f"the front end takes {found.front_end:.1%}")
    if total.qemu_instructions is not None:
        yield Text(f"QEMU counts {total.qemu_instructions:,} instructions")
    if found.manual is None:
        yield Text(
            f"Cycles are not estimated: there are no instruction timings of {found.cpu}. Shares "
            "are of instructions"
        )
        return
    yield Text(f"Cycles are estimated, not measured. Timings: {found.manual}")
    for assumption in found.assumptions:
        yield Text(f"  {assumption}")
    if found.unlisted:
        names = ", ".join(f"{name} ({count:,})" for name, count in found.unlisted.items())
        yield Text(f"  without a timing, counted as one cycle each: {names}")


def bench_tables(
    results: Sequence[BenchResult], earlier: Mapping[tuple[str, str], int] | None = None
) -> Iterator[RenderableType]:
    """List the results by board, one row for each model, followed by errors.

    Parameters
    ----------
    earlier
        As in `tvmtiny.report.bench.bench_summary`; its columns replace those of the peers.
    """
    compared = _PEER_COLUMNS if earlier is None else _EARLIER_COLUMNS
    table = FittingTable((*_BENCH_COLUMNS, *compared), padding=1)
    for board in dict.fromkeys(result.board for result in results):
        mine = [result for result in results if result.board == board]
        table.add_row(Text(board, style="bold"))
        for result in mine:
            table.add_row(*_figures(result), *_comparison(result, earlier))
    yield table
    for result in results:
        if result.error is not None:
            yield Text(f"{result.model} on {result.board}: {result.error}", style="red")
    yield Text("\nInstructions are QEMU's count. Cycles are estimated, not measured; see profile.")
    if earlier is None and any(result.peers for result in results):
        yield Text(f"Peers: {measured()}.")
        best = {(r.model, r.cpu): r.peers[0] for r in results if r.peers}
        for (model, cpu), peer in best.items():
            if peer.note:
                yield Text(f"  * {peer.peer} on {model}, {cpu}: {peer.note}")


def _figures(result: BenchResult) -> list[str]:
    figures = result.figures
    if figures is None:
        return [result.model, "failed", *[""] * 8]
    return [
        result.model,
        _amount(figures.instructions),
        _ratio(figures.instructions_per_mac),
        _amount(figures.estimated_cycles),
        _ratio(figures.cycles_per_mac),
        "" if figures.exact is None else "yes" if figures.exact else "no",
        _amount(figures.stack_bytes),
        _amount(figures.flash.code),
        _amount(figures.flash.constants),
        _amount(figures.arena_bytes),
    ]


def _comparison(
    result: BenchResult, earlier: Mapping[tuple[str, str], int] | None
) -> tuple[str, ...]:
    now = None if result.figures is None else result.figures.instructions
    if earlier is not None:
        before = earlier.get((result.model, result.board))
        return _amount(before), f"{now / before - 1:+.1%}" if now and before else ""
    if not result.peers:
        return ("", "", "")
    best = result.peers[0]
    arenas = [peer.arena_bytes for peer in result.peers if peer.peer == _ARENA_PEER]
    return (
        _amount(arenas[0] if arenas else None),
        f"{best.peer} {best.instructions:,}{'*' if best.note else ''}",
        f"{best.instructions / now:.2f}x" if now else "",
    )


def _amount(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
