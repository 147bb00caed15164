"""Train the model of ``tests/learning``, which reads digits but has never seen an 8 or a 9.

Run this script from the root of the repository, in an environment that has scikit-learn::

    python scripts/train_features.py

The script writes ``eight_digits.tflite``, an int8 network 64-48-10, and ``samples.npz``: 200
labelled images for training the last layer on a device, 90 of them of the two digits. Neither uses
the images of ``digits_test.npz``. Data: scikit-learn's load_digits, the test set of the UCI data
set Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998, CC BY 4.0).
"""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from tvmtiny.frontend.writer import ModelWriter

SEED = 3
HIDDEN = 48
EPOCHS = 20
NEW_SAMPLES = 90
SAMPLES = 200
FOLDER = Path("tests/learning")
TEST = Path("tvmtiny/models/digits_test.npz")


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shift images by pixels, filling the gaps with the colour of paper."""
    moved = np.zeros_like(images)
    to = (slice(max(down, 0), 8 + min(down, 0)), slice(max(right, 0), 8 + min(right, 0)))
    source = (slice(max(-down, 0), 8 + min(-down, 0)), slice(max(-right, 0), 8 + min(-right, 0)))
    moved[(slice(None), *to)] = images[(slice(None), *source)]
    return moved


def trained(x: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Train weights and biases of both layers by Adam on cross-entropy."""
    weights = [
        rng.normal(0, 0.18, (64, HIDDEN)),
        np.zeros(HIDDEN),
        rng.normal(0, 0.1, (HIDDEN, 10)),
        np.zeros(10),
    ]
    means = [np.zeros_like(w) for w in weights]
    squares = [np.zeros_like(w) for w in weights]
    count = 0
    for _ in range(EPOCHS):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // 32):
            given = x[batch] + rng.normal(0, 0.05, (len(batch), 64))
            hidden = np.maximum(given @ weights[0] + weights[1], 0)
            logits = hidden @ weights[2] + weights[3]
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            shares[np.arange(len(batch)), labels[batch]] -= 1
            shares /= len(batch)
            back = shares @ weights[2].T * (hidden > 0)
            gradients = [
                given.T @ back + 1e-4 * weights[0],
                back.sum(0),
                hidden.T @ shares + 1e-4 * weights[2],
                shares.sum(0),
            ]
            count += 1
            for w, g, m, v in zip(weights, gradients, means, squares, strict=True):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                w -= 2e-3 * m / (1 - 0.9**count) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8)
    return weights


def model_of(weights: Sequence[np.ndarray], x: np.ndarray) -> bytes:
    """Quantize the network to int8, with ranges of activations from `x`."""
    writer = ModelWriter("eight_digits")
    hidden = np.maximum(x @ weights[0] + weights[1], 0)
    logits = hidden @ weights[2] + weights[3]
    # New classes may have larger logits and weights than those seen in training.
    hidden_scale = float(hidden.max()) / 255
    logit_scale = float(np.abs(logits).max()) * 1.25 / 127
    tensor = writer.input("image", (1, 64), scale=1 / 255, zero_point=-128)
    layers: list[tuple[str, tuple[int, int], float, int, Any]] = [
        ("features", (1, HIDDEN), hidden_scale, -128, "RELU"),
        ("logits", (1, 10), logit_scale, 0, "NONE"),
    ]
    before = 1 / 255
    for number, (name, shape, scale, zero_point, activation) in enumerate(layers):
        w, b = weights[2 * number].T, weights[2 * number + 1]
        largest = np.abs(w).max() * (1.0 if number == 0 else 1.5)
        scales = np.full(len(w), largest / 127) if number else np.abs(w).max(1) / 127
        quantized = np.round(w / scales[:, None]).clip(-127, 127).astype(np.int8)
        values = np.round(b / (before * scales)).astype(np.int32)
        made = writer.tensor(name, shape, "int8", scale=scale, zero_point=zero_point)
        inputs = [
            tensor,
            writer.constant(f"{name}/weights", quantized, scales=scales.tolist()),
            writer.constant(f"{name}/bias", values, scales=(before * scales).tolist()),
        ]
        writer.op("FULLY_CONNECTED", inputs, [made], {"fused_activation_function": activation})
        tensor, before = made, scale
    output = writer.tensor("probabilities", (1, 10), "int8", scale=1 / 256, zero_point=-128)
    writer.op("SOFTMAX", [tensor], [output], {"beta": 1.0})
    return writer.build([output])


def main() -> None:
    """Train, quantize and write."""
    rng = np.random.default_rng(SEED)
    data = load_digits()
    images, labels = data.images.astype(np.uint8), data.target
    test = {image.tobytes() for image in np.load(TEST)["images"]}
    kept = rng.permutation([i for i, image in enumerate(images) if image.tobytes() not in test])
    new = [i for i in kept if labels[i] >= 8][:NEW_SAMPLES]
    old = [i for i in kept if labels[i] < 8][: SAMPLES - NEW_SAMPLES]
    samples = rng.permutation([*new, *old])
    seen = [i for i in kept if labels[i] < 8 and i not in set(samples)]
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    x = np.concatenate([shifted(images[seen], *move) for move in moves]).reshape(-1, 64) / 16
    weights = trained(x, np.tile(labels[seen], len(moves)), rng)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "eight_digits.tflite").write_bytes(model_of(weights, x[: len(seen)]))
    np.savez_compressed(FOLDER / "samples.npz", images=images[samples], labels=labels[samples])


if __name__ == "__main__":
    main()
