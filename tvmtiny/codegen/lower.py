"""Lowering of a scheduled TIR function to one plain C function, with TVM's own C printer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import prod

import numpy as np
import tvm
from tvm import tirx
from tvm.ir import PointerType
from tvm_ffi import StructuralKey, structural_walk

from tvmtiny.codegen.headers import header_text
from tvmtiny.codegen.kernel_parts import slice_function
from tvmtiny.codegen.lowering_passes import c_target, run_passes
from tvmtiny.codegen.recent_values import RecentValues
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node
from tvmtiny.schedule.implementation import (
    HEADERS_ATTR,
    OVERLAPS_ATTR,
    PREAMBLE_ATTR,
    SCHEDULE_ATTR,
    TUNED_ATTR,
    Implementation,
)
from tvmtiny.schedule.overlap import Overlap, parse_overlaps

#: Kernel buffers above this size lie in the arena, so that stack use stays small and known.
STACK_BUFFER_BYTES = 128

#: Runtime headers that a kernel includes if it calls one of their functions.
_ON_DEMAND = (
    "tvmtiny_division.h",
    "tvmtiny_double.h",
    "tvmtiny_double_math.h",
    "tvmtiny_math.h",
    "tvmtiny_power.h",
    "tvmtiny_rows.h",
    "tvmtiny_wrapping.h",
)


@dataclass(frozen=True)
class Workspace:
    """A buffer that a kernel needs while it runs.

    Attributes
    ----------
    size
        Size in bytes.
    """

    name: str
    dtype: str
    size: int


@dataclass(frozen=True, eq=False)
class InnerCall:
    """A call of a kernel by another kernel that runs a subgraph.

    Attributes
    ----------
    function
        Name of the called kernel's PrimFunc.
    kernel
        The called kernel.
    node, made
        The node that the kernel implements and its implementation; None for TVM's own schedules.
    constants
        Bytes of the constants that the kernel reads.
    times
        Executions in one execution of the caller; both branches of a condition count.
    """

    function: str
    kernel: Kernel
    node: Node
    made: Implementation | None
    constants: int
    times: int


@dataclass(frozen=True)
class Kernel:
    """One C function.

    Attributes
    ----------
    symbol
        The C name.
    prototype
        The declaration without the semicolon. Parameters: inputs and constants, then the output,
        then one pointer per workspace.
    source
        The definition.
    workspaces
        The buffers that the caller provides.
    schedule
        Description of the schedule, for comments and reports.
    headers
        Runtime headers that the source includes.
    preamble
        Instantiations of micro-kernels, placed before the source.
    overlaps
        Pairs of parameters that may share bytes; all others must not overlap.
    tuned
        Whether the schedule comes from a tuned record.
    lowered
        The function that was printed; for a kernel that runs in parts, the undivided function.
    weights
        The share of each unit in the kernel's work; None for a kernel that does not run in parts.
        A kernel in parts takes two more parameters: a part's first unit and its end.
    inner
        The calls of other kernels.
    in_parts
        The kernel in parts, for a kernel that was not lowered; see `slice_kernel`.
    """

    symbol: str
    prototype: str
    source: str
    workspaces: tuple[Workspace, ...]
    schedule: str
    headers: tuple[str, ...]
    preamble: tuple[str, ...]
    overlaps: tuple[Overlap, ...] = ()
    tuned: bool = False
    lowered: tirx.PrimFunc | None = field(default=None, compare=False, repr=False)
    weights: np.ndarray | None = field(default=None, compare=False, repr=False)
    inner: tuple[InnerCall, ...] = field(default=(), compare=False, repr=False)
    in_parts: Kernel | None = field(default=None, compare=False, repr=False)


def reached(functions: Iterable[str], kernels: Mapping[str, Kernel]) -> set[str]:
    """Return the names of the given PrimFuncs and of all that they call."""
    found: set[str] = set()
    left = list(functions)
    while left:
        function = left.pop()
        if function not in found:
            found.add(function)
            left += [call.function for call in kernels[function].inner]
    return found


def used_kernels(functions: Iterable[str], kernels: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """Return the kernels that the given functions are or call, in the order of `kernels`.

    The keys are names of PrimFuncs.
    """
    used = reached(functions, kernels)
    return {name: kernel for name, kernel in kernels.items() if name in used}


#: Size of the cache: more kernels than any model has, so that a rebuild lowers only what changed,
#: and another core or oracle what differs.
_KEPT_KERNELS = 1024

#: Prefix of the symbols of kernels in the second of the caches below.
_UNNAMED = "tvmtiny_unnamed_"

#: What decides the C code of a function. Names of variables are not part of the structure.
_Code = tuple[StructuralKey, tuple[str, ...]]

_by_function: RecentValues[tuple[tirx.PrimFunc, str], Kernel] = RecentValues(_KEPT_KERNELS)
_by_code: RecentValues[_Code, Kernel] = RecentValues(_KEPT_KERNELS)


def lower_kernels(functions: Mapping[str, tirx.PrimFunc]) -> dict[str, Kernel]:
    """Lower functions and print them as C; caches return kernels of equal functions.

    TVM takes less time for functions together than for one after the other.

    Parameters
    ----------
    functions
        Schedulable PrimFuncs by C name. The last parameter of each is the output; all others are
        only read.
    """
    known = {symbol: _by_function.get((f, symbol)) for symbol, f in functions.items()}
    codes = {symbol: _code(functions[symbol]) for symbol, found in known.items() if found is None}
    unnamed = {code: _by_code.get(code) for code in codes.values()}
    new = [code for code, found in unnamed.items() if found is None]
    for code, made in zip(new, _lower([key.key for key, _ in new]), strict=True):
        unnamed[code] = made
        _by_code.put(code, made)
    kernels = {}
    for symbol, function in functions.items():
        kernel = known[symbol]
        if kernel is None:
            kernel = _named(unnamed[codes[symbol]], symbol)
            _by_function.put((function, symbol), kernel)
        kernels[symbol] = kernel
    return kernels


def _code(function: tirx.PrimFunc) -> _Code:
    function = function.without_attr("global_symbol")
    return StructuralKey(function), _variable_names(function)  # type: ignore[call-arg]


def _named(unnamed: Kernel | None, symbol: str) -> Kernel:
    assert unnamed is not None and unnamed.lowered is not None
    return replace(
        unnamed,
        symbol=symbol,
        prototype=unnamed.prototype.replace(unnamed.symbol, symbol, 1),
        source=unnamed.source.replace(unnamed.symbol, symbol, 1),
        lowered=unnamed.lowered.with_attr("global_symbol", symbol),
    )


def _lower(functions: Sequence[tirx.PrimFunc]) -> list[Kernel]:
    named = {f"{_UNNAMED}{number}": function for number, function in enumerate(functions)}
    printed = {}
    for symbol, lowered in run_passes(named).items():
        plain, workspaces = _plain_parameters(lowered)
        printed[symbol] = _Printed(plain, len(named[symbol].params) - 1, workspaces, plain)
    return _print(printed)


def _variable_names(function: tirx.PrimFunc) -> tuple[str, ...]:
    names: list[str] = []
    structural_walk(function, (tirx.Var, lambda variable: names.append(variable.name)))
    return tuple(names)


def slice_kernel(kernel: Kernel, slices: float) -> Kernel | None:
    """Make a variant of a kernel that runs in parts; return None if it cannot be divided.

    Parameters
    ----------
    slices
        Approximate number of parts.
    """
    if kernel.lowered is None:
        return kernel.in_parts
    made = slice_function(kernel.lowered, slices)
    if made is None:
        return None
    moved = tuple(
        Workspace(b.name, str(b.dtype), prod(int(d) for d in b.shape) * DTYPE_BYTES[str(b.dtype)])
        for b in made.moved
    )
    inputs = [p.name for p in kernel.lowered.params].index("out")
    workspaces = (*kernel.workspaces, *moved)
    printed = _Printed(made.function, inputs, workspaces, kernel.lowered)
    return replace(_print({kernel.symbol: printed})[0], weights=made.weights)


@dataclass(frozen=True)
class _Printed:
    """A function that is printed.

    Attributes
    ----------
    function
        The function, with pointers as parameters.
    inputs
        Number of parameters before the output.
    workspaces
        The buffers after the output.
    lowered
        See `Kernel`.
    """

    function: tirx.PrimFunc
    inputs: int
    workspaces: tuple[Workspace, ...]
    lowered: tirx.PrimFunc


def _print(functions: Mapping[str, _Printed]) -> list[Kernel]:
    """Print functions, given by symbol."""
    if not functions:
        return []
    module = tvm.IRModule({symbol: printed.function for symbol, printed in functions.items()})
    text = _printer()(_lower_intrinsics()(module), c_target()).inspect_source()
    return [_as_c99(text, symbol, printed) for symbol, printed in functions.items()]


@cache
def _lower_intrinsics() -> tvm.ir.transform.Pass:
    return tirx.transform.LowerIntrin()


@cache
def _printer() -> Callable[[tvm.IRModule, tvm.target.Target], tvm.runtime.Module]:
    return tvm.get_global_func("target.build.c")


def _plain_parameters(function: tirx.PrimFunc) -> tuple[tirx.PrimFunc, tuple[Workspace, ...]]:
    """Turn buffers into pointers, and large local buffers into additional parameters."""
    parameters: list[tirx.Var] = []
    declarations: list[tirx.Stmt] = []

    def add(buffer: tirx.Buffer) -> None:
        pointer = tirx.Var(buffer.name, PointerType(buffer.ty.dtype))
        parameters.append(pointer)
        declarations.append(tirx.DeclBuffer(buffer, data=pointer))

    for buffer in function.params:
        add(buffer)
    kept: list[tirx.Stmt] = []
    workspaces: list[Workspace] = []
    for statement in _statements(function):
        workspace = _workspace(statement)
        if workspace is None:
            kept.append(statement)
        else:
            add(statement.buffer)
            workspaces.append(workspace)
    plain = tirx.PrimFunc(
        parameters,
        tirx.SeqStmt([*declarations, *kept]),
        function.ret_type,
        attrs=function.attrs,
    )
    return plain, tuple(workspaces)


def local_buffers(function: tirx.PrimFunc) -> tuple[Workspace, ...]:
    """Return the workspaces of a scheduled function without lowering it."""
    found = (_workspace(statement) for statement in _statements(function))
    return tuple(workspace for workspace in found if workspace is not None)


def _statements(function: tirx.PrimFunc) -> Sequence[tirx.Stmt]:
    body = function.body
    return list(body.seq) if isinstance(body, tirx.SeqStmt) else [body]


def _workspace(statement: tirx.Stmt) -> Workspace | None:
    """Return the workspace that a statement declares; None if its buffer fits on the stack."""
    if not isinstance(statement, tirx.AllocBuffer):
        return None
    buffer = statement.buffer
    size = prod(int(d) for d in buffer.shape) * DTYPE_BYTES[str(buffer.dtype)]
    if size <= STACK_BUFFER_BYTES:
        return None
    return Workspace(buffer.name, str(buffer.dtype), size)


def _as_c99(text: str, symbol: str, printed: _Printed) -> Kernel:
    """Keep only the definition of a function, and add const and restrict to its parameters."""
    inputs, workspaces, lowered = printed.inputs, printed.workspaces, printed.lowered
    _, found, definition = text.rpartition(f"TVM_DLL void {symbol}(")
    assert found, text
    listed, _, rest = definition.partition(") {")
    body = rest[: rest.index("\n}\n")] + "\n}"
    _check_temporaries(body)
    words = set(re.findall(r"\w+", body))
    attributes = lowered.attrs
    written = {"out": inputs, **{w.name: inputs + 1 + i for i, w in enumerate(workspaces)}}
    stated = parse_overlaps(attributes.get(OVERLAPS_ATTR, "[]"))
    # A small workspace lies on the stack, so the stated overlap does not apply.
    overlaps = tuple(o for o in stated if o.written in written)
    shared = {position for o in overlaps for position in (o.read, written[o.written])}
    assert all(o.read < inputs for o in overlaps), overlaps
    parameters, unused = [], ""
    for position, parameter in enumerate(listed.split(", ")):
        if "* " not in parameter:
            parameters.append(parameter)
            continue
        dtype, name = parameter.split("* ")
        const = "const " if position < inputs else ""
        restrict = "" if position in shared else "TVMTINY_RESTRICT "
        parameters.append(f"{const}{dtype} *{restrict}{name}")
        # The simplifier removes operands that are multiplied by zero.
        if name not in words:
            unused += f"\n  (void){name};"
    body = _use_what_is_only_written(body)
    tuned = TUNED_ATTR in attributes
    prototype = f"void {symbol}({', '.join(parameters)})"
    headers = dict.fromkeys(attributes.get(HEADERS_ATTR, "").split())
    headers.update((header, None) for name, header in _functions().items() if name in words)
    return Kernel(
        symbol,
        prototype,
        f"{prototype}\n{{{unused}{body}\n",
        workspaces,
        attributes[SCHEDULE_ATTR] + (", tuned" if tuned else ""),
        tuple(headers),
        tuple(attributes.get(PREAMBLE_ATTR, "").splitlines()),
        overlaps,
        tuned,
        lowered,
    )


@cache
def _functions() -> Mapping[str, str]:
    """Map each function of an on-demand header to that header."""
    found: dict[str, str] = {}
    pattern = r"^static inline \w+ TVMTINY_UNUSED (\w+)\("
    for header in _ON_DEMAND:
        names = re.findall(pattern, header_text(header), re.MULTILINE)
        found.update(dict.fromkeys(names, header))
    return found


def _use_what_is_only_written(body: str) -> str:
    """Mark local arrays as used that a simplification left without readers."""
    if "];" not in body:
        return body
    for line, name in re.findall(r"^( *\w+ (\w+)\[\d+\];)$", body, re.MULTILINE):
        mentions = len(re.findall(rf"\b{name}\b", body)) - 1
        writes = len(re.findall(rf"^ *{name}\[[^=;]*\] = ", body, re.MULTILINE))
        if mentions == writes:
            indent = line[: len(line) - len(line.lstrip())]
            body = body.replace(line, f"{line}\n{indent}(void){name};")
    return body


def _check_temporaries(body: str) -> None:
    """Assert that no temporary is used again after the memory that it was read from changed.

    The printer keeps operands of min and max in temporaries, and reuses a temporary wherever the
    text of an operand repeats, even if the memory that it reads was written in between.
    """
    if " v_" not in body:
        return
    lines = body.splitlines()
    for name in re.findall(r"^ *\w+ (v_\w*) = .*\[", body, re.MULTILINE):
        uses = [line for line in lines if f"({name})" in line]
        assert len(uses) <= 1, f"{name} is used again:\n{body}"
