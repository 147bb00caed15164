"""Images: position independence, the header, and signatures on the host."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tflite_builder import ModelBuilder
from tools import MLPERF_TINY, lacks, needs_mlperf_tiny

import tvmtiny
from tests.cli.conftest import Command
from tvmtiny.errors import ImageError, InputError
from tvmtiny.images.build import build_image
from tvmtiny.images.emulated import run_emulated
from tvmtiny.images.image_format import Image, parse_image
from tvmtiny.images.selftest import SEED, selftest_inputs
from tvmtiny.images.stack import deepest_stack
from tvmtiny.models import path
from tvmtiny.oracle import oracle_tensors
from tvmtiny.targets import cpus

CPUS = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")


def needs(cpu: str) -> None:
    if reason := lacks(cpus()[cpu].architecture):
        pytest.skip(reason)


@cache
def digits_artifact(cpu: str = "cortex-m4") -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(path("digits")), cpu)


@cache
def digits(cpu: str = "cortex-m4") -> Image:
    return build_image(tvmtiny.load(path("digits")), digits_artifact(cpu), version=3)


@pytest.mark.parametrize("cpu", CPUS)
def test_digits_needs_no_relocation(cpu: str) -> None:
    needs(cpu)
    image = digits(cpu)
    assert image.overhead_bytes <= 512
    assert image.selftest is not None
    assert (image.code_bit, image.cpu, image.version) == (cpu.startswith("cortex"), cpu, 3)
    assert 0 < image.stack_bytes < 2048
    assert parse_image(image.pack(), "digits") == image


@cache
def big_model() -> tvmtiny.Model:
    return tvmtiny.load(MLPERF_TINY / "kws_int8.tflite")


@needs_mlperf_tiny
@pytest.mark.parametrize("stream", ("none", "inside"))
def test_a_big_model_needs_no_relocation(stream: str) -> None:
    """For inference in steps and by rows, the order of the work is a table as well."""
    needs("cortex-m0")
    model = big_model()
    artifact = tvmtiny.compile(model, "cortex-m0", stream=stream, longest_slice=250_000)
    assert parse_image(build_image(model, artifact).pack(), "kws").selftest is not None


def test_state_lies_behind_the_arena() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 16), scale=0.1)
    last = builder.variable("last", np.arange(16, dtype=np.int8).reshape(1, 16))
    y = builder.tensor("y", (1, 16), scale=0.1)
    builder.op("READ_VARIABLE", [last], [y], {})
    builder.op("ASSIGN_VARIABLE", [last, x], [], {})
    needs("cortex-m4")
    model = tvmtiny.load(builder.build([y]), name="delay")
    image = build_image(model, tvmtiny.compile(model, "cortex-m4"))
    assert image.state_bytes == 17
    assert image.selftest is not None


@cache
def floats(cpu: str) -> tvmtiny.Artifact:
    """Compile a layer of floats with a function from the mathematical library."""
    return tvmtiny.compile(float_model(), cpu)


@cache
def float_model() -> tvmtiny.Model:
    rng = np.random.default_rng(5)
    builder = ModelBuilder()
    x = builder.input("x", (1, 24), "float32")
    weights = builder.constant("w", rng.normal(size=(7, 24)).astype(np.float32))
    bias = builder.constant("b", rng.normal(size=7).astype(np.float32))
    sums, y = (builder.tensor(name, (1, 7), "float32") for name in ("sums", "y"))
    builder.op("FULLY_CONNECTED", [x, weights, bias], [sums], {})
    builder.op("TANH", [sums], [y])
    return tvmtiny.load(builder.build([y]), name="floats")


@pytest.mark.parametrize("cpu", CPUS)
def test_selftest_of_floats(cpu: str) -> None:
    needs(cpu)
    artifact = floats(cpu)
    if cpu == "cortex-m0":
        with pytest.raises(ImageError, match=r"tables of addresses on cortex-m0.*cortex-m3"):
            build_image(float_model(), artifact)
        return
    image = build_image(float_model(), artifact)
    inputs = selftest_inputs(artifact)
    outputs = run_emulated(image, cpus()[cpu], inputs)
    if cpu == "cortex-m55":
        # Unicorn does not have it.
        assert outputs is None and image.selftest is None
        return
    assert outputs is not None and image.selftest is not None
    _, values = oracle_tensors(float_model(), inputs)
    expected = values[float_model().graph.outputs[0].index]
    np.testing.assert_allclose(np.frombuffer(outputs[0], np.float32), expected[0], rtol=1e-5)
    # An integer model gives the bytes of the oracle there, too.
    (found,) = run_emulated(digits(cpu), cpus()[cpu], selftest_inputs(digits_artifact(cpu))) or ()
    assert digits(cpu).selftest == (SEED, hashlib.sha256(found).digest())


def test_rows_are_refused() -> None:
    model = tvmtiny.load(path("digits"))
    artifact = tvmtiny.compile(model, "cortex-m4", stream="rows")
    with pytest.raises(ImageError, match=r"input in rows.*none or inside"):
        build_image(model, artifact)


def test_training_is_refused() -> None:
    model = tvmtiny.load(path("digits"))
    artifact = tvmtiny.compile(model, "cortex-m4", trainable="last")
    with pytest.raises(ImageError, match=r"no function but run.*leave --trainable out"):
        build_image(model, artifact)


def test_a_table_of_addresses_is_refused() -> None:
    """Constructs that generated code does not have are caught where they would appear."""
    needs("cortex-m4")
    model = tvmtiny.load(path("sine"))
    artifact = tvmtiny.compile(model, "cortex-m4")
    table = "const void *const tvmtiny_sine_table[] = {tvmtiny_sine_table, (void *)1};\n"
    use = "\n  if (*(const void *const volatile *)tvmtiny_sine_table == arena) return 1;\n"
    name = "sine.c"
    text = artifact.files[name]
    head, call, tail = text.partition("int32_t tvmtiny_sine_run_arena(")
    signature, brace, body = tail.partition("{")
    changed = head + table + call + signature + brace + use + body
    files = {**artifact.files, name: changed}
    with pytest.raises(ImageError, match=r"depend on its address|tables of addresses|variables"):
        build_image(model, dataclasses.replace(artifact, files=files))


def test_numbers_and_names_that_do_not_fit() -> None:
    image = digits()
    with pytest.raises(ImageError, match=r"version 4294967296 does not fit"):
        dataclasses.replace(image, version=1 << 32)
    with pytest.raises(ImageError, match=r"40 characters.*--name"):
        dataclasses.replace(image, name="x" * 40)
    long = dataclasses.replace(image.inputs[0], name="y" * 36)
    with pytest.raises(ImageError, match=r"36 characters.*--input-name"):
        dataclasses.replace(image, inputs=(long,))


def test_damaged_files_are_refused() -> None:
    data = digits().pack()
    rng = np.random.default_rng(1)
    for at in [*range(digits().header_bytes), *rng.integers(0, len(data), 200)]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ImageError):
            parse_image(bytes(damaged), "damaged")
    for cut in (0, 3, 4, 175, 176, len(data) - 1):
        with pytest.raises(ImageError):
            parse_image(data[:cut], "cut")
    with pytest.raises(ImageError):
        parse_image(data + b"\0", "long")


def test_selftest_inputs() -> None:
    artifact = tvmtiny.compile(tvmtiny.load(path("digits")), "cortex-m4")
    (values,) = selftest_inputs(artifact, 0)
    # The generator's first number is its increment.
    assert values.flat[0] == np.uint8(1013904223 >> 24).astype(np.int8)
    assert len(np.unique(values)) > 30


@pytest.mark.parametrize("kind", ("Ed25519", "ECDSA-P256"))
def test_signatures(kind: str, tmp_path: Path, command: Command) -> None:
    signing = pytest.importorskip("tvmtiny.images.signing")
    key, other = (_private_key(tmp_path / name, kind) for name in ("key.pem", "other.pem"))
    image = signing.sign(digits(), key)
    assert image.signature_kind.text == kind
    file = tmp_path / "digits.tvmi"
    file.write_bytes(image.pack())
    verified = command("image", "verify", file, "--key", key, "--json").json
    assert verified == {"file": str(file), "checked": "hash and signature", "version": 3}
    message = command("image", "verify", file, "--key", other).error(2)
    assert "signed with another key" in message
    forged = bytearray(image.signature)
    forged[5] ^= 1
    file.write_bytes(dataclasses.replace(image, signature=bytes(forged)).pack())
    assert "signature is invalid" in command("image", "verify", file, "--key", key).error(2)
    file.write_bytes(digits().pack())
    assert "not signed" in command("image", "verify", file, "--key", key).error(2)
    with pytest.raises(InputError, match="not a usable key"):
        signing.sign(digits(), file)
    assert signing.key_source(signing.read_public_key(key)).count("0x") == (
        40 if kind == "Ed25519" else 72
    )


def _private_key(file: Path, kind: str) -> Path:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    made = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "Ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    file.write_bytes(
        made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


def test_commands(tmp_path: Path, command: Command) -> None:
    needs("cortex-m4")
    old, new = tmp_path / "old.tvmi", tmp_path / "new.tvmi"
    made = command("image", "sine", "--target", "cortex-m4", "-o", old, "--json").json
    options = ("--model-version", 2, "--min-firmware", 7, "--optimize", "size", "--json")
    command("image", "make", "sine", "-t", "cortex-m4", "-o", new, *options)
    assert (made["version"], made["signature"]) == (1, "none")
    assert command("image", "show", old, "--json").json == made
    assert "sine" in command("image", "show", old).out
    found = command("image", "diff", old, new, "--json").json
    assert ["version", "1", "2"] in found["fields"] and found["fits"]
    assert "fits the firmware" in command("image", "diff", old, new).out
    assert "hash valid" in command("image", "verify", new).out
    message = command("image", "show", tmp_path / "missing.tvmi").error(2)
    assert "cannot be read: No such file" in message


def test_stack_of_a_call_graph() -> None:
    text = (
        'node: { title: "a" label: "a\\nx.c:1:1\\n16 bytes (static)" }\n'
        'node: { title: "x.c:b" label: "b\\nx.c:2:1\\n24 bytes (static)" }\n'
        'edge: { sourcename: "a" targetname: "x.c:b" label: "x.c:1:2" }\n'
        'node: { title: "lib" label: "lib\\n<built-in>" shape : ellipse }\n'
        'edge: { sourcename: "a" targetname: "lib" label: "x.c:1:2" }\n'
    )
    assert deepest_stack([text], "a") == 16 + 160
    assert deepest_stack([text], "x.c:b") == 24
    assert deepest_stack([text.replace("24 bytes", "0 bytes")], "x.c:b") == 256
    back = 'edge: { sourcename: "x.c:b" targetname: "a" label: "x.c:1:2" }\n'
    assert deepest_stack([text, back], "a") is None
    assert deepest_stack([text.replace("(static)", "(dynamic)")], "a") is None


def test_deltas(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("detools")
    old = digits()
    changed = bytearray(old.code)
    changed[-40:-30] = bytes(10)
    new = dataclasses.replace(old, version=4, code=bytes(changed))
    files = [tmp_path / name for name in ("old.tvmi", "new.tvmi", "delta", "made.tvmi")]
    files[0].write_bytes(old.pack())
    files[1].write_bytes(new.pack())
    command("image", "delta", files[0], files[1], "-o", files[2])
    assert files[2].stat().st_size < new.total_bytes // 10
    made = command("image", "patch", files[0], files[2], "-o", files[3], "--json").json
    assert made["version"] == 4 and files[3].read_bytes() == new.pack()
    message = command("image", "patch", files[1], files[2], "-o", files[3]).error(2)
    assert "not a delta of this old image" in message
    files[2].write_bytes(files[2].read_bytes()[:20])
    message = command("image", "patch", files[0], files[2], "-o", files[3]).error(2)
    assert "not a delta of this old image" in message
