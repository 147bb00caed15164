"""Train the models that ship in ``tvmtiny/models`` and measure them.

Run this script from the root of the repository, in a separate virtual environment::

    python -m venv build/train && build/train/bin/pip install -r scripts/train_requirements.txt
    build/train/bin/python scripts/train_models.py

No data is downloaded: ``digits`` uses the images that scikit-learn ships, and the other two models
use data synthesized here. Seeds are fixed and TensorFlow runs its deterministic kernels on one
thread, so a second run on the same machine gives the same figures and bytes. Another processor or
TensorFlow version may round floats differently, which may change the bytes and the last digit of a
figure. Every figure in ``models.toml`` is measured on the final int8 model with LiteRT's reference
kernels; a model that misses its bound is not written.
"""

# TensorFlow, Keras and tomli-w are not installed in the environment for type checks.
# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

# TensorFlow reads these variables when imported; oneDNN picks its summation order by processor.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
import tomli_w
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

SEED = 20
MAX_DIGITS_BYTES = 12 * 1024
MIN_DIGITS_ACCURACY = 0.96
HELD_OUT_IMAGES = 360
PIXEL_MAX = 16.0
TEMPERATURE_RANGE = (0.0, 50.0)
TEMPERATURE_THRESHOLD = 26.0
MAX_THRESHOLD_ERROR = 0.5
MAX_SINE_ERROR = 0.08


@dataclass(frozen=True)
class Trained:
    """A trained and quantized model.

    Attributes
    ----------
    flatbuffer : bytes
        The ``.tflite`` file.
    entry : dict
        Table of the model in ``models.toml``.
    extra_files : dict
        Additional files to write beside the model, by name.
    """

    flatbuffer: bytes
    entry: dict[str, Any]
    extra_files: dict[str, bytes]


class AlignedBuffer(schema.BufferT):  # type: ignore[misc,unused-ignore]
    """A TFLite buffer that honours the schema's ``force_align: 16``.

    The generated Python packer ignores that attribute and aligns to 4 bytes.
    """

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated name
        """Write the buffer and return its offset."""
        vector = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), 16)
            for byte in reversed(self.data):
                builder.PrependUint8(int(byte))
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def convert_int8(
    model: keras.Model,
    samples: np.ndarray,
    input_name: str,
    output_name: str,
    layer_names: Sequence[str],
    description: str,
) -> bytes:
    """Convert a Keras model to a full-integer int8 TFLite model of batch 1.

    Parameters
    ----------
    model : keras.Model
        The trained float model.
    samples : numpy.ndarray
        Representative inputs, float32, shape (N, ...).
    input_name, output_name : str
        Names of the input and the output tensor.
    layer_names : sequence of str
        One name for each operator, in execution order.
    description : str
        Description to store in the flatbuffer.

    Returns
    -------
    bytes
        The flatbuffer.

    Raises
    ------
    ValueError
        If the converter emits another number of operators than there are names.
    """
    # A static batch size keeps shape arithmetic out of the converted model.
    fixed = keras.models.clone_model(
        model, input_tensors=keras.Input(samples.shape[1:], batch_size=1)
    )
    fixed.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return tidy(converter.convert(), input_name, output_name, layer_names, description)


