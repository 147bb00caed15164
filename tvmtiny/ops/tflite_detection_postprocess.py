"""TFLite_Detection_PostProcess, the last operator of detectors such as SSD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

import numpy as np

from tvmtiny.ops.shared.block import parts, results, with_block
from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall

#: Scales of the encodings, in the order of the coordinates; thresholds of scores and overlaps.
_SCALES = ("y_scale", "x_scale", "h_scale", "w_scale")
_THRESHOLDS = ("nms_score_threshold", "nms_iou_threshold")
#: Default number of boxes that are selected for each class.
_EACH = 100


@register
class DetectionPostProcess(Operator):
    """The best boxes of a detector that overlap no better ones, with their classes and scores.

    Encodings are relative to anchors, which are constants. Regular suppression considers each class
    on its own. Fast suppression first assigns each box its best class; only one class for each box
    (``max_classes_per_detection``) is supported, because LiteRT writes further ones beyond the end
    of its outputs. Outputs that are not filled with boxes are zeros; LiteRT leaves them unchanged
    in fast suppression.
    """

    name = "CUSTOM:TFLite_Detection_PostProcess"
    input_count = 3
    output_count = None
    dtypes = ("float32", "uint8")
    result = "float32"
    in_block = True
    exactness = "within rounding of exp, both oracles"

    def check_node(self, node: Node) -> Iterator[Problem]:
        outputs = results(node)
        code, classes, anchors = (node.input(i) for i in range(3))
        if len(outputs) != 4:
            yield Problem(f"{len(outputs)} outputs", "4 outputs")
            return
        if len({t.dtype for t in (code, classes, anchors)}) != 1:
            yield Problem("inputs of several dtypes", "three of float32, or of uint8")
            return
        if anchors.data is None:
            yield Problem("anchors computed at run time", "constant anchors")
        if code.dtype == "uint8":
            yield from (p for t in (code, classes, anchors) for p in check_scale(t))
        yield from _check_options(node)
        yield from _check_shapes(node)

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        code, classes = node.input(0), node.input(1)
        boxes, most, each = code.shape[1], _option(node, "max_detections"), _each(node)
        call = RuntimeCall(
            f"tvmtiny_detection_{code.dtype}",
            (code, classes, _anchors(node), _numbers(node)),
            (
                boxes,
                code.shape[2],
                _option(node, "num_classes"),
                classes.shape[2],
                most,
                each,
                int(_is_regular(node)),
            ),
            ("tvmtiny_detection.h",),
            (
                (4 * boxes, "float32"),
                (boxes, "float32"),
                (boxes, "int32"),
                (2 * most, "int32"),
                (most, "float32"),
            ),
        )
        return (call, *parts(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        code, classes = (_real(node, i, inputs[i])[0] for i in range(2))
        numbers, count = _numbers(node), _option(node, "num_classes")
        boxes = _decoded(code[:, :4], _anchors(node), numbers)
        classes = classes[:, classes.shape[1] - count :]
        most, each = _option(node, "max_detections"), _each(node)
        found: list[tuple[float, int, int]] = []
        if _is_regular(node):
            for label in range(count):
                chosen = _selected(boxes, classes[:, label], numbers, each)
                found += [(float(classes[box, label]), box, label) for box in chosen]
                # The sort is stable, so equal scores stay in the order of classes.
                found = sorted(found, key=lambda entry: -entry[0])[:most]
        else:
            labels = classes.argmax(axis=1)
            for box in _selected(boxes, classes.max(axis=1), numbers, each):
                found.append((float(classes[box, labels[box]]), box, int(labels[box])))
        placed = np.zeros((1, most, 4), np.float32)
        marks = np.zeros((2, 1, most), np.float32)
        for i, (score, box, label) in enumerate(found):
            placed[0, i], marks[0, 0, i], marks[1, 0, i] = boxes[box], label, score
        total = np.array([len(found)], np.float32)
        shaped = [
            value.reshape(tensor.shape)
            for value, tensor in zip((placed, *marks, total), results(node), strict=True)
        ]
        return with_block(node, shaped)


def _check_options(node: Node) -> Iterator[Problem]:
    for name in (*_SCALES, *_THRESHOLDS):
        value = node.options.get(name)
        if not isinstance(value, int | float) or not isfinite(value):
            yield Problem(f"the option {name} is {value}", "a number")
            return
    if any(float(node.options[name]) == 0 for name in _SCALES):
        yield Problem("a scale of the encodings is 0", "scales that are not 0")
    if not 0 < float(node.options["nms_iou_threshold"]) <= 1:
        yield Problem(f"an overlap threshold of {node.options['nms_iou_threshold']}", "0 to 1")
    for name in ("max_detections", "num_classes"):
        if not 1 <= _option(node, name) <= 1 << 16:
            yield Problem(f"the option {name} is {node.options.get(name)}", "1 to 65,536")
    if _is_regular(node):
        if _each(node) < 1:
            yield Problem("no detections per class", "at least one")
    elif _option(node, "max_classes_per_detection") != 1:
        yield Problem(
            f"{_option(node, 'max_classes_per_detection')} classes per detection in fast "
            "suppression, which LiteRT writes beyond the end of its outputs",
            "one, or regular suppression (use_regular_nms)",
        )


def _check_shapes(node: Node) -> Iterator[Problem]:
    code, classes, anchors = (node.input(i).shape for i in range(3))
    count, most = _option(node, "num_classes"), _option(node, "max_detections")
    if len(code) != 3 or len(classes) != 3 or code[0] != 1 or classes[:2] != code[:2]:
        yield Problem(f"boxes {list(code)} with classes {list(classes)}", "one batch in both")
    elif code[2] < 4 or anchors != (code[1], 4):
        yield Problem(f"boxes {list(code)} at anchors {list(anchors)}", "four numbers for each box")
    elif classes[2] - count not in (0, 1):
        yield Problem(
            f"{classes[2]} scores for {count} classes",
            "one score per class and one for the background",
        )
    sizes = tuple(tensor.elements for tensor in results(node))
    if sizes != (4 * most, most, most, 1):
        yield Problem(
            f"outputs of {', '.join(map(str, sizes))} elements", f"{4 * most}, {most}, {most}, 1"
        )


def _option(node: Node, name: str) -> int:
    value = node.options.get(name, 0)
    return int(value) if isinstance(value, int | float) else 0


def _is_regular(node: Node) -> bool:
    return bool(node.options.get("use_regular_nms"))


def _each(node: Node) -> int:
    """Return the number of boxes that a round of suppression selects."""
    most = _option(node, "max_detections")
    if not _is_regular(node):
        return most
    each = node.options.get("detections_per_class")
    return min(_EACH if each is None else int(each), most)


def _numbers(node: Node) -> np.ndarray:
    """Return ``struct tvmtiny_detection_numbers``."""
    values = [float(node.options[name]) for name in (*_THRESHOLDS, *_SCALES)]
    for tensor in (node.input(0), node.input(1)):
        quantized = tensor.dtype == "uint8"
        values += [tensor.scale, tensor.zero_point] if quantized else [1.0, 0.0]
    return np.array(values, np.float32)


def _anchors(node: Node) -> np.ndarray:
    anchors = node.input(2)
    assert anchors.data is not None
    return _real(node, 2, anchors.data)


def _real(node: Node, position: int, values: np.ndarray) -> np.ndarray:
    """Return the real numbers of quantized values, in single precision."""
    tensor = node.input(position)
    if tensor.dtype != "uint8":
        return values
    zero = np.float32(tensor.zero_point)
    return (values.astype(np.float32) - zero) * np.float32(tensor.scale)


def _decoded(code: np.ndarray, anchors: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return bottom, left, top and right of each box, ``(boxes, 4)``, from double precision."""
    wide, anchor, scales = (a.astype(np.float64) for a in (code, anchors, numbers[2:6]))
    centre = (wide[:, :2] / scales[:2] * anchor[:, 2:] + anchor[:, :2]).astype(np.float32)
    half = (0.5 * np.exp(wide[:, 2:] / scales[2:]) * anchor[:, 2:]).astype(np.float32)
    return np.concatenate([centre - half, centre + half], axis=1)


def _selected(boxes: np.ndarray, scores: np.ndarray, numbers: np.ndarray, most: int) -> list[int]:
    """Return the boxes that overlap no box with a higher score too much, the best first."""
    threshold, overlap = numbers[:2]
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= threshold]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    chosen: list[int] = []
    for i in order:
        if len(chosen) == most:
            break
        others = boxes[chosen]
        sides = np.minimum(others[:, 2:], boxes[i, 2:]) - np.maximum(others[:, :2], boxes[i, :2])
        common = np.maximum(sides, np.float32(0)).prod(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = common / (areas[chosen] + areas[i] - common)
        shares = np.where((areas[chosen] <= 0) | (areas[i] <= 0), np.float32(0), shares)
        if not (shares > overlap).any():
            chosen.append(int(i))
    return chosen
