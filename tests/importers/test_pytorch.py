"""PyTorch programs: five files made by litert-torch, and the messages about other files."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from compared_graphs import compare, frames_for
from torch_models import FILES, NAMES

import tvmtiny
from tvmtiny.errors import InputError, ModelFormatError, ToolMissingError
from tvmtiny.importers import ImportOptions, import_model
from tvmtiny.oracle import run_litert_outputs

#: A Python that has litert-torch, which cannot share an environment with TVM.
PYTHON = os.environ.get("TVMTINY_TORCH_PYTHON")


def test_every_layer_is_exact() -> None:
    files = {name: (FILES / f"{name}.tflite").read_bytes() for name in NAMES}
    models = {name: (content, frames_for(content, 0, {})) for name, content in files.items()}
    outcomes = compare(models, 0)
    assert {name: o for name, o in outcomes.items() if o.kind != "exact"} == {}


@pytest.mark.parametrize("name", NAMES)
def test_they_agree_with_pytorch(name: str) -> None:
    data = np.load(FILES / f"{name}.npz")
    content = (FILES / f"{name}.tflite").read_bytes()
    x = data["x"]
    if tvmtiny.load(content).graph.inputs[0].shape != x.shape:
        x = x.transpose(0, 2, 3, 1)
    ((y,),) = run_litert_outputs(content, [[x]])
    np.testing.assert_allclose(y, data["y"], rtol=0, atol=1e-6 * np.abs(data["y"]).max())


@pytest.mark.skipif(not PYTHON, reason="TVMTINY_TORCH_PYTHON names no Python with litert-torch")
def test_conversion(tmp_path: Path) -> None:
    script = str(FILES.parent / "torch_models.py")
    subprocess.run([str(PYTHON), script, "--archive", "residual", str(tmp_path)], check=True)
    data = np.load(tmp_path / "residual.npz")
    made = import_model(tmp_path / "residual.pt2", ImportOptions(trust=True, python=PYTHON))
    assert [t.name for t in (*made.inputs, *made.outputs)] == ["x", "softmax"]
    assert made.notes == ("the input x has channels last: 1x8x8x4 here, 1x4x8x8 in PyTorch",)
    ((got,),) = run_litert_outputs(made.content, [[made.inputs[0].arranged(data["x"])]])
    np.testing.assert_allclose(got, data["y"], rtol=0, atol=1e-6)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A file that no converter here reads."""
    path = tmp_path / "program.pt2"
    path.write_bytes(b"")
    return path


def answering(folder: Path, answer: str) -> ImportOptions:
    """Options with a Python that prints a chosen answer."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\necho '{answer}'\n")
    python.chmod(0o755)
    return ImportOptions(trust=True, python=str(python))


def test_a_file_that_nobody_vouches_for(program: Path) -> None:
    with pytest.raises(InputError, match="--trust"):
        tvmtiny.load(program)


@pytest.mark.skipif(find_spec("litert_torch") is not None, reason="litert-torch is installed")
def test_without_the_package(program: Path) -> None:
    with pytest.raises(ToolMissingError, match="torch-env/bin/pip install litert-torch, and give"):
        import_model(program, ImportOptions(trust=True))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ({"missing": "litert_torch"}, ToolMissingError, "an environment of its own"),
        ({"error": "RuntimeError: no lowering of aten.fft"}, InputError, "aten.fft.*torch.onnx"),
        ({"error": "BadZipFile: File is not a zip file"}, ModelFormatError, "not a usable PyTorch"),
        ("Killed", InputError, "ended with code 0"),
    ],
)
def test_what_goes_wrong(
    answer: object, error: type[Exception], message: str, program: Path, tmp_path: Path
) -> None:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    with pytest.raises(error, match=message):
        import_model(program, answering(tmp_path, text))


def test_a_python_that_is_not_there(program: Path) -> None:
    with pytest.raises(InputError, match="cannot run /nowhere/python: No such file"):
        import_model(program, ImportOptions(trust=True, python="/nowhere/python"))


def test_a_module_has_no_shapes() -> None:
    net = type("Net", (), {"__module__": "torch.nn.modules.module"})()
    with pytest.raises(InputError, match=r"torch\.export\.export\(model\.eval\(\), \(sample,\)\)"):
        tvmtiny.load(net)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pt", "weights without a program"),
        ("model.pb", "tf.lite.TFLiteConverter"),
        ("model.safetensors", "export the model as"),
    ],
)
def test_files_that_hold_no_model(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(InputError, match=message):
        tvmtiny.load(path)


def test_weights_that_do_not_exist() -> None:
    with pytest.raises(InputError, match=r"nothing\.pt does not exist"):
        tvmtiny.load("nothing.pt")
