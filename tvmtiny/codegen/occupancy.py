"""The contents of an artifact's arena, described by the names of the model."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.stream_info import LATER, RING, STATE, WINDOW
from tvmtiny.memory import Request
from tvmtiny.memory.peak import step_bounds


@dataclass(frozen=True)
class Occupant:
    """A piece of the arena.

    Attributes
    ----------
    name
        Name of the request in the plan.
    label
        TFLite's name of the tensor, or the layer that a workspace belongs to.
    kind
        ``input``, ``output``, ``activation`` or ``workspace``.
    bytes, offset
        Size, and offset in the arena, in bytes.
    first, last
        First and last step of the lifetime: step 0 fills the inputs, step ``i + 1`` is layer
        ``i``, the step after the last layer reads the outputs.
    """

    name: str
    label: str
    kind: str
    bytes: int
    offset: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """Offset of the first byte after the occupant."""
        return self.offset + self.bytes


@dataclass(frozen=True)
class Peak:
    """The step that bounds the arena.

    Attributes
    ----------
    step
        The step, numbered as in `Occupant`.
    label
        Description of the step.
    bytes
        Lower bound in bytes for all buffers that are alive in this step.
    occupants
        These buffers, largest first.
    """

    step: int
    label: str
    bytes: int
    occupants: tuple[Occupant, ...]


def occupants(artifact: Artifact) -> tuple[Occupant, ...]:
    """Return all buffers in the arena, sorted by first step."""
    labels = {layer.writes: layer.name for layer in reversed(artifact.layers)}
    for position, tensor in enumerate(artifact.inputs):
        labels[f"input.{position}"] = tensor.name
    for position, tensor in enumerate(artifact.outputs):
        labels[f"output.{position}"] = tensor.name
    found = [
        Occupant(
            request.name,
            _label(request.name, labels, artifact),
            _kind(request, artifact),
            request.size,
            artifact.plan.offsets[request.name],
            request.first,
            request.last,
        )
        for request in artifact.problem.requests
    ]
    return tuple(sorted(found, key=lambda o: (o.first, o.last, o.offset, o.name)))


def peak(artifact: Artifact) -> Peak:
    """Return the step with the highest lower bound; the first one among equals."""
    bounds = step_bounds(artifact.problem)
    step = max(bounds, key=lambda s: (bounds[s], -s), default=0)
    alive = [o for o in occupants(artifact) if o.first <= step <= o.last]
    return Peak(
        step,
        step_label(artifact, step),
        bounds.get(step, 0),
        tuple(sorted(alive, key=lambda o: (-o.bytes, o.name))),
    )


def step_label(artifact: Artifact, step: int) -> str:
    """Describe a step."""
    if step == 0:
        return "inputs"
    if step > len(artifact.layers):
        return "outputs"
    layer = artifact.layers[step - 1]
    return f"layer {layer.index} {layer.operator}"


def _label(name: str, labels: dict[str, str], artifact: Artifact) -> str:
    if name.startswith("workspace."):
        _, index, workspace = name.split(".", 2)
        return f"{workspace} of layer {index}"
    if name == STATE:
        return "progress of the inference"
    if name.startswith(WINDOW):
        tensor = name.removeprefix(WINDOW)
        return f"window over rows of {labels.get(tensor, tensor)}"
    if name.startswith(LATER):
        name = name.replace(LATER, RING, 1)
    ring = name.startswith(RING)
    if ring and name.removeprefix(RING).isdigit():
        return f"rings of the segment from layer {name.removeprefix(RING)} on"
    known = labels.get(name) or labels.get(name.removeprefix(RING), name)
    return f"rows of {known}" if ring else known


def _kind(request: Request, artifact: Artifact) -> str:
    if request.name.startswith("workspace.") or request.name == STATE:
        return "workspace"
    if request.name.startswith("input."):
        return "input"
    return "output" if request.last > len(artifact.layers) else "activation"
