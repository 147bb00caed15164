"""The tuner's runner as a Zephyr application: the written files, and their reading by CMake."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from fake_zephyr import make_tree
from tools import needs_programs

from tests.project.test_application import BOARD, configure, packaged, read_kconfig
from tvmtiny.creating import create_zephyr_application
from tvmtiny.errors import InputError
from tvmtiny.project.registry import build_runner
from tvmtiny.project.zephyr.application import (
    ApplicationOptions,
    create_application,
    load_application,
)
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.targets import find_board

RUNNER = ApplicationOptions(mode="runner")
FRAGMENTS = ["prj.conf", "conf/runner.conf"]


@pytest.mark.parametrize(
    ("board", "cpu", "candidate_bytes"),
    [(BOARD, None, 2 << 20), ("nucleo_h743zi", "cortex-m7", 64 << 10)],
)
def test_what_is_written(
    board: str,
    cpu: str | None,
    candidate_bytes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = create_zephyr_application(
        (), find_zephyr_board(board, cpu), tmp_path / "a", RUNNER
    )
    assert load_application(tmp_path / "a") == application
    assert (application.mode, application.models) == ("runner", ())
    source = (tmp_path / "a" / "models" / "runner" / "runner.c").read_text()
    assert f'"{application.board.cpu.name}"' in source and "tvmtiny.runner.measure" in source
    # Real boards have no host to ask for files.
    assert "bkpt" not in source
    symbols = read_kconfig(tmp_path / "a", FRAGMENTS, tmp_path, monkeypatch).syms
    values = {name: symbol.str_value for name, symbol in symbols.items()}
    assert values["TVMTINY_APP_RUNNER"] == "y"
    assert values["TVMTINY"] == values["TVMTINY_APP_STANDALONE"] == "n"
    assert values["ARM_MPU"] == values["UART_CONSOLE"] == "n"
    assert values["FPU"] == "y"
    assert int(values["TVMTINY_APP_RUNNER_BYTES"]) == candidate_bytes


def test_models_and_the_runner(tmp_path: Path) -> None:
    board = find_zephyr_board(BOARD)
    with pytest.raises(InputError, match="takes no models; leave them out"):
        create_application([packaged("sine")], board, tmp_path / "a", RUNNER)
    with pytest.raises(InputError, match="the mode rpc needs a model; name one"):
        create_application((), board, tmp_path / "a", ApplicationOptions(mode="rpc"))
    assert not (tmp_path / "a").exists()


@needs_programs("cmake", "gcc")
def test_cmake(tmp_path: Path) -> None:
    board = find_zephyr_board(BOARD)
    create_application((), board, tmp_path / "a", RUNNER)
    base = make_tree(tmp_path / "zephyr", "3.4")
    done = configure(tmp_path / "a", base)
    assert done.returncode == 0, done.stderr
    assert "runner.conf" in done.stdout
    # Any application can be built as the runner.
    create_application([packaged("sine")], board, tmp_path / "b")
    done = configure(tmp_path / "b", base, "-DTVMTINY_MODE=runner", "--fresh")
    assert done.returncode == 0, done.stderr


def test_a_real_board_is_not_started(tmp_path: Path) -> None:
    board = find_board(BOARD)
    options = {key: value for key, value in board.options.items() if key != "machine"}
    real = dataclasses.replace(board, options=options)
    with pytest.raises(InputError, match=r"is a real board .* --mode runner"):
        build_runner(real, tmp_path)
