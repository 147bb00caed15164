"""What lies in an artifact's arena, in words that a person knows from the model."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.stream_info import RING, STATE
from tvmtiny.memory import Request
from tvmtiny.memory.peak import step_bounds


@dataclass(frozen=True)
class Occupant:
    """A piece of the arena.

    Attributes
    ----------
    name
        Of its request in the plan.
    label
        TFLite's name of the tensor, or which layer's workspace it is.
    kind
        ``input``, ``output``, ``activation`` or ``workspace``.
    bytes, offset
        Size, and distance from the start of the arena.
    first, last
        Steps between which it is alive: 0 fills the inputs, ``i + 1`` is layer ``i``, the one
        after the last layer reads the outputs.
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
        """First byte after it."""
        return self.offset + self.bytes


@dataclass(frozen=True)
class Peak:
    """The step that bounds the arena.

    Attributes
    ----------
    step
        See `Occupant`.
    label
        What happens there.
    bytes
        What is alive there cannot lie in less.
    occupants
        All of that, largest first.
    """

    step: int
    label: str
    bytes: int
    occupants: tuple[Occupant, ...]


def occupants(artifact: Artifact) -> tuple[Occupant, ...]:
    """Everything in the arena, by first step."""
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
    """The step whose content alone needs most; the first one among equals."""
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
    """What happens at a step."""
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
