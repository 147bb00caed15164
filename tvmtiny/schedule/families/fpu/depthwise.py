"""float32 DEPTHWISE_CONV_2D, computed by planes of two channels."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule import assembly, nest
from tvmtiny.schedule.families.fpu.finish import FLOAT, finish_of
from tvmtiny.schedule.families.fpu.matrix import FAR, HEADERS, PRODUCTS
from tvmtiny.schedule.families.fpu.window import PAIR, WindowCode
from tvmtiny.schedule.implementation import Decision, Decisions, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.planes import PlanePlan, plan_planes, plane_distance, rows_of_plane

#: Numbers of outputs that may be in registers together.
_TOGETHER = range(1, 9)

#: Number of these that a tuner may choose from.
_OPEN = 3


def is_depthwise(node: Node) -> bool:
    """Return whether a node has one filter per input channel, and at least two channels."""
    if node.operator != "DEPTHWISE_CONV_2D":
        return False
    channels = node.input(0).shape[3]
    return channels > 1 and node.output.shape[3] == channels


def depthwise_sketches(node: Node) -> tuple[Sketch, ...]:
    """Return the sketch of a layer; open are the outputs in registers and the planes' rows."""
    geometry, channels = _geometry(node), node.input(0).shape[3]
    if not _near(node, geometry):
        return ()
    rows = {rows_of_plane(geometry, channels // PAIR), 1, geometry.output[0]}
    best = [code for fused in (True, False) for code in _codes(node, fused)[:_OPEN]]
    counts = tuple(sorted({code.together for code in best}))
    decisions = (
        Decision("columns", counts),
        Decision("rows", tuple(sorted(rows))),
        Decision("products", PRODUCTS),
    )
    return (Sketch("fpu_window", decisions),)


def implement_depthwise(
    node: Node, fused: bool, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement a layer; return None if distances are too large for the kernel.

    The decisions are ``columns`` (outputs in registers together), ``rows`` (output rows that share
    a plane) and ``products``; see `implement_matrix` for the latter and for the parameters.
    """
    geometry = _geometry(node)
    if not _near(node, geometry):
        return None
    batch, height, width, channels = node.input(0).shape
    if decisions:
        fused = decisions["products"] == PRODUCTS[0]
    count = int(decisions["columns"]) if decisions else _codes(node, fused)[0].together
    rows = int(decisions["rows"]) if decisions else rows_of_plane(geometry, channels // PAIR)
    plan = plan_planes(geometry, rows)
    code = _code(node, geometry, count, fused)
    if not code.taps:
        return None
    values = _stream(node, count)
    if values is None:
        return None
    name, preamble = _instance(code)
    x = nest.buffer("x", node.input(0).elements, "float32")
    stream = nest.buffer("stream", values.size, "float32")
    out = nest.buffer("out", node.output.elements, "float32")
    plane = nest.buffer("plane", PAIR * plan.height * plan.width, "float32")
    pairs = -(-channels // PAIR)
    out_height, out_width = geometry.output
    strips = -(-out_height // plan.rows)

    def one(image: nest.Argument, strip: nest.Argument, pair: nest.Argument) -> list[tirx.Stmt]:
        """Copy and compute two channels of a strip; the last pair may overlap the one before."""
        some: nest.Argument = plan.rows
        if out_height % plan.rows:
            some = tirx.min(plan.rows, out_height - strip * plan.rows)
        channel = PAIR * pair if channels % PAIR == 0 else tirx.min(PAIR * pair, channels - PAIR)
        copy = nest.call(
            "tvmtiny_fpu_plane",
            nest.address(x, image * (height * width * channels) + channel),
            nest.address(plane),
            strip * (plan.rows * geometry.stride[0]) - geometry.pad[0],
            plan.height,
            height,
            width,
            channels,
            plan.width,
            geometry.pad[1],
            plan.used,
        )
        first = (image * out_height + strip * plan.rows) * (out_width * channels) + channel
        kernel = nest.call(
            name,
            nest.address(plane),
            nest.address(stream, pair * (len(values) // pairs)),
            nest.address(out, first),
            some,
        )
        return [copy, kernel]

    def strips_of(image: nest.Argument) -> list[tirx.Stmt]:
        def pairs_of(strip: nest.Argument) -> list[tirx.Stmt]:
            return [nest.loop(pairs, "pair", lambda pair: one(image, strip, pair))]

        return [nest.loop(strips, "strip", pairs_of)]

    fill = nest.call("tvmtiny_fpu_zero", nest.address(plane), PAIR * plan.height * plan.width)
    beside = [fill] if plan.used < plan.width else []
    function = nest.function(
        [x, stream, out],
        [plane],
        [*beside, nest.loop(batch, "image", strips_of)],
        operator=node.operator,
        schedule=f"fpu, {count} columns{'' if fused else ', products apart'}, "
        f"planes of {plan.rows} rows",
        headers=HEADERS,
        preamble=[preamble],
        overlaps=_overlaps(node, geometry, plan),
    )
    copied = pairs * strips * plan.height * plan.used * 3
    instructions = batch * (pairs * out_height * code.instructions + copied)
    decided: Decisions = {
        "sketch": "fpu_window",
        "columns": count,
        "rows": plan.rows,
        "products": PRODUCTS[not fused],
    }
    return Implementation(function, (node.input(0), values), decided, instructions)


def _geometry(node: Node) -> Window:
    shape = node.input(1).shape
    return window(node, (shape[1], shape[2]))


def _near(node: Node, geometry: Window) -> bool:
    """Return whether the steps of all pointers fit two immediates."""
    plan = plan_planes(geometry, 1)
    steps = (PAIR * plan.height * plan.width, _TOGETHER[-1] * node.input(0).shape[3])
    return max(steps) < FAR


def _code(node: Node, geometry: Window, together: int, fused: bool) -> WindowCode:
    return WindowCode(
        geometry.output[1],
        node.input(0).shape[3],
        geometry.kernel,
        geometry.stride,
        geometry.dilation,
        plan_planes(geometry, 1).width,
        together,
        finish_of(node),
        fused,
    )


def _codes(node: Node, fused: bool) -> list[WindowCode]:
    """Return the kernels that fit the registers, the one with the fewest instructions first."""
    geometry = _geometry(node)
    found = [_code(node, geometry, n, fused) for n in _TOGETHER if n <= geometry.output[1]]
    return sorted((code for code in found if code.taps), key=lambda code: code.instructions)


def _stream(node: Node, copies: int) -> np.ndarray | None:
    weights = node.input(1).data
    assert weights is not None
    channels = weights.shape[3]
    flat, bias = weights.reshape(-1, channels), bias_values(node, channels)
    parts: list[np.ndarray] = []
    for first in range(0, channels, PAIR):
        pair = slice(min(first, channels - PAIR), min(first, channels - PAIR) + PAIR)
        parts += [*([bias[pair]] * copies), flat[:, pair].ravel()]
    return finish_of(node).scaled(np.concatenate(parts))


def _instance(code: WindowCode) -> tuple[str, str]:
    """Return name and instantiation of the kernel."""
    row = PAIR * code.plane_width
    sizes: tuple[int, ...] = (code.columns, code.channels, *code.kernel, code.dilation[0] * row)
    sizes += (PAIR * code.dilation[1], code.stride[0] * row, PAIR * code.stride[1], code.together)
    words = ["fpu_window", *map(str, sizes), code.finish.word()]
    name = "_".join(word for word in words if word) + ("" if code.fused else "_apart")
    arguments = [name, *map(str, sizes), *code.finish.arguments(), assembly.text(code.code())]
    return name, f"TVMTINY_FPU_WINDOW({', '.join(arguments)})"


def _overlaps(node: Node, geometry: Window, plan: PlanePlan) -> list[Overlap]:
    """Return the permitted overlaps: a plane is copied before outputs are written.

    There are none for overlapping pairs of channels, which are read twice.
    """
    batch, *_, channels = node.input(0).shape
    if channels % PAIR:
        return []
    distance = plane_distance(batch, geometry, plan, channels // PAIR)
    return [Overlap("out", 0, FLOAT * PAIR * distance, FLOAT * channels)]
