"""What runs in processes of their own: building candidates, and estimating their cycles."""

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
from tvmtiny.tuning.emulation import Emulation, EmulationError, emulate_image
from tvmtiny.tuning.image import CandidateRegion, Image, TooBigError, build_image, read_image
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

#: Characters of a log that are kept.
LOG_CHARACTERS = 2000


@dataclass(frozen=True, eq=False)
class Workshop:
    """What all builds of a tuning run share.

    Attributes
    ----------
    nodes
        The layers of the model, after the graph passes.
    compiler
        Generates the code of one layer with given decisions; None where they are not valid.
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
    """A candidate's build.

    Attributes
    ----------
    status
        ``ok``, or how it failed; None where the decisions are not valid for the layer.
    image
        What a board needs to run it.
    flash_bytes, workspace_bytes
        See `tvmtiny.schedule.records.Record`.
    log
        Why it failed.
    code
        A hash of the generated code: candidates that share it are the same.
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
    """Generate the code of one layer: the `Workshop.compiler` of every real tuning run."""
    return compile_layer(model, node, target, decisions, goal=goal, name="layer")


def prepare() -> None:
    """What a process does first: an interrupt from the keyboard is its parent's business.

    Where the parent has gone, nobody waits for what is being done, which may take long.
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
    workshop_path: Path, position: int, decisions: Decisions, directory: Path
) -> Built:
    """Build one candidate; whatever goes wrong is told in the result.

    Parameters
    ----------
    workshop_path
        A pickled `Workshop`.
    position
        Of the layer in its nodes.
    directory
        For the sources, which are removed afterwards.
    """
    workshop = open_workshop(workshop_path)
    node = workshop.nodes[position]
    try:
        artifact = workshop.compiler(
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
        # The command is on the first line, with paths of this machine.
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
    """Instructions and estimated cycles of a candidate, or how it failed.

    Parameters
    ----------
    inputs, seconds
        See `tvmtiny.tuning.emulation.emulate_image`; where Unicorn does not have the CPU, QEMU
        runs the candidate.
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
    """The beginning and the end: errors come first with compilers, last with Python."""
    if len(log) <= LOG_CHARACTERS:
        return log
    half = LOG_CHARACTERS // 2
    return f"{log[:half]}\n...\n{log[-half:]}"
