"""Samples in blocks of any length become events: generated C against the packages' own parts."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_runner import run_main
from small_networks import Network
from tflite_builder import ModelBuilder

import tvmtiny
from tests.sounds import micro_features, sound, speech
from tests.test_wake_words import MODELS
from tvmtiny.errors import InputError
from tvmtiny.ops.microfrontend import quantized_features
from tvmtiny.oracle import run_litert_frames
from tvmtiny.preprocessing import Detector
from tvmtiny.report.memory import memory_report
from tvmtiny.targets import find_board

_MAIN = """\
#include "{name}.h"
#include <stdio.h>
int main(void)
{{
  static int16_t block[{samples} + 1];
  uint32_t seed = 1u;
  if (tvmtiny_{name}_feed(NULL, 0u) != TVMTINY_ERROR_NULL) {{
    return 1;
  }}
  if (tvmtiny_{name}_feed(block, {samples}u + 1u) != TVMTINY_ERROR_BLOCK) {{
    return 2;
  }}
  for (int pass = 0; pass < 2; ++pass) {{
    FILE *const file = fopen("samples.bin", "rb");
    if (file == NULL) {{
      return 3;
    }}
    for (;;) {{
      uint32_t count = (seed >> 8) % ({samples}u + 1u);
      seed = seed * 1664525u + 1013904223u;
      count = (uint32_t)fread(block, 2, count, file);
      if (count == 0u && feof(file)) {{
        break;
      }}
      const uint32_t before = tvmtiny_{name}_decisions();
      const int32_t event = tvmtiny_{name}_feed(block, count);
      if (tvmtiny_{name}_decisions() != before) {{
        printf("%d %d\\n", (int)event, (int)tvmtiny_{name}_score(0u));
      }}
    }}
    tvmtiny_{name}_feed_reset();
    if (fclose(file) != 0 || tvmtiny_{name}_decisions() != 0u || tvmtiny_{name}_score(0u) != 0) {{
      return 4;
    }}
  }}
  return 0;
}}
"""


def _fed(artifact: tvmtiny.Artifact, samples: np.ndarray, directory: Path) -> list[tuple[int, int]]:
    """Event and score of each decision of C that gets blocks of many lengths, sent twice."""
    directory.mkdir(exist_ok=True)
    (directory / "samples.bin").write_bytes(samples.astype("<i2").tobytes())
    assert artifact.feed is not None
    main = _MAIN.format(name=artifact.name, samples=artifact.feed.feed.samples)
    lines = run_main(main, [artifact], directory).splitlines()
    found = [(int(event), int(score)) for event, score in (line.split() for line in lines)]
    half = len(found) // 2
    assert found[:half] == found[half:]
    return found[:half]


def _expected(model: tvmtiny.Model, rows: int, new: int, samples: np.ndarray) -> list[tuple]:
    """The same decisions by pymicro-features, LiteRT and the detector in Python."""
    feed, features = model.feed, micro_features(samples)
    assert feed is not None
    (x,), output = model.front.outputs, model.graph.outputs[0]
    shape = x.shape
    quantized = quantized_features(model.graph.nodes[0], features)
    silence = np.full((rows - new, 40), x.zero_point, np.int8)
    padded = np.concatenate([silence, quantized])
    starts = range(0, len(quantized) - new + 1, new)
    frames = [[padded[i : i + rows].reshape(shape)] for i in starts]
    detector, found = Detector(feed), []
    for values in run_litert_frames(model.content, frames):
        event = detector.event(values[output.index].reshape(-1).tolist())
        found.append((0 if event is None else 1 + event, detector.sums()[0]))
    return found


@pytest.mark.skipif("okay_nabu" not in MODELS, reason="pymicro-wakeword is not installed")
def test_wake_word(tmp_path: Path) -> None:
    """A synthetic voice says a wake word twice; both are detected, and nothing else is."""
    detection = tvmtiny.Detection(threshold=0.4, average=5, refractory_ms=900)
    model = tvmtiny.with_front_end(
        tvmtiny.load(MODELS["okay_nabu"]), tvmtiny.front_end("microfrontend"), detection=detection
    )
    spoken = speech("okay nabu. hello there. okay nabu")
    pause = np.zeros(16000, np.int16)
    noise = np.random.default_rng(0).normal(0, 10, len(spoken) + 2 * len(pause))
    quiet = np.concatenate([pause, spoken, pause]) * 0.6 + noise
    samples = quiet.astype(np.int16)
    got = _fed(tvmtiny.compile(model, "cortex-m4"), samples, tmp_path)
    assert got == _expected(model, 3, 3, samples)
    assert [event for event, _ in got if event] == [1, 1]


_ROWS, _CLASSES = 8, 4


@cache
def _sliding() -> bytes:
    """A dense layer over eight rows of features, with four outputs."""
    rng = np.random.default_rng(5)
    b = ModelBuilder()
    x = b.input("x", (1, _ROWS, 40, 1), "int8", scale=0.1, zero_point=-128)
    shape = b.constant("shape", np.array([1, _ROWS * 40], np.int32))
    flat = b.tensor("flat", (1, _ROWS * 40), "int8", scale=0.1, zero_point=-128)
    weights = rng.integers(-127, 128, (_CLASSES, _ROWS * 40)).astype(np.int8)
    w = b.constant("w", weights, scale=0.01)
    bias = b.constant("b", np.zeros(_CLASSES, np.int32), scale=0.001)
    y = b.tensor("y", (1, _CLASSES), "int8", scale=0.5, zero_point=3)
    b.op("RESHAPE", [x, shape], [flat], {"new_shape": [1, _ROWS * 40]})
    b.op("FULLY_CONNECTED", [flat, w, bias], [y], {})
    return b.build([y])


@pytest.mark.parametrize("stride", [1, 2])
def test_windows_that_slide(stride: int, tmp_path: Path) -> None:
    """Rows are kept for later windows; windows before the first samples contain silence."""
    detection = tvmtiny.Detection(threshold=1.5, average=3, refractory_ms=50, classes=(1, 3))
    front_end = tvmtiny.front_end("microfrontend")
    loaded = tvmtiny.load(_sliding(), name="sliding")
    model = tvmtiny.with_front_end(loaded, front_end, stride=stride, detection=detection)
    samples = np.concatenate([sound("sweep", 8000), sound("noise", 4000), sound("square", 8000)])
    got = _fed(tvmtiny.compile(model, "cortex-m4"), samples, tmp_path)
    assert got == _expected(model, _ROWS, stride, samples)
    assert {event for event, _ in got} == ({0, 2, 4} if stride == 1 else {0, 4})


def test_windows_that_slide_by_new_rows_only(tmp_path: Path) -> None:
    """Layers compute only their new rows, and the events are those of LiteRT's whole windows."""
    network = Network(9)
    x = network.input(1, _ROWS, 1, 40, scale=0.1)
    x = network.conv(network.depthwise(x, (3, 1), padding="VALID"), 8)
    x = network.conv(x, 8, (6, 1), padding="VALID")
    loaded = tvmtiny.load(network.build(network.dense(x, 2)), name="sliding")
    detection = tvmtiny.Detection(threshold=0.2, average=2, refractory_ms=40)
    front_end = tvmtiny.front_end("microfrontend")
    model = tvmtiny.with_front_end(loaded, front_end, detection=detection)
    samples = np.concatenate([sound("sweep", 8000), sound("noise", 4000)])
    artifact = tvmtiny.compile(model, "cortex-m4", stream="time")
    got = _fed(artifact, samples, tmp_path)
    assert got == _expected(model, _ROWS, 1, samples)
    assert {event for event, _ in got} == {0, 2}


