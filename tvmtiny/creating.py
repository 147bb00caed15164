"""Create a Zephyr application from models: compile, measure, and compute expected outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.compiler import compile
from tvmtiny.errors import CapacityError, InputError, ToolMissingError
from tvmtiny.oracle import oracle_tensors
from tvmtiny.project.package import PackagedModel, expected_checksums, sample_inputs
from tvmtiny.project.zephyr.application import (
    Application,
    ApplicationOptions,
    check_application,
    create_application,
)
from tvmtiny.project.zephyr.board import ZephyrBoard
from tvmtiny.running import run
from tvmtiny.targets import Board, Cpu, boards

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.frontend import Model

__all__ = ["create_zephyr_application", "measure_stack", "package_model"]


def create_zephyr_application(
    models: Sequence[Model],
    board: ZephyrBoard,
    directory: Path,
    options: ApplicationOptions | None = None,
    compile_options: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Application:
    """Compile models for a board and write a Zephyr application that runs them.

    Parameters
    ----------
    models
        Models with distinct names: at least one, except in ``runner`` mode, which takes none.
    board
        The board to compile for; see `find_zephyr_board`.
    directory
        Directory in which the application is written.
    options
        Options of the application. Without ``stack_bytes``, each model runs once in QEMU to measure
        the stack that it needs.
    compile_options
        Keyword arguments for `tvmtiny.compile`.
    progress
        Called with a short description before each step.

    Returns
    -------
    Application
        The application that was written.

    Raises
    ------
    InputError
        Two models have the same name, an option is invalid, or a model cannot be compiled.
    ToolMissingError
        The stack must be measured, but no compiler or no QEMU was found.
    CapacityError, OutputPathError
        Raised by `create_application`.
    """
    chosen = options or ApplicationOptions()
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise InputError(
            f"the models {', '.join(names)} need different names; give names (--name), or rename "
            "the files"
        )
    tell = progress or (lambda _: None)
    packaged = []
    for model in models:
        tell(f"compiling {model.name} for {board.name}")
        packaged.append(package_model(model, board, compile_options or {}, tell))
    if chosen.stack_bytes is None:
        # Report a board that is too small before spending time on measuring the stack.
        check_application(packaged, board, chosen)
        for position, each in enumerate(packaged):
            tell(f"measuring the stack of {each.name}")
            packaged[position] = replace(each, stack_bytes=measure_stack(each.artifact))
    tell(f"writing {directory}")
    return create_application(packaged, board, directory, chosen)


def package_model(
    model: Model,
    board: ZephyrBoard,
    compile_options: Mapping[str, Any],
    progress: Callable[[str], None],
) -> PackagedModel:
    """Compile a model and compute the checksums of its expected outputs."""
    artifact = compile(model, board.target, **compile_options)

    def reference(inputs: list[np.ndarray]) -> list[np.ndarray]:
        _, tensors = oracle_tensors(model, inputs)
        return [tensors[output.index] for output in model.graph.outputs]

    progress(f"computing what {model.name} should give")
    return PackagedModel(artifact, expected=expected_checksums(artifact, reference))


def measure_stack(artifact: Artifact) -> int:
    """Measure the stack that a model needs by running it on an emulated bare-metal board.

    Parameters
    ----------
    artifact
        Model to measure, compiled for any board or CPU.

    Returns
    -------
    int
        Stack in bytes, counted from the frame of the run function's caller.

    Raises
    ------
    ToolMissingError
        No compiler or no QEMU was found.
    """
    # The artifact's placement names memory regions of its own board, which this board lacks.
    portable = replace(artifact, placement=type(artifact.placement)())
    inputs = sample_inputs(artifact.inputs, 0)
    try:
        for board in _measuring_boards(artifact.target.cpu):
            with suppress(CapacityError):
                return run(portable, *inputs, board=board).stack_bytes
    except ToolMissingError as error:
        raise ToolMissingError(
            error.tool,
            error.package,
            f"{error.why}: the stack is measured in an emulator (--stack BYTES avoids that)",
            error.installer,
            error.problem,
        ) from error
    raise InputError(
        f"{artifact.name} does not fit any emulated board, so its stack cannot be measured; give "
        "the size of the stack: --stack BYTES"
    )


def _measuring_boards(cpu: Cpu) -> list[Board]:
    """List the emulated boards that can run code for `cpu`, most similar CPU first."""
    able = [
        board
        for board in boards().values()
        if board.platform == "qemu" and board.cpu.runs_code_for(cpu)
    ]
    return sorted(able, key=lambda b: (b.cpu.name != cpu.name, len(b.cpu.features), b.name))
