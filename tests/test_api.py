"""The public API as its docstring shows it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from tools import on_qemu

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import InputDataError, InputError, OutputPathError


@pytest.fixture(scope="module")
def model() -> tvmtiny.Model:
    return tvmtiny.load(models.path("digits"))


@on_qemu
def test_from_file_to_checked_result(model: tvmtiny.Model, tmp_path: Path) -> None:
    artifact: tvmtiny.Artifact = tvmtiny.compile(model, target="mps2-an386")
    files: tuple[Path, ...] = tvmtiny.save(artifact, tmp_path / "generated")
    inputs: list[np.ndarray] = tvmtiny.make_inputs("ramp", artifact.inputs)
    result: tvmtiny.RunResult = tvmtiny.run(artifact, *inputs)
    checked: tvmtiny.CheckResult = tvmtiny.check(model, artifact, result, inputs)
    assert all(path.is_file() for path in files)
    assert checked.exact
    assert checked.layers_exact == checked.layers_compared == len(artifact.layers)
    (output,) = result.outputs
    assert (output.name, output.dtype, output.data.shape) == ("probabilities", "int8", (1, 10))
    assert result.instructions > 0
    for value in (model, artifact, result, checked, artifact.target):
        assert is_dataclass(value)
        with pytest.raises(FrozenInstanceError):
            value.name = "other"  # type: ignore[misc,union-attr]


@on_qemu
def test_code_for_a_cpu_runs_on_its_boards(model: tvmtiny.Model) -> None:
    artifact = tvmtiny.compile(model, "cortex-m3")
    inputs = tvmtiny.make_inputs("random:3", artifact.inputs)
    steps: list[str] = []
    results = [
        tvmtiny.run(artifact, *inputs, board=board, progress=steps.append)
        for board in ("mps2-an385", tvmtiny.boards()["mps2-an386"])
    ]
    assert [result.board for result in results] == ["mps2-an385", "mps2-an386"]
    np.testing.assert_array_equal(results[0].outputs[0].data, results[1].outputs[0].data)
    assert "running on mps2-an386" in steps


def test_code_for_a_larger_cpu_is_refused(model: tvmtiny.Model) -> None:
    artifact = tvmtiny.compile(model, "cortex-m4")
    inputs = tvmtiny.make_inputs("zeros", artifact.inputs)
    with pytest.raises(InputError, match="name a board"):
        tvmtiny.run(artifact, *inputs)
    with pytest.raises(InputError, match="without dsp, fpu"):
        tvmtiny.run(artifact, *inputs, board="mps2-an385")


@on_qemu
@pytest.mark.parametrize("count", [0, 2])
def test_wrong_number_of_inputs(count: int, model: tvmtiny.Model) -> None:
    artifact = tvmtiny.compile(model, "mps2-an386")
    inputs = tvmtiny.make_inputs("zeros", artifact.inputs) * count
    with pytest.raises(InputDataError):
        tvmtiny.run(artifact, *inputs)


def test_a_model_from_bytes(model: tvmtiny.Model) -> None:
    again = tvmtiny.load(models.path("digits").read_bytes(), name="Other Name")
    assert again.name == "other_name"
    assert [t.name for t in again.graph.inputs] == [t.name for t in model.graph.inputs]


def test_saving_where_a_file_is(model: tvmtiny.Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputPathError):
        tvmtiny.save(tvmtiny.compile(model, "cortex-m4"), tmp_path / "file")


def test_every_public_name_is_there() -> None:
    for name in tvmtiny.__all__:
        assert getattr(tvmtiny, name) is not None
    assert set(tvmtiny.__all__) <= set(dir(tvmtiny))
    with pytest.raises(AttributeError, match="no attribute 'tune_everything'"):
        _ = tvmtiny.tune_everything


def test_random_inputs_depend_on_the_seed_only(model: tvmtiny.Model) -> None:
    first, again, other = (
        tvmtiny.make_inputs(f"random:{seed}", model.graph.inputs)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_ramp(model: tvmtiny.Model) -> None:
    (ramp,) = tvmtiny.make_inputs("ramp", model.graph.inputs)
    assert ramp.dtype == np.int8
    assert ramp.ravel()[:8].tolist() == [11, 48, 85, 122, -97, -60, -23, 14]
