"""TFLM's signal library: its audio preprocessor, and every operator of its own, in one model each.

The oracle is the package tflite-micro, which has TFLM's own kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from host_runner import run_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tests.sounds import sound
from tests.tools import on_qemu
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.ops import operators
from tvmtiny.ops.shared.signal.microfrontend import Microfrontend, MicrofrontendSettings

#: TFLite's number for int16, an option of some of the operators.
_INT16 = 7
_FRAMES = 12


def _op(
    b: ModelBuilder,
    name: str,
    inputs: Sequence[int],
    outputs: Sequence[tuple[tuple[int, ...], str]],
    **options: Any,
) -> list[int]:
    made = [b.tensor(f"{name}_{len(b._tensors)}", shape, dtype) for shape, dtype in outputs]
    content = flexbuffers.Dumps(dict(sorted(options.items())))
    b.op(f"CUSTOM:Signal{name}", list(inputs), made, custom_options=bytes(content))
    return made


@cache
def _preprocessor() -> bytes:
    """The graph of TFLM's audio preprocessor, up to its logarithms."""
    front = Microfrontend(MicrofrontendSettings())
    bank, bins = front.filterbank, 257
    b = ModelBuilder()
    x = b.input("x", (1, 480), "int16")
    (windowed,) = _op(
        b,
        "Window",
        [x, b.constant("window", front.coefficients)],
        [((1, 480), "int16")],
        shift=12,
    )
    flat = b.tensor("flat", (480,), "int16")
    b.op("RESHAPE", [windowed, b.constant("shape", np.array([480], np.int32))], [flat], {})
    shifted, bits = _op(b, "FftAutoScale", [flat], [((480,), "int16"), ((), "int32")])
    (spectrum,) = _op(b, "Rfft", [shifted], [((2 * bins,), "int16")], T=_INT16, fft_length=512)
    begin, end = bank.bins
    (energy,) = _op(
        b, "Energy", [spectrum], [((bins,), "uint32")], start_index=begin, end_index=end
    )
    starts = bank.starts
    tables = (
        bank.weights,
        bank.unweights,
        starts[:-1],
        starts[:-1] - begin,
        np.diff(starts),
    )
    constants = [b.constant(f"table{i}", t.astype(np.int16)) for i, t in enumerate(tables)]
    (sums,) = _op(b, "FilterBank", [energy, *constants], [((40,), "uint64")], num_channels=40)
    (roots,) = _op(b, "FilterBankSquareRoot", [sums, bits], [((40,), "uint32")])
    left, noise = _op(
        b,
        "FilterBankSpectralSubtraction",
        [roots],
        [((40,), "uint32")] * 2,
        num_channels=40,
        smoothing=409,
        one_minus_smoothing=16384 - 409,
        alternate_smoothing=983,
        alternate_one_minus_smoothing=16384 - 983,
        min_signal_remaining=819,
        smoothing_bits=10,
        spectral_subtraction_bits=14,
        clamping=False,
    )
    gains = b.constant("gains", front.gain_table[:125])
    (gained,) = _op(b, "PCAN", [left, noise, gains], [((40,), "uint32")], snr_shift=6)
    (logs,) = _op(
        b,
        "FilterBankLog",
        [gained],
        [((40,), "int16")],
        output_scale=64,
        input_correction_bits=3,
    )
    return b.build([logs])


@cache
def _others() -> bytes:
    """Operators that the preprocessor lacks, side by side; clamped noise, inverse transforms."""
    b = ModelBuilder()
    outputs = []
    x = b.input("x", (2, 32), "int16")
    outputs += _op(b, "Delay", [x], [((2, 32), "int16")], delay_length=20)
    outputs += _op(b, "Delay", [x], [((2, 32), "int16")], delay_length=50)
    framed, valid = _op(
        b,
        "Framer",
        [x],
        [((2, 4, 20), "int16"), ((), "bool")],
        frame_size=20,
        frame_step=8,
        prefill=False,
    )
    outputs += [framed, valid]
    outputs += _op(
        b,
        "Framer",
        [x],
        [((2, 2, 24), "int16"), ((), "bool")],
        frame_size=24,
        frame_step=16,
        prefill=True,
    )
    # The rest of an incomplete frame is undefined.
    shape = b.constant("shape", np.array([2, 2, 16], np.int32))
    parts = b.tensor("parts", (2, 2, 16), "int16")
    b.op("RESHAPE", [x, shape], [parts], {})
    outputs += _op(b, "OverlapAdd", [parts], [((2, 12), "int16")], T=_INT16, frame_step=6)
    (spectra,) = _op(b, "Rfft", [x], [((2, 66), "int16")], T=_INT16, fft_length=64)
    outputs.append(spectra)
    outputs += _op(b, "Irfft", [spectra], [((2, 64), "int16")], T=_INT16, fft_length=64)
    (short,) = _op(b, "Rfft", [x], [((2, 34), "int16")], T=_INT16, fft_length=32)
    outputs.append(short)
    outputs += _op(b, "Irfft", [short], [((2, 32), "int16")], T=_INT16, fft_length=32)
    row = b.input("row", (6,), "int16")
    for left, right, step in ((2, 1, 2), (0, 2, 1), (3, 0, 4)):
        size = 6 * (left + right + 1)
        outputs += _op(
            b,
            "Stacker",
            [row],
            [((size,), "int16"), ((), "bool")],
            num_channels=6,
            stacker_left_context=left,
            stacker_right_context=right,
            stacker_step=step,
        )
    (energy,) = _op(b, "Energy", [row], [((3,), "uint32")], start_index=0, end_index=3)
    signed, unsigned = b.tensor("signed", (3,), "int32"), b.tensor("unsigned", (3,), "uint32")
    b.op("CAST", [energy], [signed], {})
    b.op("CAST", [signed], [unsigned], {})
    outputs += [signed, unsigned]
    outputs += _op(
        b,
        "FilterBankSpectralSubtraction",
        [energy],
        [((3,), "uint32")] * 2,
        num_channels=3,
        smoothing=500,
        one_minus_smoothing=15000,
        alternate_smoothing=3000,
        alternate_one_minus_smoothing=16000,
        min_signal_remaining=100,
        smoothing_bits=2,
        spectral_subtraction_bits=14,
        clamping=True,
    )
    return b.build(outputs)


