"""From models to a Zephyr application: compiled, measured, with the outputs that are expected."""

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
        Of different names: one or more, or none for the mode ``runner``.
    board
        What it is for; see `find_zephyr_board`.
    directory
        Where to.
    options
        How the application is written. Without ``stack_bytes``, the models run once in QEMU, so
        that their need of stack is known.
    compile_options
        Of `tvmtiny.compile`.
    progress
        Called with a few words before each step.

    Raises
    ------
    InputError
        Two models have the same name, an option is not usable, or a model cannot be compiled.
    ToolMissingError
        The stack is to be measured, and there is no compiler or no QEMU.
    CapacityError, OutputPathError
        See `create_application`.
    """
    chosen = options or ApplicationOptions()
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise InputError(
            f"the models {', '.join(names)} need different names; rename a file: its name is the "
            "model's"
        )
    tell = progress or (lambda _: None)
    packaged = []
    for model in models:
        tell(f"compiling {model.name} for {board.name}")
        packaged.append(package_model(model, board, compile_options or {}, tell))
    if chosen.stack_bytes is None:
        # A board that is too small is said at once, and in its own words.
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
    """Compile a model, and compute what firmware should give."""
    artifact = compile(model, board.target, **compile_options)

    def reference(inputs: list[np.ndarray]) -> list[np.ndarray]:
        _, tensors = oracle_tensors(model, inputs)
        return [tensors[output.index] for output in model.graph.outputs]

    progress(f"computing what {model.name} should give")
    return PackagedModel(artifact, expected=expected_checksums(artifact, reference))


def measure_stack(artifact: Artifact) -> int:
    """Run a model on a bare-metal board in QEMU, to see how much stack it needs.

    Returns
    -------
    int
        Bytes below the caller of the run function.

    Raises
    ------
    ToolMissingError
        There is no compiler or no QEMU.
    """
    # Regions that were named are those of another board.
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
            f"{error.why}: the stack is measured so (give it, --stack BYTES, to do without)",
            error.installer,
            error.problem,
        ) from error
    raise InputError(
        f"{artifact.name} fits no emulated board, so that its stack cannot be measured; give the "
        "bytes of stack yourself: --stack BYTES"
    )


def _measuring_boards(cpu: Cpu) -> list[Board]:
    """Emulated boards that can run code for `cpu`, those with the most similar CPU first."""
    able = [
        board
        for board in boards().values()
        if board.platform == "qemu" and board.cpu.runs_code_for(cpu)
    ]
    return sorted(able, key=lambda b: (b.cpu.name != cpu.name, len(b.cpu.features), b.name))
