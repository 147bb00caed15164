"""Random graphs and damaged models by seed, for scripts/fuzz_models.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema
from compared_graphs import Frames, Outcome, compare, frames_for, reduced
from mutated_models import mutated, originals, outcome
from random_graphs import random_graph

from tvmtiny.errors import TvmtinyError
from tvmtiny.frontend.flatbuffer import unpack_model

#: Larger models, which take long to compile, are inspected, compiled and run by LiteRT only.
_LARGEST_COMPARED = 10_000


@dataclass(frozen=True, eq=False)
class Tried:
    """The outcome of one seed.

    Attributes
    ----------
    content, frames
        The model and its inputs, if it was compared with LiteRT.
    refused
        Reasons of operators that were left out of a random graph.
    """

    seed: int
    outcome: Outcome
    content: bytes = b""
    frames: Frames = ()
    refused: tuple[str, ...] = ()


def try_graphs(seeds: Sequence[int], most: int = 6) -> Iterator[Tried]:
    """Compare random graphs of up to `most` operators with LiteRT, all in one build."""
    graphs = {seed: random_graph(seed, most) for seed in seeds}
    frames: dict[int, Frames] = {}
    for seed, graph in graphs.items():
        try:
            frames[seed] = frames_for(graph.content, seed, graph.limits)
        except TvmtinyError:
            # The reason is determined again below.
            frames[seed] = [[]]
    models = {str(seed): (graph.content, frames[seed]) for seed, graph in graphs.items()}
    for name, found in compare(models, seeds[0] // len(seeds)).items():
        graph = graphs[int(name)]
        refused = tuple(reason for reason, _ in graph.refused)
        yield Tried(int(name), found, graph.content, frames[int(name)], refused)


def try_mutants(seeds: Sequence[int]) -> Iterator[Tried]:
    """Damage models; inspect, compile and run them, and compare the accepted ones with LiteRT."""
    known = originals()
    names = sorted(known)
    models: dict[str, tuple[bytes, Frames]] = {}
    for seed in seeds:
        content = mutated(known[names[seed % len(names)]], seed)
        kind = outcome(content, seed)
        if kind != "ok" or len(content) > _LARGEST_COMPARED:
            yield Tried(seed, Outcome("exact" if kind == "ok" else "refused", kind))
        else:
            models[str(seed)] = content, frames_for(content, seed, {})
    for name, found in compare(models, seeds[0] // len(seeds)).items():
        yield Tried(int(name), found, *models[name])


def smallest(tried: Tried) -> tuple[bytes, str]:
    """The smallest part of a model that fails in the same way, and its operators as text."""

    def fails(content: bytes, frames: Frames) -> bool:
        found = compare({"part": (content, frames)}, tried.seed)["part"]
        return found.kind == tried.outcome.kind

    content, _ = reduced(tried.content, tried.frames, fails)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if k.isupper()}
    model = unpack_model(content)
    codes = [model.operatorCodes[o.opcodeIndex].builtinCode for o in model.subgraphs[0].operators]
    return content, ", ".join(names[code] for code in codes)
