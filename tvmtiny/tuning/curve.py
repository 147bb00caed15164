"""Plot how the figure of a model decreased over the trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from tvmtiny.schedule.records import Record, Status

if TYPE_CHECKING:
    from tvmtiny.tuning.api import TuneResult

__all__ = ["CurvePoint", "tuning_curve", "tuning_svg"]

_LEFT, _TOP, _RIGHT, _BOTTOM = 84, 52, 20, 52
_WIDTH, _HEIGHT = 720, 340
_LINES = 4


@dataclass(frozen=True)
class CurvePoint:
    """State of a tuning run after one trial.

    Attributes
    ----------
    trial
        Number of the trial, from 1.
    total
        Sum of the best figures of all layers, each weighted by how often an inference runs it; None
        until every layer has one.
    failed
        Whether the trial failed.
    """

    trial: int
    total: float | None
    failed: bool


def tuning_curve(records: Sequence[Record], weights: Mapping[str, int]) -> tuple[CurvePoint, ...]:
    """Compute the curve of trials in the order in which they ended.

    Parameters
    ----------
    weights
        Number of times that an inference runs each layer, by workload key.
    """
    best: dict[str, Record] = {}
    points = []
    for number, record in enumerate(records, 1):
        key = record.workload.key
        before = best.get(key)
        if record.status is Status.OK and (before is None or record.merit < before.merit):
            best[key] = record
        total = None
        if best.keys() >= weights.keys():
            total = sum((best[k].figure or 0.0) * weight for k, weight in weights.items())
        points.append(CurvePoint(number, total, record.status is not Status.OK))
    return tuple(points)


def tuning_svg(result: TuneResult, points: Sequence[CurvePoint]) -> str:
    """Render the curve as SVG: trials on the x axis, figures on the y axis, failures as ticks."""
    return "\n".join(_document(result, points)) + "\n"


def _document(result: TuneResult, points: Sequence[CurvePoint]) -> Iterator[str]:
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
    )
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    title = f"{result.model} on {result.board}: {result.metric} of the tuned layers"
    yield f'<text x="{_LEFT}" y="20" font-size="15">{escape(title)}</text>'
    known = [(p.trial, p.total) for p in points if p.total is not None]
    default = result.progress.default
    if not known or not default:
        yield f'<text x="{_LEFT}" y="38" fill="#555555">no layer has a figure</text></svg>'
        return
    last = known[-1][1]
    under = f"default rules {default:,.0f}; best {last:,.0f} ({last / default - 1:+.1%})"
    yield f'<text x="{_LEFT}" y="38" fill="#555555">{escape(under)}</text>'
    high = max(default, *(total for _, total in known))
    low = min(default, *(total for _, total in known))
    margin = (high - low) * 0.08 or high * 0.01
    high, low = high + margin, low - margin
    count = max(len(points), 2)

    def x(trial: int) -> float:
        return _LEFT + (trial - 1) * _WIDTH / (count - 1)

    def y(total: float) -> float:
        return _TOP + (high - total) * _HEIGHT / (high - low)

    for line in range(_LINES + 1):
        value = low + (high - low) * line / _LINES
        yield (
            f'<line x1="{_LEFT}" y1="{y(value):.1f}" x2="{_LEFT + _WIDTH}" y2="{y(value):.1f}" '
            'stroke="#dddddd"/>'
        )
        yield (
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
        )
    yield (
        f'<line x1="{_LEFT}" y1="{y(default):.1f}" x2="{_LEFT + _WIDTH}" y2="{y(default):.1f}" '
        'stroke="#888888" stroke-dasharray="5 4"/>'
    )
    steps: list[str] = []
    for trial, total in known:
        # The best figure is constant until the next trial.
        steps.append(f"{'H' if steps else 'M'}{x(trial):.1f}{'' if steps else f' {y(total):.1f}'}")
        if len(steps) > 1:
            steps.append(f"V{y(total):.1f}")
    yield f'<path d="{" ".join(steps)}" fill="none" stroke="#2f6db0" stroke-width="2"/>'
    bottom = _TOP + _HEIGHT
    for point in points:
        if point.failed:
            yield (
                f'<line x1="{x(point.trial):.1f}" y1="{bottom + 4}" x2="{x(point.trial):.1f}" '
                f'y2="{bottom + 12}" stroke="#d0402b"><title>trial {point.trial} failed</title>'
                "</line>"
            )
    yield (
        f'<text x="{_LEFT + _WIDTH / 2:g}" y="{bottom + 36}" text-anchor="middle">'
        f"{len(points)} trials; marked are those that failed</text>"
    )
    yield "</svg>"
