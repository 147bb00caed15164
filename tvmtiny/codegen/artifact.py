"""`Artifact`: the generated code with everything that is known about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import IRModule

from tvmtiny.codegen.placement import Placement
from tvmtiny.codegen.stream_info import StreamInfo, StreamMode
from tvmtiny.errors import InputError
from tvmtiny.frontend.feed import Feed
from tvmtiny.frontend.reader import Graph
from tvmtiny.frontend.training import Training
from tvmtiny.memory import Plan, Problem
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, round_half_away
from tvmtiny.targets import Target


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the model.

    Attributes
    ----------
    name
        TFLite's tensor name.
    c_name
        Its field in the generated structs, see `interface_names`.
    bytes
        Size.
    offset
        Where it lies in the arena, in bytes; None where the caller provides its memory.
    scale, zero_point
        None where the tensor is not quantized.
    """

    name: str
    c_name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int | None
    scale: float | None
    zero_point: int | None

    def quantize(self, real: npt.ArrayLike) -> np.ndarray:
        """Real numbers as values of this tensor, as the generated ``..._quantize_...`` does.

        ``round(real / scale) + zero_point`` in float32 with halves away from zero, and saturated:
        LiteRT's QUANTIZE, which leaves undefined what is far beyond the range. Infinities saturate,
        too, and NaN gives the lowest value.

        Parameters
        ----------
        real
            Of any shape; taken as float32.

        Returns
        -------
        np.ndarray
            Of the same shape and of `dtype`.

        Raises
        ------
        InputError
            If the tensor has no scale.
        """
        scale, zero_point = self._quantization()
        low, high = INTEGER_RANGES[self.dtype]
        least, most = np.float32(low - zero_point), np.float32(high - zero_point)
        with np.errstate(all="ignore"):
            steps = np.asarray(real, np.float32) / np.float32(scale)
            limited = np.where(steps > least, np.minimum(steps, most), least)
        return (round_half_away(limited).astype(np.int32) + zero_point).astype(self.dtype)

    def dequantize(self, values: npt.ArrayLike) -> np.ndarray:
        """The real numbers of values of this tensor, as the generated ``..._dequantize_...`` does.

        ``scale * (value - zero_point)``, rounded once to float32: LiteRT's DEQUANTIZE.

        Parameters
        ----------
        values
            Of any shape, integers that `dtype` can hold.

        Returns
        -------
        np.ndarray
            float32, of the same shape.

        Raises
        ------
        InputError
            If the tensor has no scale, or a value is none of its dtype.
        """
        scale, zero_point = self._quantization()
        given = np.asarray(values)
        whole = given.astype(np.int32) if given.dtype.kind in "iu" else None
        if whole is None or not np.array_equal(whole.astype(self.dtype), given):
            raise InputError(
                f"what is to be dequantized for {self.c_name} is not {self.dtype}; give integers "
                "of that range"
            )
        return (whole - np.int32(zero_point)).astype(np.float32) * np.float32(scale)

    def real(self, values: np.ndarray) -> np.ndarray:
        """`dequantize` of a quantized tensor; the values of another one as they are."""
        return values if self.scale is None else self.dequantize(values)

    def _quantization(self) -> tuple[float, int]:
        if self.scale is None or self.zero_point is None:
            raise InputError(
                f"{self.c_name} is {self.dtype} without one scale for the whole tensor: there is "
                "nothing to quantize; use its values as they are"
            )
        return self.scale, self.zero_point


@dataclass(frozen=True)
class StateInfo:
    """What the model remembers from one run to the next.

    Attributes
    ----------
    name
        Of the variable.
    tensor
        Index of the tensor that a run begins with.
    bytes, offset
        Size, and where it lies in the memory of all states.
    """

    name: str
    tensor: int
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int


@dataclass(frozen=True)
class LayerInfo:
    """One kernel call.

    Attributes
    ----------
    index
        Position in the order of execution.
    operator, name
        TFLite's operator, and the name of its output tensor.
    tensor
        TFLite's index of the output tensor.
    shape, dtype, bytes, offset
        Of the output; the offset is in the arena, None where the caller provides its memory.
    kernel
        The C function; empty where nothing is left to do, because all inputs of a concatenation
        were produced in place.
    macs
        Multiply-accumulate operations.
    constants_bytes
        Weights and tables that this layer reads.
    workspace_bytes
        Arena bytes that only this layer uses.
    schedule
        What the scheduler decided.
    reads, writes
        Names of the activations' requests in the plan; one that is not in the plan lies in memory
        of the caller.
    kept_channels
        Which channels of TFLite's tensor, along its last dimension, the output holds; None: all.
    tuned
        Whether a tuned record decided the schedule.
    """

    index: int
    operator: str
    name: str
    tensor: int
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int | None
    kernel: str
    macs: int
    constants_bytes: int
    workspace_bytes: int
    schedule: str
    reads: tuple[str, ...]
    writes: str
    kept_channels: tuple[int, ...] | None = None
    tuned: bool = False


