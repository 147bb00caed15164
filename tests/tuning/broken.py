"""Compilers of layers that break their generated code, each in its own way."""

from __future__ import annotations

import dataclasses
import sys
import zlib
from collections.abc import Callable
from typing import Any

import cloudpickle

from tvmtiny.schedule.records import Status
from tvmtiny.tuning.worker import compile_candidate

# The processes that build candidates cannot import tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

_CALL = "return tvmtiny_layer_run_arena(tvmtiny_layer_arena, inputs, outputs);"
#: The bodies that replace the run function.
_INSTEAD = {
    Status.COMPILE_ERROR: "return undeclared;",
    Status.LINK_ERROR: f"extern int32_t missing(void); (void)missing(); {_CALL}",
    Status.TOO_BIG: "static volatile uint8_t huge[1 << 24]; huge[inputs != NULL] = 0u; "
    f"if (huge[0] != 0u) {{ return 1; }} {_CALL}",
    Status.CRASH: f"*(volatile uint32_t *)0xfffffff0u = 1u; {_CALL}",
    Status.TIMEOUT: f'for (;;) {{ __asm__ volatile("" : : : "memory"); }} {_CALL}',
    Status.WRONG_RESULT: "const int32_t status = "
    "tvmtiny_layer_run_arena(tvmtiny_layer_arena, inputs, outputs); "
    "tvmtiny_layer_arena[OUTPUT] ^= 1u; return status;",
}


def breaking(*kinds: Status) -> Callable[..., Any]:
    """A compiler whose candidates fail like these, except the default rule's candidate."""
    from tvmtiny.schedule import decisions_key, space

    def compile_broken(model, node, target, decisions, goal):
        artifact = compile_candidate(model, node, target, decisions, goal)
        default = space(node, target.cpu, model.oracle, goal).default
        if artifact is None or decisions == default:
            return artifact
        number = zlib.crc32(decisions_key(decisions).encode())
        return broken(artifact, kinds[number % len(kinds)])

    return compile_broken


def broken(artifact: Any, kind: Status) -> Any:
    """`artifact` with a run function that fails like this."""
    source = artifact.files["layer.c"]
    instead = _INSTEAD[kind].replace("OUTPUT", str(artifact.outputs[0].offset))
    assert source.count(_CALL) == 1
    files = {**artifact.files, "layer.c": source.replace(_CALL, instead)}
    return dataclasses.replace(artifact, files=files)