def _inputs(name: str) -> list[list[np.ndarray]]:
    if name == "preprocessor":
        parts = [sound(kind, 480 + 320 * 9) for kind in ("noise", "sweep", "square", "silence")]
        cut = [part[i * 320 :][:480] for part in parts for i in range(10)]
        return [[frame.reshape(1, 480)] for frame in (*cut, np.full(480, -32768, np.int16))]
    rng = np.random.default_rng(2)
    wide = rng.integers(-32768, 32768, (_FRAMES, 70)).astype(np.int16)
    wide[3], wide[4], wide[7] = -32768, 32767, 0
    wide[9:] //= 500
    return [[row[:64].reshape(2, 32), row[64:]] for row in wide]


_MODELS = {"preprocessor": _preprocessor, "others": _others}


@cache
def _model(name: str) -> tvmtiny.Model:
    return tvmtiny.load(_MODELS[name](), name=name)


def _references(model: tvmtiny.Model, frames: list[list[np.ndarray]]) -> list[Mapping[int, Any]]:
    states, found = None, []
    for inputs in frames:
        values = model.reference(inputs, states)
        states = [values[state.after.index] for state in model.graph.states]
        found.append(values)
    return found


def test_every_operator_is_here() -> None:
    used = {n.operator for name in _MODELS for n in _model(name).graph.nodes}
    every = {o.name for o in operators() if o.name.startswith("CUSTOM:Signal")}
    assert every <= used


@pytest.mark.parametrize("name", _MODELS)
def test_numpy_reference(name: str) -> None:
    reason = "the package tflite-micro is not installed"
    package = pytest.importorskip("tflite_micro.python.tflite_micro", reason=reason)
    model, frames = _model(name), _inputs(name)
    interpreter = package.runtime.Interpreter.from_bytes(model.content)
    valid = {t.index for t in model.graph.outputs if t.dtype == "bool"}
    for number, (inputs, values) in enumerate(zip(frames, _references(model, frames), strict=True)):
        for position, data in enumerate(inputs):
            interpreter.set_input(data, position)
        interpreter.invoke()
        whole = True
        for position, tensor in reversed([*enumerate(model.graph.outputs)]):
            expected = interpreter.get_output(position)
            if tensor.index in valid:
                whole = bool(np.all(expected))
            # TFLM defines no value for incomplete frames.
            if whole or tensor.index in valid:
                message = f"{tensor.name} of frame {number}"
                np.testing.assert_array_equal(values[tensor.index], expected, message)
            if tensor.index not in valid:
                whole = True


@pytest.mark.parametrize("name", _MODELS)
def test_c_on_host(name: str, tmp_path: Path) -> None:
    model, frames = _model(name), _inputs(name)
    results = run_on_host(tvmtiny.compile(model, "cortex-m4"), frames, tmp_path, successive=True)
    for result, values in zip(results, _references(model, frames), strict=True):
        for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, values[tensor.index], tensor.name)


@on_qemu
def test_on_a_board() -> None:
    model = _model("preprocessor")
    artifact = tvmtiny.compile(model, "mps2-an386")
    inputs = _inputs("preprocessor")[5]
    result = tvmtiny.run(artifact, *inputs)
    expected = model.reference(inputs)
    np.testing.assert_array_equal(result.outputs[0].data, expected[model.graph.outputs[0].index])


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"delay_length": 0}, "the option delay_length is 0"),
        ({}, "the option delay_length is None"),
        ({"delay_length": 1 << 20}, "the option delay_length is 1048576"),
    ),
)
def test_options_that_cannot_be(options: dict[str, int], message: str) -> None:
    b = ModelBuilder()
    x = b.input("x", (2, 32), "int16")
    (y,) = _op(b, "Delay", [x], [((2, 32), "int16")], **options)
    with pytest.raises(UnsupportedModelError, match=message):
        tvmtiny.load(b.build([y]), name="delay")


def test_shapes_that_do_not_fit() -> None:
    b = ModelBuilder()
    x = b.input("x", (30,), "int16")
    (y,) = _op(b, "Rfft", [x], [((30,), "int16")], T=_INT16, fft_length=32)
    with pytest.raises(UnsupportedModelError, match="frames of at most 32 samples to 34 numbers"):
        tvmtiny.load(b.build([y]), name="rfft")
