"""TFLite_Detection_PostProcess against LiteRT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from tests.tflite_builder import ModelBuilder
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import find_operator

OPERATOR = "CUSTOM:TFLite_Detection_PostProcess"
FAMILY = "rows"
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Detection:
    """One operator."""

    boxes: int = 30
    classes: int = 3
    background: int = 1
    most: int = 5
    each: int | None = None
    regular: bool = False
    threshold: float = 0.1
    overlap: float = 0.4
    dtype: str = "float32"
    seed: int = 0

    def model(self) -> bytes:
        return self._model

    @cached_property
    def _model(self) -> bytes:
        rng = np.random.default_rng(self.seed)
        b = ModelBuilder()
        quantized = self.dtype == "uint8"
        anchors = rng.uniform(0.2, 0.8, (self.boxes, 4)).astype(np.float32)
        keywords: list[dict[str, Any]] = [{}] * 3
        if quantized:
            keywords = [
                {"scale": scale, "zero_point": zero}
                for scale, zero in ((0.06, 130), (1 / 256, 0), (1 / 256, 3))
            ]
            anchors = np.clip(anchors * 256 + 3, 60, 255).astype(np.uint8)
        code = b.input("code", (1, self.boxes, 4), self.dtype, **keywords[0])
        width = self.classes + self.background
        classes = b.input("classes", (1, self.boxes, width), self.dtype, **keywords[1])
        operands = [code, classes, b.constant("anchors", anchors, **keywords[2])]
        shapes = ((1, self.most, 4), (1, self.most), (1, self.most), (1,))
        outputs = [b.tensor(f"y{i}", shape, "float32") for i, shape in enumerate(shapes)]
        options: dict[str, Any] = {
            "max_detections": self.most,
            "max_classes_per_detection": 1,
            "num_classes": self.classes,
            "nms_score_threshold": self.threshold,
            "nms_iou_threshold": self.overlap,
            "y_scale": 10.0,
            "x_scale": 10.0,
            "h_scale": 5.0,
            "w_scale": 5.0,
            "use_regular_nms": self.regular,
        }
        if self.each is not None:
            options["detections_per_class"] = self.each
        content = bytes(flexbuffers.Dumps(dict(sorted(options.items()))))
        b.op(OPERATOR, operands, outputs, custom_options=content)
        return b.build(outputs)

    def limits(self) -> dict[str, tuple[float, float]]:
        if self.dtype == "uint8":
            return {"code": (90, 170), "classes": (30, 255)}
        return {"code": (-4, 4), "classes": (0.2, 1)}


# All outputs are filled: LiteRT leaves the rest unchanged where it takes a shortcut.
CASES = {
    "fast": Detection(most=3),
    "fast_one_class": Detection(classes=1, background=0, most=2),
    "regular": Detection(regular=True, most=12),
    "regular_few": Detection(regular=True, most=8, each=2, threshold=0.9),
    "regular_many_classes": Detection(boxes=12, classes=7, regular=True, background=0),
    "uint8": Detection(dtype="uint8", most=2),
    "uint8_regular": Detection(dtype="uint8", regular=True, each=3),
}


def test_what_is_not_supported_is_said() -> None:
    node = read_graph(Detection().model(), "m").nodes[0]
    operator = find_operator(OPERATOR)
    assert operator is not None and not list(operator.check(node))

    def with_options(**options: object) -> object:
        return replace(node, options={**node.options, **options})

    odd = [
        (with_options(max_classes_per_detection=2), "2 classes per detection in fast"),
        (with_options(nms_iou_threshold=1.5), "an overlap threshold of 1.5"),
        (with_options(y_scale=0.0), "a scale of the encodings is 0"),
        (with_options(h_scale=None), "the option h_scale is None"),
        (with_options(num_classes=9), "4 scores for 9 classes"),
        (with_options(max_detections=7), "outputs of 20, 5, 5, 1 elements"),
        (with_options(use_regular_nms=True, detections_per_class=0), "no detections per class"),
        (replace(node, outputs=node.outputs[:2]), "2 outputs"),
        (replace(node, inputs=(*node.inputs[:2], node.inputs[0])), "anchors computed"),
    ]
    for changed, reason in odd:
        reasons = [p.reason for p in operator.check(changed)]
        assert any(reason in text for text in reasons), (reason, reasons)
