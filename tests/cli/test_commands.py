"""Every command works, and ``--json`` prints one object and nothing else on stdout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tools import on_qemu

import tvmtiny
from tvmtiny import models

Command = Any

RUN_KEYS = [
    "model",
    "board",
    "cpu",
    "instructions",
    "arena_bytes",
    "static_ram_bytes",
    "stack_bytes",
    "flash",
    "outputs",
]
CHECK_KEYS = {
    "oracle",
    "mismatched_bytes",
    "max_abs_diff",
    "layers_compared",
    "layers_exact",
    "first_mismatch",
}


def test_inspect_json(command: Command) -> None:
    done = command("inspect", "digits", "--json")
    found = done.json
    assert done.err == ""
    assert found["supported"] is True
    assert found["problem"] is None
    assert [t["shape"] for t in found["inputs"]] == [[1, 8, 8, 1]]
    assert found["macs"] == sum(node["macs"] for node in found["nodes"]) > 0
    assert found["model_bytes"] == models.path("digits").stat().st_size


def test_inspect_text(command: Command) -> None:
    done = command("inspect", models.path("digits"))
    assert done.code == 0
    assert "DEPTHWISE_CONV_2D" in done.out
    assert "can be compiled" in done.out


def test_compile_json(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    done = command("compile", "digits", "--target", "cortex-m4", "-o", folder, "--json")
    summary = done.json
    assert done.err == ""
    assert (summary["model"], summary["cpu"]) == ("digits", "cortex-m4")
    assert summary["arena_bytes"] >= summary["arena_lower_bound"] > 0
    assert summary["layers"][0]["operator"] == "CONV_2D"
    written = sorted(folder.iterdir())
    assert sorted(Path(name) for name in summary["files"]) == written
    assert {path.suffix for path in written} == {".c", ".h", ".tar"}
    assert all(path.stat().st_size for path in written)


def test_compile_text_and_progress(command: Command, tmp_path: Path) -> None:
    done = command("compile", "sine", "-t", "mps2-an386", "-o", tmp_path, "--name", "wave")
    assert done.code == 0
    assert "FULLY_CONNECTED" in done.out
    assert (tmp_path / "wave.tar").is_file()
    # Progress takes one line per step, none of them on stdout.
    assert all(line.endswith(" ...") for line in done.err.splitlines())
    assert "compiling wave for mps2-an386 ..." in done.err
    assert " ..." not in done.out


def test_compile_rounds_like_the_oracle_asked_for(command: Command, tmp_path: Path) -> None:
    texts = {}
    for oracle in ("litert", "tflm"):
        summary = command(
            *("compile", "sine", "-t", "cortex-m4", "-o", tmp_path / oracle),
            *("--oracle", oracle, "--json"),
        ).json
        assert summary["oracle"] == oracle
        texts[oracle] = [path.read_text() for path in sorted((tmp_path / oracle).glob("*.c"))]
    assert texts["litert"] != texts["tflm"]


@on_qemu
def test_run_json(installed_program: Command) -> None:
    done = installed_program("run", "digits", "--board", "mps2-an386", "--check", "--json")
    summary = done.json
    assert done.err == ""
    assert list(summary) == [*RUN_KEYS, "check"]
    assert (summary["model"], summary["board"]) == ("digits", "mps2-an386")
    assert summary["cpu"] == "cortex-m4"
    assert summary["instructions"] > 10_000
    assert 0 < summary["arena_bytes"] <= summary["static_ram_bytes"]
    flash = summary["flash"]
    assert flash["total"] == flash["code"] + flash["constants"]
    (output,) = summary["outputs"]
    assert (output["dtype"], output["shape"]) == ("int8", [1, 10])
    assert np.array(output["data"]).shape == (1, 10)
    check = summary["check"]
    assert set(check) >= CHECK_KEYS
    assert check["mismatched_bytes"] == 0
    assert check["layers_exact"] == check["layers_compared"] > 0


@on_qemu
def test_run_text(command: Command) -> None:
    done = command("run", "temperature", "-b", "microbit", "--input", "zeros", "--check")
    assert done.code == 0
    assert re.search(r"exact, (\d+) of \1 layers exact", done.out)
    assert "running on microbit ..." in done.err


@on_qemu
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_run_on_a_file(suffix: str, command: Command, tmp_path: Path) -> None:
    images, _ = models.digits_test()
    path = tmp_path / f"image.{suffix}"
    if suffix == "npy":
        np.save(path, images[5:6])
    else:
        np.savez(path, image=images[5:6])
    summary = command("run", "digits", "-b", "mps2-an385", "-i", path, "--json").json
    assert list(summary) == RUN_KEYS
    expected = tvmtiny.load(models.path("digits")).reference([images[5:6]])
    output = tvmtiny.load(models.path("digits")).graph.outputs[0]
    assert summary["outputs"][0]["data"] == expected[output.index].tolist()


def test_boards(command: Command) -> None:
    found = command("boards", "--json").json
    names = [board["name"] for board in found["boards"]]
    assert names == list(tvmtiny.boards())
    assert {"cortex-m0", "cortex-m55"} <= {cpu["name"] for cpu in found["cpus"]}
    assert found["problems"] == [] and {board["file"] for board in found["boards"]} == {None}
    text = command("boards").out
    assert all(name in text for name in names)
    assert all(cpu["description"].split()[0] in text for cpu in found["cpus"])


def test_version(installed_program: Command) -> None:
    done = installed_program("--version")
    assert (done.code, done.out.strip(), done.err) == (0, tvmtiny.__version__, "")


@pytest.mark.parametrize("words", [(), ("inspect",), ("compile",), ("run",), ("boards",)])
def test_help(words: tuple[str, ...], command: Command) -> None:
    done = command(*words, "--help")
    assert done.code == 0
    assert "Usage" in done.out


def test_no_command_prints_the_help(program: Command) -> None:
    done = program()
    assert done.code == 2
    assert "Usage" in done.out


#: Prints the exit code of each step, and which of some packages are loaded afterwards.
_STEPS = """
import contextlib, io, json, sys
from importlib import import_module
packages = {'numpy', 'tvm', 'jinja2', 'ai_edge_litert', 'elftools', 'packaging'}
found = {}
for words in json.loads(sys.argv[1]):
    code = 0
    with contextlib.redirect_stdout(io.StringIO()):
        if words[0] == 'import':
            for name in words[1:]:
                import_module(name)
        else:
            try:
                import_module('tvmtiny.cli.main').main(words)
            except SystemExit as ended:
                code = ended.code or 0
    found[' '.join(words)] = code, sorted(packages & {*sys.modules})
