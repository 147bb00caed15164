"""Missing names, files, folders and programs, and models that do not fit."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_builder import ModelBuilder
from tools import on_qemu

from tvmtiny.errors import OutputPathError

Command = Any


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("run", "digits", "--board", "mps2-an368"), "mps2-an386"),
        (("run", "digits", "--board", "micro-bit"), "microbit"),
        (("compile", "digits", "-o", "out", "--target", "cortex-m5"), "cortex-m55"),
        (("compile", "digits", "-o", "out", "--target", "mps2_an386"), "mps2-an386"),
        (("compile", "digits", "-o", "out", "--target", "m4"), "cortex-m4"),
    ],
)
def test_unknown_target(words: tuple[str, ...], nearest: str, command: Command) -> None:
    message = command(*words).error(2)
    kind = words[-2].removeprefix("--")
    assert f"there is no {kind} {words[-1]!r}" in message
    assert "did you mean" in message
    assert nearest in message.split("known:")[0]


def test_a_cpu_is_not_a_board(command: Command) -> None:
    message = command("run", "digits", "--board", "cortex-m4").error(2)
    assert "did you mean mps2-an386" in message
    assert "known: microbit" in message


def test_unknown_target_comes_before_the_model(command: Command, tmp_path: Path) -> None:
    message = command("run", tmp_path / "missing", "--board", "nothing").error(2)
    assert "there is no board 'nothing'" in message
    assert message.endswith("for any other chip, name a board that has the same CPU")


def test_unknown_oracle(command: Command, tmp_path: Path) -> None:
    for words in (
        ("compile", "-t", "cortex-m4", "-o", tmp_path / "out"),
        ("run", "-b", "microbit"),
    ):
        message = command(words[0], "digits", *words[1:], "--oracle", "keras").error(2)
        assert "no oracle 'keras'" in message
        assert "litert, tflm" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("build",), "No such command 'build'"),
        (("run",), "Missing argument 'MODEL'"),
        (("run", "digits"), "'--board' / '-b': A board (tvmtiny boards lists them)"),
        (
            ("cost", "digits", "--board", "microbit"),
            "No such option: --board (Possible options: --cpu)",
        ),
        (("compile", "digits", "-t", "cortex-m4"), "--output"),
        (("inspect", "digits", "--verbose"), "--verbose"),
        (
            ("run", "digits", "-b", "microbit", "--timeout", "1s"),
            "Invalid value for '--timeout': '1s' is not a number",
        ),
        (
            ("compile", "digits", "-o", "out", "-t", "cortex-m4", "--ram-budget", "16K"),
            "Invalid value for '--ram-budget': '16K' is not a whole number",
        ),
        (("compile", "digits", "--optimize"), "requires an argument"),
    ],
)
def test_usage(words: tuple[str, ...], part: str, command: Command) -> None:
    message = command(*words).error(2)
    assert part in message
    command_that_is = "tvmtiny" if words[0] == "build" else f"tvmtiny {words[0]}"
    assert f"{command_that_is} --help" in message


@pytest.mark.parametrize(("name", "nearest"), [("digit", "digits"), ("Sine", "sine")])
def test_unknown_model(name: str, nearest: str, command: Command) -> None:
    message = command("inspect", name).error(2)
    assert f"there is no model {name!r}; did you mean {nearest}?" in message
    assert "did you mean" not in command("inspect", "resnet50").error(2)


def test_an_invalid_size_is_named_before_a_missing_one(command: Command) -> None:
    message = command("memory", "digits", "--board", "cortex-m4", "--ram", "16kb").error(2)
    assert "'16kb' is not a size" in message
    assert "such as 65536, 64K or 1M" in message


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_no_time(seconds: str, command: Command) -> None:
    words = ("run", "digits", "-b", "microbit", "--timeout", seconds)
    assert "timeout" in command(*words).error(2)


def big_model(ram: int, weights: int) -> bytes:
    """A model whose activations or weights take about `size` bytes."""
    b = ModelBuilder()
    x = b.input("x", (1, ram // 2), scale=1.0)
    y = b.tensor("y", (1, ram // 2), scale=1 / 256, zero_point=-128)
    b.op("LOGISTIC", [x], [y])
    # Few channels keep the search for requantization constants short.
    z = b.input("z", (1, 1600), scale=1.0)
    w = b.constant("w", np.ones((weights // 1600, 1600), np.int8), scale=1 / 1600)
    out = b.tensor("out", (1, weights // 1600), scale=1.0)
    b.op("FULLY_CONNECTED", [z, w, None], [out], {}, version=3)
    return b.build([y, out])


@pytest.mark.parametrize(
    ("ram", "weights", "short"),
    [(40_000, 6_400, ["ram"]), (2_000, 300_800, ["flash"]), (40_000, 300_800, ["ram", "flash"])],
)
def test_too_big_for_the_board(
    ram: int,
    weights: int,
    short: list[str],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "big.tflite"
    path.write_bytes(big_model(ram, weights))
    # The message comes before the build, which could not run here.
    monkeypatch.setenv("PATH", str(tmp_path))
    message = command("run", path, "--board", "microbit").error(3)
    assert f"does not fit microbit: {short[0]} needs " in message
    for region, available in (("ram", 16_384), ("flash", 262_144)):
        # A region that is large enough is not mentioned.
        assert (f"{region} needs" in message) == (region in short)
        if region in short:
            figures = message.split(f"{region} needs ")[1].split(" available")[0]
            needed, of = (int(part.replace(",", "")) for part in figures.split(" bytes of "))
            assert of == available < needed


def link_programs(folder: Path, *names: str) -> None:
    for name in names:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        (folder / name).symlink_to(found)


def test_no_compiler(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = command("run", "sine", "--board", "microbit").error(4)
    assert "arm-none-eabi-gcc is not installed" in message
    assert "apt-get install gcc-arm-none-eabi" in message


def test_no_emulator(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link_programs(tmp_path, "arm-none-eabi-gcc")
    monkeypatch.setenv("PATH", str(tmp_path))
    message = command("run", "sine", "--board", "microbit").error(4)
    assert "qemu-system-arm is not installed" in message
    assert "apt-get install qemu-system-arm" in message


def test_no_compiler_as_a_program(program: Command, tmp_path: Path) -> None:
    message = program("run", "sine", "--board", "microbit", "--json", PATH=str(tmp_path)).error(4)
    assert "apt-get install gcc-arm-none-eabi" in message


@on_qemu
def test_no_oracle_package(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tvmtiny import oracle
    from tvmtiny.errors import ToolMissingError

    def missing() -> Any:
        raise ToolMissingError("ai-edge-litert", "ai-edge-litert", "to compare", "pip")

    monkeypatch.setattr(oracle, "_import_litert", missing)
    message = command("run", "sine", "--board", "microbit", "--check").error(4)
    assert "pip install ai-edge-litert" in message


INPUT_FILES = {
    "shape.npy": (np.zeros((1, 9), np.int8), ["'image'", "int8 [1, 8, 8, 1]", "int8 [1, 9]"]),
    "dtype.npy": (
        np.zeros((1, 8, 8, 1), np.float32),
        ["int8 [1, 8, 8, 1]", "float32 [1, 8, 8, 1]"],
    ),
    "byte order.npy": (np.zeros((1, 8, 8, 1), ">i2"), ["int8 [1, 8, 8, 1]"]),
    "objects.npy": (np.array([{}], dtype=object), ["not a numpy file"]),
}


@pytest.mark.parametrize("name", INPUT_FILES)
def test_input_file_with_other_data(name: str, command: Command, tmp_path: Path) -> None:
    value, parts = INPUT_FILES[name]
    np.save(tmp_path / name, value, allow_pickle=True)
    message = command("run", "digits", "-b", "mps2-an386", "-i", tmp_path / name).error(2)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.npy", b"0 1 2 3"),
        ("empty.npy", b""),
        ("cut.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|i1', "),
        ("text.npz", b"0 1 2 3"),
        ("cut.npz", b"PK\x03\x04 and no more"),
        ("empty.npz", b""),
    ],
)
def test_input_file_that_numpy_cannot_read(
    name: str, content: bytes, command: Command, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    message = command("run", "digits", "-b", "mps2-an386", "-i", tmp_path / name).error(2)
    assert name in message


def test_npz_file_with_other_names(command: Command, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", picture=np.zeros((1, 8, 8, 1), np.int8))
    message = command("run", "digits", "-b", "mps2-an386", "-i", tmp_path / "x.npz").error(2)
    assert "an array named image" in message
    assert "picture" in message


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("missing.npy", "No such file"),
        ("noise", "unknown kind"),
        ("", "unknown kind"),
        ("random", "unknown kind"),
        ("random:", "seed"),
        ("random:-1", "seed"),
        ("random:one", "seed"),
    ],
)
def test_unusable_input(kind: str, part: str, command: Command) -> None:
    message = command("run", "digits", "-b", "mps2-an386", "--input", kind).error(2)
    assert part in message


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_output_folder_that_cannot_be_made(folder: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    message = command("compile", "sine", "-t", "cortex-m4", "-o", tmp_path / folder).error(2)
    assert "cannot write to" in message
    assert str(tmp_path / folder) in message
    assert (tmp_path / "file").read_text() == "kept"


def test_output_file_that_cannot_be_replaced(command: Command, tmp_path: Path) -> None:
    (tmp_path / "sine.c").mkdir()
    message = command("compile", "sine", "-t", "cortex-m4", "-o", tmp_path).error(2)
    assert str(tmp_path) in message
    # The archive is written last, so a half-written folder has none.
    assert not (tmp_path / "sine.tar").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_disk_without_room(command: Command, tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = ("run", "sine", "--board", "microbit")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        outcome = command(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert re.search(r"cannot write to \S*/tvmtiny-project-\S+: File too large;", outcome.error(2))
    full = OutputPathError(tmp_path, os.strerror(errno.ENOSPC))
    assert "free some space, or give another path" in str(full)


@pytest.mark.parametrize("words", [("boards",), ("inspect", "sine", "--json"), ("--version",)])
def test_standard_output_without_room(words: tuple[str, ...], warm_programs: Path) -> None:
    program = warm_programs / "tvmtiny"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([program, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "tvmtiny: standard output: No space left on device\n"


def test_a_reader_that_has_gone(warm_programs: Path) -> None:
    words = [warm_programs / "tvmtiny", "boards"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(words, stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_lines_end_without_spaces(command: Command) -> None:
    for words in (("boards",), ("inspect", "digits")):
        lines = command(*words).out.splitlines()
        assert len(lines) > 5 and [line for line in lines if line.endswith(" ")] == []


#: The longest argument that the system accepts, without and with places to break the line.
_LONG_NAMES = ("n" * 100_000, "two words/" * 10_000, "\x1b" * 100_000)


@pytest.mark.parametrize("name", _LONG_NAMES, ids=["one", "words", "escapes"])
def test_long_names_are_cut(name: str, command: Command, tmp_path: Path) -> None:
    compiling = ("compile", "digits", "-t", "cortex-m4", "-o", tmp_path / "out")
    for words in (
        ("run", "digits", "--board", name),
        ("compile", "digits", "-t", name, "-o", tmp_path / "out"),
        ("inspect", name),
        ("run", name, "-b", "microbit"),
        ("run", "digits", "-b", "microbit", "--input", name),
        ("run", "digits", "-b", "microbit", "--timeout", name),
        ("run", "digits", "-b", "microbit", "--via", name),
        ("run", "digits", "-b", "microbit", f"--{name}"),
        (name,),
        (*compiling, "--oracle", name),
        (*compiling, "--io", name),
        (*compiling, "--place", name),
        (*compiling, "--place", f"arena={name}"),
        (*compiling, "--records", name),
        ("compile", "digits", "-t", "cortex-m4", "-o", name),
        ("export", "digits", "-t", "cortex-m4", "-o", tmp_path / "out", "-f", name),
        ("project", "create", "digits", "-b", name, "-o", tmp_path / "out"),
        ("boards", "show", name),
        ("--config", name, "boards"),
    ):
        outcome = command(*words)
        assert outcome.code in (1, 2), (words[0], outcome.code, outcome.err[:500])
        assert len(outcome.error(outcome.code)) < 1500


@pytest.mark.parametrize(
    "content",
    [
        "[{long}]\nx = 1\n",
        "[run]\n{long} = 1\n",
        '[run]\nboard = "{long}"\n',
        '[run]\ntimeout = "{long}"\n',
        '[boards]\n{long} = ""\n',
        '[boards]\nlab = "{long}"\n[run]\nboard = "lab"\n',
        'run = "{long}"\n',
        "{long}",
        "[run]\ntimeout = 1{long}\n",
    ],
)
def test_long_words_of_settings_are_cut(content: str, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content.replace("{long}", "n" * 100_000))
    message = command("--config", path, "run", "digits", "-b", "nothing").error(2)
    assert len(message) < 1500
    path.write_text(content.replace("{long}", "7" * 100_000))
    assert len(command("--config", path, "run", "digits", "-b", "nothing").error(2)) < 1500
