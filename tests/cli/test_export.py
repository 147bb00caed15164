"""``tvmtiny export``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tflite_builder import ModelBuilder

from .conftest import Command


def test_json(command: Command, tmp_path: Path) -> None:
    made = command(
        "export", "sine", "digits", "--format", "cmsis-pack", "--target", "cortex-m4",
        "-o", tmp_path, "--vendor", "Acme", "--library-version", "0.2.0", "--json",
    ).json  # fmt: skip
    assert made["pack"] == str(tmp_path / "Acme.tvmtiny_models.0.2.0.pack")
    assert [model["name"] for model in made["models"]] == ["sine", "digits"]
    assert made["library"]["name"] == "tvmtiny_models"
    assert {Path(name) for name in made["files"]} == {p for p in tmp_path.rglob("*") if p.is_file()}


def test_text(command: Command, tmp_path: Path) -> None:
    words = ("--format", "arduino", "--target", "mps2-an385", "--io", "external", "-o", tmp_path)
    made = command("export", "sine", *words)
    assert made.code == 0, made.err
    assert f"how to use it: {tmp_path / 'README.md'}" in made.out
    assert "static int8_t input_0" in next(tmp_path.rglob("*.ino")).read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "eclipse"), "known: cmake, makefile, arduino, zephyr, cmsis-pack"),
        (("--format", "arduino", "--library-name", "a b"), "name cannot be 'a b'"),
        (("--format", "cmake", "--target", "cortex-m99"), "cortex-m99"),
    ],
)
def test_refuses(words: tuple[str, ...], message: str, command: Command, tmp_path: Path) -> None:
    target = () if "--target" in words else ("--target", "cortex-m4")
    refused = command("export", "sine", *target, *words, "-o", tmp_path / "a")
    assert message in refused.error(2)
    assert not (tmp_path / "a").exists()


def _coder() -> bytes:
    b = ModelBuilder()

    def decode(inner: ModelBuilder) -> list[int]:
        code = inner.input("x", (1, 6), "int8", scale=0.25)
        real = inner.tensor("y", (1, 6), "float32")
        inner.op("DEQUANTIZE", [code], [real], {}, version=2)
        return [real]

    decoder = b.subgraph("decode", decode)
    x = b.input("x", (1, 6), "float32")
    y = b.tensor("y", (1, 6), "int8", scale=0.25)
    b.op("QUANTIZE", [x], [y], {})
    b.signature([("real", x)], [("code", y)], key="encode")
    b.signature([("code", 0)], [("real", 1)], key="decode", subgraph=decoder)
    return b.build([y])


def test_signatures(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "coder.tflite"
    path.write_bytes(_coder())
    words = ("inspect", path, "--json")
    assert "this is 'encode'; --signature takes" in command(*words).json["note"]
    assert command(*words, "--signature", "decode").json["inputs"][0]["dtype"] == "int8"
    words = ("export", path, path, "-f", "cmake", "-t", "cortex-m4", "-o", tmp_path / "both")
    names = ("--name", "one", "--name", "two")
    keys = ("--signature", "encode", "--signature", "decode")
    assert command(*words, *names, *keys).code == 0
    header = (tmp_path / "both" / "two.h").read_text()
    assert "int8_t *code;" in header and "float *real;" in header
    assert "--signature is given 3 times for 2 models" in command(
        *words, *names, *keys, "--signature", "x"
    ).error(2)
    assert "no signature 'x'; known: encode, decode" in command(
        "run", path, "-b", "microbit", "--signature", "x"
    ).error(2)