print(json.dumps(found))
"""
_IMPORT = ["import", "tvmtiny", "tvmtiny.errors", "tvmtiny.targets", "tvmtiny.models"]
_WITHOUT_MODEL = [["boards"], ["devices"], ["--version"]]


@pytest.fixture(scope="module")
def loaded_packages() -> dict[str, tuple[int, list[str]]]:
    """The exit code of each step of a new process, and the packages loaded until then."""
    steps = json.dumps([_IMPORT, ["--help"], *_WITHOUT_MODEL])
    done = subprocess.run(
        [sys.executable, "-c", _STEPS, steps], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("words", [_IMPORT, ["--help"]], ids=["import", "help"])
def test_what_is_slow_is_imported_when_it_is_needed(
    words: list[str], loaded_packages: dict[str, tuple[int, list[str]]]
) -> None:
    code, loaded = loaded_packages[" ".join(words)]
    assert code == 0
    assert {"numpy", "tvm", "jinja2", "ai_edge_litert"}.isdisjoint(loaded)


@pytest.mark.parametrize("words", _WITHOUT_MODEL)
def test_commands_without_a_model_do_not_wait_for_tvm(
    words: list[str], loaded_packages: dict[str, tuple[int, list[str]]]
) -> None:
    code, loaded = loaded_packages[" ".join(words)]
    assert code == 0
    assert {"tvm", "numpy", "elftools", "packaging"}.isdisjoint(loaded)
