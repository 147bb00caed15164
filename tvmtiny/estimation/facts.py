"""Facts that the cost of a program depends on: keys in the tables and amounts of work."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tvmtiny.codegen.lower import Kernel
from tvmtiny.estimation.kernels import Part, instantiations, parts
from tvmtiny.estimation.multipliers import steps_of_multiplier
from tvmtiny.estimation.walk import walk
from tvmtiny.ops import Node, find_operator
from tvmtiny.ops.shared.runtime_call import RUNTIME_SCHEDULE
from tvmtiny.schedule import Implementation

__all__ = [
    "WORK",
    "Function",
    "KernelFacts",
    "entry_amounts",
    "facts",
    "facts_for",
    "keys",
    "rough_amounts",
]

#: Prefix of the names of amounts that state the work of a layer as a whole. Only rows of operators
#: have them: operators of a family take different times for the same work.
WORK = "layer "

#: Parts of a schedule's description that state sizes.
_SIZES = re.compile(
    r"(unroll|shift|strips of|blocks of|sums in|chunks of|planes of) [^,]*"
    r"|, (tuned|\d+ columns at a time)|\b\d+ (?=(rows|patches|pixels))|(?<=tile )\d+x\d+"
)

#: Amount of the requantizations with two roundings.
_REQUANTIZED = "call tvmtiny_requantize"

_LANES = re.compile(r"\b\d+ (?=lanes)")


@dataclass(frozen=True)
class Function:
    """A micro-kernel that a kernel calls.

    Attributes
    ----------
    name
        The C name.
    kind
        The name in the tables.
    events
        Executions of each part of the micro-kernel in one execution of the kernel.
    calls
        Number of calls in the text of all kernels.
    fixed
        Whether compilers never inline the micro-kernel.
    guessed
        Whether `events` are only the sums of its arguments.
    """

    name: str
    kind: str
    events: Mapping[str, float]
    calls: int
    fixed: bool
    guessed: bool = False

    def read_by(self, event: str) -> str:
        """Return the name of the amount that determines the bytes the function reads."""
        return f"({self.kind}) {event}"

    def is_inlined(self, often: Container[str]) -> bool:
        """Return whether GCC inlines the function: if it is called once, or if it is small.

        Parameters
        ----------
        often
            Kinds of small functions.
        """
        return not self.fixed and (self.calls == 1 or self.kind in often)


@dataclass(frozen=True)
class KernelFacts:
    """The amounts of work of a kernel.

    Attributes
    ----------
    counts
        Counts of the kernel's own loops.
    functions
        The micro-kernels that the loops call.
    """

    counts: Mapping[str, float]
    functions: tuple[Function, ...]

    def amounts(
        self, is_inlined: Callable[[Function], bool]
    ) -> tuple[dict[str, float], list[Function]]:
        """Return the amounts of the kernel itself, and the functions that are not inlined.

        Parameters
        ----------
        is_inlined
            Whether a compiler inlines a function into its caller.
        """
        amounts = {"one": 1.0, **self.counts}
        apart = []
        for function in self.functions:
            if is_inlined(function):
                for event, count in function.events.items():
                    name = f"{function.kind}: {event}"
                    amounts[name] = amounts.get(name, 0.0) + count
            else:
                apart.append(function)
                calls = function.events.get("call", 0.0)
                amounts["calls"] = amounts.get("calls", 0.0) + calls
        return amounts, apart


def facts(kernels: Iterable[Kernel], *, unaligned: bool) -> dict[str, KernelFacts]:
    """Collect the facts of all kernels of a program, by symbol.

    Parameters
    ----------
    kernels
        The kernels of the program.
    unaligned
        Whether the core loads words from any address.
    """
    walks = {
        kernel.symbol: (walk(kernel.lowered, unaligned), kernel)
        for kernel in kernels
        if kernel.lowered is not None
    }
    multipliers = {m for found, _ in walks.values() for m in found.multipliers}
    only = next(iter(multipliers)) if len(multipliers) == 1 and not unaligned else None
    steps = 0 if only is None else steps_of_multiplier(only)
    # A micro-kernel that another one calls has one caller, however often that one is called.
    calls: Counter[str] = Counter()
    nested: set[tuple[str, str]] = set()
    constants: defaultdict[str, set[tuple[int, ...] | None]] = defaultdict(set)
    made = {}
    found_parts = {}
    for symbol, (found, kernel) in walks.items():
        known = instantiations(kernel.preamble)
        events: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        shown: dict[str, Part] = {}
        for call in found.calls:
            for part in parts(call, known, unaligned):
                shown[part.function] = part
                constants[part.function].add(part.constants)
                if part.function == call.function:
                    calls[part.function] += 1
                elif (part.function, call.function) not in nested:
                    nested.add((part.function, call.function))
                    calls[part.function] += 1
                for event, count in part.events.items():
                    events[part.function][event] += count
        found_parts[symbol] = (shown, events)
    # Functions without known constants adapt to a single caller.
    adapted = {
        name
        for name, seen in constants.items()
        if len(seen) == 1 and None not in seen and (calls[name] == 1 or seen != {()})
    }
    for symbol, (shown, events) in found_parts.items():
        functions = tuple(
            Function(
                name,
                f"{part.kind} alone" if name in adapted else part.kind,
                dict(events[name]),
                calls[name],
                part.fixed,
                part.guessed,
            )
            for name, part in shown.items()
            if any(events[name].values())
        )
        counts = dict(walks[symbol][0].counts)
        if steps and _REQUANTIZED in counts:
            counts["multiplier step"] = counts[_REQUANTIZED] * steps
        made[symbol] = KernelFacts(counts, functions)
    return made


def facts_for(node: Node, made: Implementation | None, found: KernelFacts) -> KernelFacts:
    """Return facts that state the work of a layer in place of functions without counted loops."""
    counted = tuple(function for function in found.functions if not function.guessed)
    if len(counted) == len(found.functions):
        return found
    amounts = {f"{WORK}{name}": count for name, count in rough_amounts(node, made).items()}
    return KernelFacts({**found.counts, **amounts}, counted)


def keys(node: Node, kernel: Kernel) -> Iterator[str]:
    """Yield the keys of a layer in the tables, from the most to the least specific."""
    schedule = _SIZES.sub(lambda match: match[1] or "", kernel.schedule)
    # The loops around sparse tiles equal those around dense ones.
    schedule = schedule.replace("sparse, ", "").replace("sparse", "unroll")
    family = schedule.split(",")[0]
    dtype = node.output.dtype
    yield f"{node.operator} {dtype} {schedule}"
    # The number of lanes matters, because it decides what fits in registers.
    yield f"{node.operator} {dtype} {_LANES.sub('', schedule)}"
    yield f"{node.operator} {dtype} {family}"
    # Functions of the runtime have nothing in common.
    if family != RUNTIME_SCHEDULE:
        yield family


def rough_amounts(node: Node, made: Implementation | None) -> Mapping[str, float]:
    """Return the amounts of a layer whose kernels were never measured."""
    reads = [t for t in node.inputs if t is not None and t.data is None]
    operator = find_operator(node.operator)
    return {
        "one": 1.0,
        "outputs": float(node.output.elements),
        "inputs": float(sum(t.elements for t in reads)),
        "macs": float(0 if operator is None else operator.macs(node)),
        "estimate": 0.0 if made is None else float(made.instructions),
    }


def entry_amounts(arguments: Sequence[int], interface: int) -> Mapping[str, float]:
    """Return the amounts of the run function.

    Parameters
    ----------
    arguments
        Number of arguments of each call of a kernel.
    interface
        Number of inputs and outputs of the model.
    """
    return {
        "one": 1.0,
        "calls": float(len(arguments)),
        "arguments": float(sum(arguments)),
        "interface": float(interface),
    }