def test_thresholds_are_exact() -> None:
    """The smallest sum whose mean is above the threshold, computed in real numbers."""
    output = tvmtiny.load(_sliding(), name="sliding").graph.outputs[0]
    for threshold, average in ((0.5, 1), (0.25, 4), (-1.0, 3), (63.0, 7)):
        least = tvmtiny.Detection(threshold, average).least_sum(output)
        means = [(total - 3 * average) * 0.5 / average for total in (least - 1, least)]
        assert means[0] <= threshold < means[1]


@pytest.mark.parametrize(
    ("detection", "message"),
    (
        (tvmtiny.Detection(), "name those that are events"),
        (tvmtiny.Detection(classes=(4,)), "no output 4 for an event"),
        (tvmtiny.Detection(classes=(1, 1)), "must be different"),
        (tvmtiny.Detection(classes=(1,), average=0), "average over 0 decisions"),
        (tvmtiny.Detection(classes=(1,), threshold=float("nan")), "not a number"),
        (tvmtiny.Detection(classes=(1,), refractory_ms=-1), "refractory time"),
    ),
)
def test_events_that_cannot_be(detection: tvmtiny.Detection, message: str) -> None:
    model = tvmtiny.load(_sliding(), name="sliding")
    with pytest.raises(InputError, match=message):
        tvmtiny.with_front_end(model, tvmtiny.front_end("microfrontend"), detection=detection)


def test_options_that_do_not_go_with_a_feed() -> None:
    detection = tvmtiny.Detection(classes=(1,))
    loaded = tvmtiny.load(_sliding(), name="sliding")
    model = tvmtiny.with_front_end(loaded, tvmtiny.front_end("microfrontend"), detection=detection)
    with pytest.raises(InputError, match="leave out --io external"):
        tvmtiny.compile(model, "cortex-m4", io="external")
    with pytest.raises(InputError, match="leave --stream time out"):
        tvmtiny.compile(model, "cortex-m4", stream="time")
    with pytest.raises(InputError, match="--step needs --frontend"):
        tvmtiny.apply_front_end(loaded, step="10ms")
    with pytest.raises(InputError, match="is not a duration"):
        tvmtiny.apply_front_end(loaded, frontend="microfrontend", step="ten")


def test_a_memory_report_of_a_feed() -> None:
    """Samples lie in the arena, so the report includes them in its plan."""
    detection = tvmtiny.Detection(classes=(1,))
    loaded = tvmtiny.load(_sliding(), name="sliding")
    model = tvmtiny.with_front_end(loaded, tvmtiny.front_end("microfrontend"), detection=detection)
    report = memory_report(model, find_board("mps2-an386"))
    assert report.external_arena_bytes == report.arena_bytes
    assert not any("external" in advice for advice in report.advice)
