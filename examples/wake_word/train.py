"""Train a spotter of two words on a synthetic voice, for use in generated C.

espeak-ng generates all speech, in many voices, speeds and pitches, with background noise. The
example shows how the parts fit together, not how accurate a network of this size is for human
speakers. The network has one hidden layer over 49 rows of features; it is trained with numpy and
written as an int8 .tflite file.

Usage: python train.py FOLDER. The script writes spotter.tflite, test.wav and truth.json there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from tvmtiny.frontend.writer import ModelWriter
from tvmtiny.ops.shared.signal.microfrontend import Microfrontend, MicrofrontendSettings

RATE = 16000
ROWS, FEATURES, HIDDEN = 49, 40, 24
STEP = 160
WORDS = ("marvin", "sheila")
OTHERS = ("hello", "window", "seven", "yellow", "garden", "morning", "listen", "paper")
#: Output classes: the two words and everything else.
CLASSES = 1 + len(WORDS)
_SCALE = 0.1


def main() -> None:
    """Train, write the model and a test recording, and print the accuracy of the network alone."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed: it makes the speech")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    x, y = windows(rng, voices(0), 2)
    weights = train(rng, x, y)
    content = quantized(weights, x)
    (folder / "spotter.tflite").write_bytes(content)
    x, y = windows(np.random.default_rng(8), voices(1), 1)
    scores = forward(weights, x)[1]
    print(f"windows of voices not heard before: {np.mean(scores.argmax(1) == y):.1%} right")
    samples, truth = recording(np.random.default_rng(9))
    with wave.open(str(folder / "test.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    spoken = ", ".join(f"{word['word']} at {word['end']:.1f} s" for word in truth)
    print(f"test.wav has {len(samples) / RATE:.0f} s with {spoken}")


def voices(part: int) -> list[tuple[str, int, int]]:
    """List voices, words per minute and pitches: part 0 is for training, part 1 for the test."""
    kinds = ("en-us", "en-gb", "en-us+f3", "en-gb+m3", "en-us+m5", "en-gb+f2")
    speeds, pitches = ((120, 150, 180), (35, 65)) if part == 0 else ((135, 165), (40, 60))
    return [(kind, speed, pitch) for kind in kinds for speed in speeds for pitch in pitches]


def say(text: str, voice: tuple[str, int, int]) -> np.ndarray:
    """Speak a word at 16 kHz and cut off the silence around it; returns float64."""
    kind, speed, pitch = voice
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "word.wav")
        command = ["espeak-ng", "-v", kind, "-s", str(speed), "-p", str(pitch), "-w", str(path)]
        subprocess.run([*command, text], check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            spoken = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    places = np.arange(int(len(spoken) * RATE / rate)) * (rate / RATE)
    resampled = np.interp(places, np.arange(len(spoken)), spoken)
    loud = np.nonzero(np.abs(resampled) > 300)[0]
    return resampled[loud[0] : loud[-1] + 1] if len(loud) else resampled


def features(samples: np.ndarray) -> np.ndarray:
    """Compute rows of features as real numbers, as the front end in C does."""
    front = Microfrontend(MicrofrontendSettings())
    found, _ = front.features(samples.astype(np.int16), np.zeros(FEATURES, np.uint32))
    return found * (10 / 256)


def windows(
    rng: np.random.Generator, speakers: list[tuple[str, int, int]], repeats: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut windows that end near the end of a word; some hold other words and some hold noise."""
    x, y = [], []
    for voice in speakers:
        for label, word in enumerate((*WORDS, *rng.permutation(OTHERS)[:4])):
            spoken = say(str(word), voice)
            for _ in range(repeats):
                around = noise(rng, 9 * RATE // 4)
                end = 3 * RATE // 2
                around[end - len(spoken) : end] += spoken * rng.uniform(0.3, 1.2)
                rows = features(np.clip(around, -32768, 32767))
                last = end // STEP - 2
                for shift in rng.integers(-1, 9, 2):
                    x.append(rows[last + shift - ROWS : last + shift])
                    y.append(1 + label if label < len(WORDS) else 0)
                # The same word, half spoken or too long ago, does not count as the word.
                for shift in (-rng.integers(22, 30), rng.integers(28, 60)):
                    x.append(rows[last + shift - ROWS : last + shift])
                    y.append(0)
    return np.array(x).reshape(len(x), -1), np.array(y)


def noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Generate noise of a random color and amplitude."""
    white = rng.normal(0, 1, count)
    smooth = np.convolve(white, np.ones(8) / 8, "same")
    return (white + rng.uniform(0, 6) * smooth) * rng.uniform(5, 150)


def forward(weights: list[np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute hidden values and outputs."""
    hidden = np.maximum(x / 10 @ weights[0] + weights[1], 0)
    return hidden, hidden @ weights[2] + weights[3]


def train(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Train weights and biases of both layers with Adam on the cross entropy."""
    shapes = [(x.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,)]
    weights = [rng.normal(0, 1, s) / np.sqrt(s[0]) if len(s) == 2 else np.zeros(s) for s in shapes]
    moments = [[np.zeros(s), np.zeros(s)] for s in shapes]
    share = np.bincount(y, minlength=CLASSES) / len(y)
    step = 0
    for _ in range(30):
        for batch in np.array_split(rng.permutation(len(x)), max(1, len(x) // 64)):
            given, step = x[batch] + rng.normal(0, 0.5, x[batch].shape), step + 1
            hidden, out = forward(weights, given)
            exp = np.exp(out - out.max(axis=1, keepdims=True))
            slope = exp / exp.sum(axis=1, keepdims=True)
            slope[np.arange(len(batch)), y[batch]] -= 1
            slope /= (share[y[batch]] * CLASSES * len(batch))[:, None]
            inner = (slope @ weights[2].T) * (hidden > 0)
            slopes = [given.T / 10 @ inner, inner.sum(0), hidden.T @ slope, slope.sum(0)]
            for i, gradient in enumerate(slopes):
                gradient = gradient + 1e-3 * weights[i] * (weights[i].ndim == 2)
                first, second = moments[i]
                first[:] = 0.9 * first + 0.1 * gradient
                second[:] = 0.999 * second + 0.001 * gradient**2
                size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
                weights[i] = weights[i] - 1e-3 * (first / (1 - 0.9**step)) / size
    return weights


def quantized(weights: list[np.ndarray], x: np.ndarray) -> bytes:
    """Build an int8 .tflite file with two dense layers and a softmax."""
    hidden, out = forward(weights, x)
    model = ModelWriter("spotter")
    a = model.input("features", (1, ROWS, FEATURES, 1), "int8", scale=_SCALE, zero_point=-128)
    shape = model.constant("shape", np.array([1, ROWS * FEATURES], np.int32))
    flat = model.tensor("flat", (1, ROWS * FEATURES), "int8", scale=_SCALE, zero_point=-128)
    model.op("RESHAPE", [a, shape], [flat], {"new_shape": [1, ROWS * FEATURES]})
    inner = float(hidden.max()) / 255
    b = model.tensor("hidden", (1, HIDDEN), "int8", scale=inner, zero_point=-128)
    dense(model, flat, _SCALE, weights[0] / 10, weights[1], b, "RELU")
    outer = float(np.abs(out).max()) / 127
    c = model.tensor("logits", (1, CLASSES), "int8", scale=outer, zero_point=0)
    dense(model, b, inner, weights[2], weights[3], c, "NONE")
    scores = model.tensor("scores", (1, CLASSES), "int8", scale=1 / 256, zero_point=-128)
    model.op("SOFTMAX", [c], [scores], {"beta": 1.0})
    return model.build([scores])


def dense(
    model: ModelWriter,
    given: int,
    given_scale: float,
    weights: np.ndarray,
    bias: np.ndarray,
    output: int,
    activation: str,
) -> None:
    """Build a dense layer with one scale for all weights."""
    scale = float(np.abs(weights).max()) / 127
    w = np.round(weights.T / scale).astype(np.int8)
    b = np.round(bias / (scale * given_scale)).astype(np.int32)
    constants = [
        model.constant(f"weights_{output}", w, scale=scale),
        model.constant(f"bias_{output}", b, scale=scale * given_scale),
    ]
    options = {"fused_activation_function": activation}
    model.op("FULLY_CONNECTED", [given, *constants], [output], options)


def recording(rng: np.random.Generator) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Record words of other voices, with pauses; returns samples, and where the words end."""
    speakers = voices(1)
    parts, truth, length = [noise(rng, RATE)], [], RATE
    for word in rng.permutation([*WORDS, *WORDS, *WORDS, *OTHERS[:6]]).tolist():
        spoken = say(word, speakers[rng.integers(len(speakers))]) * rng.uniform(0.4, 1.0)
        length += len(spoken)
        if word in WORDS:
            truth.append({"word": word, "event": 1 + WORDS.index(word), "end": length / RATE})
        pause = int(rng.uniform(0.8, 1.5) * RATE)
        parts += [spoken, np.zeros(pause)]
        length += pause
    whole = np.concatenate(parts) + rng.normal(0, 20, length)
    return np.clip(whole, -32768, 32767).astype(np.int16), truth


if __name__ == "__main__":
    main()
