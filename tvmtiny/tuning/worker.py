"""Functions that run in worker processes: build candidates, and estimate their cycles."""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import select
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.compiler import compile_layer
from tvmtiny.emulation.unicorn_cpu import can_emulate
from tvmtiny.errors import BuildError, TvmtinyError
from tvmtiny.project.qemu.flags import DEFAULT_OPTIMIZATION
from tvmtiny.schedule.records import Status
from tvmtiny.tuning.candidate_program import (
    CandidateRegion,
    Image,
    TooBigError,
    build_image,
    read_image,
)
from tvmtiny.tuning.emulation import Emulation, EmulationError, emulate_image
from tvmtiny.tuning.qemu_emulation import emulate_image_in_qemu

if TYPE_CHECKING:
    from tvmtiny.codegen import Artifact
    from tvmtiny.frontend import Model
    from tvmtiny.ops import Node
    from tvmtiny.schedule import Decisions, Goal
    from tvmtiny.targets import Target

    LayerCompiler = Callable[[Model, Node, Target, Decisions, Goal], Artifact | None]

__all__ = [
    "Built",
    "Workshop",
    "build_candidate",
    "compile_candidate",
    "estimate",
    "open_workshop",
    "prepare",
]

#: Limit on the characters of a log that are kept.
LOG_CHARACTERS = 2000


@dataclass(frozen=True, eq=False)
class Workshop:
    """Data shared by all builds of a tuning run.

    Attributes
    ----------
    nodes
        Layers of the model after the graph passes.
    compiler
        Generates the code of a layer with given decisions; returns None if they are not valid.
    """

    model: Model
    nodes: tuple[Node, ...]
    target: Target
    goal: Goal
    region: CandidateRegion
    compiler: LayerCompiler
    optimization: str = DEFAULT_OPTIMIZATION


@dataclass(frozen=True)
class Built:
    """The result of building a candidate.

    Attributes
    ----------
    status
        ``ok``, or the kind of failure; None if the decisions are not valid for the layer.
    image
        Image to run on a board.
    flash_bytes, workspace_bytes
        See `tvmtiny.schedule.records.Record`.
    log
        Reason for a failure.
    code
        Hash of the generated code; candidates with equal hashes are equivalent.
    """

    status: Status | None
    image: Image | None = None
    flash_bytes: int | None = None
    workspace_bytes: int | None = None
    log: str = ""
    code: str = ""


def compile_candidate(
    model: Model, node: Node, target: Target, decisions: Decisions, goal: Goal
) -> Artifact | None:
    """Generate the code of one layer; the `Workshop.compiler` of every real tuning run."""
    return compile_layer(model, node, target, decisions, goal=goal, name="layer")


def prepare() -> None:
    """Initialize a worker process.

    The worker ignores keyboard interrupts, which its parent handles, and exits when the parent
    does, because its current job may take long.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.pidfd_open(os.getppid())

    def end() -> None:
        select.select([parent], [], [])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@functools.cache
def open_workshop(path: Path) -> Workshop:
    """Read the `Workshop` of a tuning run, once in each process."""
    workshop = pickle.loads(path.read_bytes())
    assert isinstance(workshop, Workshop)
    return workshop


def build_candidate(
    workshop_path: Path,
    position: int,
    decisions: Decisions,
    directory: Path,
    artifact: Artifact | None = None,
) -> Built:
    """Build one candidate; failures are reported in the result.

    Parameters
    ----------
    workshop_path
        Path of a pickled `Workshop`.
    position
        Position of the layer in the nodes of the workshop.
    directory
        Directory for the sources, which is removed afterwards.
    artifact
        Code of the candidate; by default it is generated.
    """
    workshop = open_workshop(workshop_path)
    node = workshop.nodes[position]
    try:
        artifact = artifact or workshop.compiler(
            workshop.model, node, workshop.target, decisions, workshop.goal
        )
    except Exception:
        return Built(Status.COMPILE_ERROR, log=_excerpt(traceback.format_exc()))
    if artifact is None:
        return Built(None)
    board = workshop.target.board
    assert board is not None
    try:
        elf = build_image(artifact, board, workshop.region, directory, workshop.optimization)
        image = read_image(elf, artifact, workshop.region)
    except TooBigError as error:
        return Built(Status.TOO_BIG, log=str(error))
    except BuildError as error:
        compiling = "-c" in error.command
        log = Path(error.log_path).read_text(encoding="utf-8", errors="replace")
        # The first line is the command, which contains paths of this machine.
        said = log.partition("\n")[2].replace(str(directory), ".")
        return Built(Status.COMPILE_ERROR if compiling else Status.LINK_ERROR, log=_excerpt(said))
    except (TvmtinyError, OSError) as error:
        return Built(Status.COMPILE_ERROR, log=_excerpt(str(error)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Built(
        Status.OK,
        image,
        image.code_bytes + image.constants_bytes,
        artifact.layers[0].workspace_bytes,
        code=hashlib.sha256(repr(sorted(artifact.files.items())).encode()).hexdigest(),
    )


def estimate(
    workshop_path: Path, image: Image, inputs: Sequence[bytes], seconds: float
) -> Emulation | tuple[Status, str]:
    """Estimate instructions and cycles of a candidate, or report how it failed.

    Parameters
    ----------
    inputs, seconds
        See `tvmtiny.tuning.emulation.emulate_image`; if Unicorn does not support the CPU, QEMU runs
        the candidate.
    """
    workshop = open_workshop(workshop_path)
    target = workshop.target
    try:
        if can_emulate(target.cpu):
            return emulate_image(image, workshop.region, target.cpu, inputs, seconds)
        assert target.board is not None
        return emulate_image_in_qemu(image, workshop.region, target.board, inputs, seconds)
    except EmulationError as error:
        return (Status.TIMEOUT if error.timeout else Status.CRASH), str(error)


def _excerpt(log: str) -> str:
    """Keep the start and the end: errors come first with compilers, and last with Python."""
    if len(log) <= LOG_CHARACTERS:
        return log
    half = LOG_CHARACTERS // 2
    return f"{log[:half]}\n...\n{log[-half:]}"