def tidy(
    flatbuffer: bytes,
    input_name: str,
    output_name: str,
    layer_names: Sequence[str],
    description: str,
) -> bytes:
    """Name the tensors after the layers, drop the converter's metadata and repack.

    The parameters are those of :func:`convert_int8`; the result has every buffer aligned to 16
    bytes. Raises ValueError if the number of operators and of names differ.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    graph = model.subgraphs[0]
    if len(graph.operators) != len(layer_names):
        raise ValueError(
            f"the converter emitted {len(graph.operators)} operators, "
            f"{len(layer_names)} names were given: {', '.join(layer_names)}"
        )
    tensors = graph.tensors
    for operator, layer in zip(graph.operators, layer_names, strict=True):
        tensors[operator.outputs[0]].name = layer
        # Every layer here that has weights has a bias too; RESHAPE alone takes one constant.
        roles = ("shape",) if len(operator.inputs) == 2 else ("weights", "bias")
        for index, role in zip(operator.inputs[1:], roles, strict=False):
            tensors[index].name = f"{layer}/{role}"
    tensors[graph.inputs[0]].name = input_name
    tensors[graph.outputs[0]].name = output_name
    graph.name = "main"
    for tensor in tensors:
        # Calibration ranges are informative only: no kernel reads them.
        if tensor.quantization is not None:
            tensor.quantization.min = None
            tensor.quantization.max = None

    model.description = description
    model.metadata = None
    model.metadataBuffer = None
    model.signatureDefs = None
    # Buffer 0 stands for "no data" and stays first; a tensor that holds no data points at it.
    buffers = [AlignedBuffer()]
    renumbered: dict[int, int] = {}
    for tensor in tensors:
        data = model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            tensor.buffer = 0
        else:
            if tensor.buffer not in renumbered:
                renumbered[tensor.buffer] = len(buffers)
                buffers.append(AlignedBuffer(data=data))
            tensor.buffer = renumbered[tensor.buffer]
    model.buffers = buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class ReferenceRunner:
    """Run an int8 model with LiteRT's reference kernels.

    Parameters
    ----------
    flatbuffer : bytes
        The model.
    """

    def __init__(self, flatbuffer: bytes) -> None:
        self._interpreter = Interpreter(
            model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def tensors(self) -> dict[str, Any]:
        """Return shape, scale and zero point of the input and the output, for ``models.toml``."""
        table: dict[str, Any] = {}
        for side, detail in (("input", self._input), ("output", self._output)):
            scale, zero_point = detail["quantization"]
            table[side] = {
                "name": detail["name"],
                "dtype": np.dtype(detail["dtype"]).name,
                "shape": [int(n) for n in detail["shape"]],
                "scale": float(scale),
                "zero_point": int(zero_point),
            }
        return table

    def run(self, values: np.ndarray) -> np.ndarray:
        """Return the real-valued outputs, shape (N, outputs), for real-valued inputs (N, ...)."""
        in_scale, in_zero = self._input["quantization"]
        out_scale, out_zero = self._output["quantization"]
        levels = np.round(values.astype(np.float64) / float(in_scale)) + in_zero
        rows = []
        for row in np.clip(levels, -128, 127).astype(np.int8):
            self._interpreter.set_tensor(self._input["index"], row[None])
            self._interpreter.invoke()
            rows.append(self._interpreter.get_tensor(self._output["index"])[0].astype(np.float64))
        result: np.ndarray = (np.stack(rows) - out_zero) * float(out_scale)
        return result


def entry(
    runner: ReferenceRunner, texts: dict[str, str], figures: dict[str, Any]
) -> dict[str, Any]:
    """Return the ``models.toml`` table of a model.

    Parameters
    ----------
    runner : ReferenceRunner
        The finished model.
    texts : dict
        Texts for people; ``input`` and ``output`` become the tensors' ``meaning``.
    figures : dict
        Measured figures.
    """
    tensors = runner.tensors()
    prose = dict(texts)
    for side in ("input", "output"):
        tensors[side]["meaning"] = prose.pop(side)
    return {**prose, "licence": "Apache-2.0", **figures, **tensors}


def train_temperature() -> Trained:
    """Train the classifier of one temperature: normal or high.

    Raises
    ------
    ValueError
        If the int8 model switches more than ``MAX_THRESHOLD_ERROR`` degrees Celsius off.
    """
    rng = np.random.default_rng(SEED)
    celsius = rng.uniform(*TEMPERATURE_RANGE, size=(4000, 1)).astype(np.float32)
    # Labels overlap by about a degree near the threshold, as people's verdicts would.
    high = celsius[:, 0] + rng.normal(0.0, 1.0, size=len(celsius)) > TEMPERATURE_THRESHOLD
    fit = LogisticRegression().fit(celsius - TEMPERATURE_THRESHOLD, high)
    slope = float(fit.coef_[0, 0])
    offset = float(fit.intercept_[0]) - slope * TEMPERATURE_THRESHOLD

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    model.set_weights([np.array([[slope]], np.float32), np.array([offset], np.float32)])
    samples = np.linspace(*TEMPERATURE_RANGE, 256, dtype=np.float32)[:, None]
    flatbuffer = convert_int8(
        model, samples, "temperature", "probability", ("logit", "sigmoid"), "tvmtiny temperature"
    )
    runner = ReferenceRunner(flatbuffer)
    grid = np.arange(*TEMPERATURE_RANGE, 0.05)[:, None]
    switches_at = float(grid[np.argmax(runner.run(grid)[:, 0] >= 0.5), 0])
    if abs(switches_at - TEMPERATURE_THRESHOLD) > MAX_THRESHOLD_ERROR:
        raise ValueError(
            f"temperature: the int8 model switches at {switches_at:.2f} degrees Celsius, allowed "
            f"is {TEMPERATURE_THRESHOLD} +- {MAX_THRESHOLD_ERROR}; widen the training data"
        )
    texts = {
        "description": "Logistic regression that tells a high temperature from a normal one",
        "input": "temperature in degrees Celsius, 0 to 50",
        "output": "probability that the temperature is high (above about 26 degrees Celsius)",
        "data_source": "4000 temperatures synthesized by scripts/train_models.py, labels blurred "
        "by 1 degree Celsius around 26",
        "training": "scikit-learn LogisticRegression, converted to int8 by TFLiteConverter",
    }
    return Trained(
        flatbuffer, entry(runner, texts, {"switches_at_celsius": round(switches_at, 2)}), {}
    )


def train_sine() -> Trained:
    """Train the dense network that computes sin(x) on [0, 2 pi].

    Raises
    ------
    ValueError
        If the int8 model is further than ``MAX_SINE_ERROR`` off anywhere.
    """
    keras.utils.set_random_seed(SEED)
    x = np.linspace(0.0, 2.0 * np.pi, 2048, dtype=np.float32)[:, None]
    normalize = np.float32(np.pi)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    epochs = 300
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * len(x) // 64)
    model.compile(keras.optimizers.Adam(rate), "mse")
    # The network learns on [-1, 1], which converges; its first layer then absorbs x / pi - 1.
    model.fit(x / normalize - 1, np.sin(x), batch_size=64, epochs=epochs, verbose=0)
    first, bias, *rest = model.get_weights()
    model.set_weights([first / normalize, bias - first[0], *rest])

    flatbuffer = convert_int8(
        model, x[::8], "x", "sine", ("dense1", "dense2", "dense3"), "tvmtiny sine"
    )
    runner = ReferenceRunner(flatbuffer)
    error = np.abs(runner.run(x) - np.sin(x))
    if error.max() > MAX_SINE_ERROR:
        raise ValueError(
            f"sine: the int8 model is {error.max():.4f} off, allowed is {MAX_SINE_ERROR}; "
            "train for more epochs"
        )
    figures = {
        "largest_error": round(float(error.max()), 4),
        "mean_error": round(float(error.mean()), 4),
    }
    texts = {
        "description": "Dense network (1-16-16-1, ReLU) that computes the sine of an angle",
        "input": "angle in radians, 0 to 2 pi",
        "output": "sine of the angle",
        "data_source": "2048 equidistant angles synthesized by scripts/train_models.py",
        "training": f"Keras, Adam, mean squared error, {epochs} epochs, "
        "converted to int8 by TFLiteConverter",
    }
    return Trained(flatbuffer, entry(runner, texts, figures), {})


def shifted(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (N, 8, 8, 1) with their copies shifted by one pixel in four directions."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    offsets = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    copies = [padded[:, top : top + 8, left : left + 8] for top, left in offsets]
    return np.concatenate(copies), np.tile(labels, len(offsets))


def train_digits() -> Trained:
    """Train the convolutional network for handwritten digits of 8x8 pixels.

    Raises
    ------
    ValueError
        If the int8 model is too large or too often wrong on the held-out images.
    """
    keras.utils.set_random_seed(SEED)
    digits = load_digits()
    images = digits.images[..., None].astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits.target, test_size=HELD_OUT_IMAGES, stratify=digits.target, random_state=SEED
    )
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="conv1"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise1"),
            layers.Conv2D(24, 1, activation="relu", name="pointwise1"),
            layers.MaxPooling2D(2, name="max_pool"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise2"),
            layers.Conv2D(32, 1, activation="relu", name="pointwise2"),
            layers.AveragePooling2D(2, name="average_pool"),
            layers.Reshape((2 * 2 * 32,), name="reshape"),
            layers.Dense(10, activation="softmax", name="dense"),
        ]
    )
    # The last layer's softmax is a separate operator.
    names = [*(layer.name for layer in model.layers), "softmax"]
    fit_x, fit_y = shifted(train_x / PIXEL_MAX, train_y)
    epochs = 40
    rate = keras.optimizers.schedules.CosineDecay(0.003, epochs * len(fit_x) // 64)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(fit_x, fit_y, batch_size=64, epochs=epochs, verbose=0)
    # The first layer absorbs the division, so that the model takes raw pixel values.
    first, *rest = model.get_weights()
    model.set_weights([first / PIXEL_MAX, *rest])

    flatbuffer = convert_int8(
        model, train_x[:400], "image", "probabilities", names, "tvmtiny digits"
    )
    runner = ReferenceRunner(flatbuffer)
    accuracy = float(np.mean(runner.run(test_x).argmax(axis=1) == test_y))
    if len(flatbuffer) > MAX_DIGITS_BYTES or accuracy < MIN_DIGITS_ACCURACY:
        raise ValueError(
            f"digits: {len(flatbuffer)} bytes and accuracy {accuracy:.4f}; allowed are "
            f"{MAX_DIGITS_BYTES} bytes and at least {MIN_DIGITS_ACCURACY}; change the layers"
        )
    test_file = BytesIO()
    np.savez_compressed(
        test_file, images=test_x[..., 0].astype(np.uint8), labels=test_y.astype(np.int64)
    )
    figures = {
        "held_out_images": HELD_OUT_IMAGES,
        "held_out_accuracy": round(accuracy, 4),
        "test_file": "digits_test.npz",
    }
    texts = {
        "description": "Convolutional network that reads a handwritten digit of 8x8 pixels",
        "input": "image of 8x8 pixels, 0 (paper) to 16 (ink)",
        "output": "probability of each digit, 0 to 9",
        "data_source": "scikit-learn's load_digits: the test set of the UCI data set Optical "
        "Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998, CC BY 4.0)",
        "training": f"Keras, Adam, cross-entropy, {epochs} epochs on the {len(train_x)} other "
        "images and their copies shifted by one pixel, converted to int8 by TFLiteConverter",
    }
    return Trained(
        flatbuffer, entry(runner, texts, figures), {"digits_test.npz": test_file.getvalue()}
    )


TRAINERS: dict[str, Callable[[], Trained]] = {
    "temperature": train_temperature,
    "sine": train_sine,
    "digits": train_digits,
}


def write_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as handle:
        handle.write(content)
    Path(handle.name).chmod(0o644)
    Path(handle.name).replace(path)


def main() -> None:
    """Train every model, then write all files."""
    parser = argparse.ArgumentParser(description="Train the models that ship with tvmtiny.")
    default = Path(__file__).resolve().parent.parent / "tvmtiny" / "models"
    parser.add_argument("--output", type=Path, default=default, help="folder to write to")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    files: dict[str, bytes] = {}
    table: dict[str, Any] = {}
    for name, train in TRAINERS.items():
        trained = train()
        files[f"{name}.tflite"] = trained.flatbuffer
        files.update(trained.extra_files)
        table[name] = {
            "file": f"{name}.tflite",
            "file_bytes": len(trained.flatbuffer),
            **trained.entry,
        }
        print(name, {k: v for k, v in table[name].items() if isinstance(v, int | float)})
    header = "# Written by scripts/train_models.py, which measured every figure. Do not edit.\n\n"
    files["models.toml"] = (header + tomli_w.dumps(table)).encode()
    for file_name, content in files.items():
        write_file(folder / file_name, content)


if __name__ == "__main__":
    main()