@dataclass(frozen=True)
class FeedInfo:
    """The function that takes samples and gives events.

    Attributes
    ----------
    feed
        What it does.
    bytes
        Its static RAM, beside the arena and the states.
    cycles
        Of a call that completes a decision, an estimate.
    """

    feed: Feed
    bytes: int
    cycles: int

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        feed = asdict(self.feed)
        return {
            "front_end": feed.pop("front_end"),
            "milliseconds": self.feed.milliseconds,
            **{k: v for k, v in feed.items() if k not in ("nodes", "early_state")},
            "feed_bytes": self.bytes,
            "longest_feed_estimated_cycles": self.cycles,
        }


@dataclass(frozen=True, eq=False)
class Artifact:
    """Generated C for one model and one target.

    Attributes
    ----------
    name
        A C identifier; every global symbol begins with ``tvmtiny_<name>``.
    files
        File name to text: header, entry point, kernels, and the shared ``tvmtiny.h``.
    graph
        The nodes that the code was generated from: the model's, after all graph passes.
    states
        What it remembers from one run to the next.
    state_bytes
        Static RAM for that, beside the arena.
    external
        Whether inputs and outputs lie in memory of the caller.
    placement
        Memory regions of the board for arena and constants.
    plan
        Where everything else lies in the arena.
    problem
        What the plan was made for: step 0 fills the inputs, step ``i + 1`` is layer ``i``.
    arena_bytes
        Inputs and outputs unless they are external, activations and workspaces. Together with
        `state_bytes`, the generated code's only static RAM.
    constants_bytes
        Weights and tables in flash.
    module
        What the code was generated from, in Relax and TIR.
    parameters
        Constants by C name, in TVM's parameter format.
    stream
        What runs row by row; None where every layer runs as a whole.
    feed
        Where a front end takes samples in blocks.
    training
        The layer that is trained on the device; None where there is none.
    """

    name: str
    target: Target
    oracle: str
    files: Mapping[str, str]
    graph: Graph
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[LayerInfo, ...]
    states: tuple[StateInfo, ...]
    state_bytes: int
    external: bool
    placement: Placement
    plan: Plan
    problem: Problem
    arena_bytes: int
    constants_bytes: int
    module: IRModule
    parameters: bytes
    stream: StreamInfo | None = None
    feed: FeedInfo | None = None
    training: Training | None = None

    @property
    def relax(self) -> str:
        """The module as a script; printing that takes about as long as generating C."""
        return self.module.script()

    @property
    def pieces(self) -> tuple[tuple[int, int], ...]:
        """For each piece of work that layer-by-layer runs report: the layer, and bytes it makes."""
        if self.stream is not None:
            return self.stream.pieces
        return tuple((layer.index, layer.bytes) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference."""
        return sum(layer.macs for layer in self.layers)


#: What firmware reports as the layer that runs while none does.
NO_LAYER = 0xFFFFFFFF


def layer_text(layers: Sequence[LayerInfo], index: int) -> str | None:
    """Name a layer by its index; None for :data:`NO_LAYER` and other numbers without a layer."""
    if not 0 <= index < len(layers):
        return None
    layer = layers[index]
    return f"layer {index} {layer.operator} ({layer.name})"


def layer_functions(artifact: Artifact) -> tuple[str, ...]:
    """Functions of the generated code that only layer-by-layer runs need."""
    names = ("run_layers", "run_layer", "layer")
    return tuple(f"tvmtiny_{artifact.name}_{name}" for name in names)


def inference_function(artifact: Artifact) -> str:
    """What the harness measures: the run function, or where windows slide, its own for one row."""
    if artifact.stream is not None and artifact.stream.mode is StreamMode.TIME:
        return "push_last_row"
    return f"tvmtiny_{artifact.name}_run"


def model_identity(artifact: Artifact) -> bytes:
    """Eight bytes that tell the generated code of one model from that of another."""
    digest = hashlib.sha256()
    for name, text in sorted(artifact.files.items()):
        for part in (name.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()[:8]
