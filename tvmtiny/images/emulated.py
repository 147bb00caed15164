"""Run the code of an image in Unicorn, for the expected outputs of models with floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import unicorn

from tvmtiny.emulation.unicorn_cpu import UnicornCpu, can_emulate
from tvmtiny.images.image_format import Image
from tvmtiny.targets import Cpu

__all__ = ["run_emulated"]

#: Addresses of the code, of arena and state, of tensors and pointers, and of the stack. The code
#: returns to `_NOWHERE`.
_CODE, _MEMORY, _TENSORS, _STACK = 0x10000000, 0x20000000, 0x30000000, 0x38000000
_NOWHERE = 0x3FFF0000
_PAGE = 0x1000
_ALIGNMENT = 16
#: Host seconds that a run may take.
_SECONDS = 60.0


def run_emulated(image: Image, cpu: Cpu, inputs: Sequence[np.ndarray]) -> list[bytes] | None:
    """Run one inference from the initial state.

    Parameters
    ----------
    cpu
        The CPU for which the image was built.
    inputs
        One array for each input, of its shape and dtype.

    Returns
    -------
    list of bytes or None
        The outputs; None if Unicorn has no such CPU, or the code does not return from there.
    """
    if not can_emulate(cpu):
        return None
    emulated = UnicornCpu(cpu)
    uc = emulated.uc
    tensors = (*image.inputs, *image.outputs)
    places, end = [], _TENSORS
    for tensor in tensors:
        if tensor.offset is not None:
            places.append(_MEMORY + tensor.offset)
        else:
            places.append(end)
            end += _aligned(tensor.bytes)
    pointers = np.array(places, "<u4").tobytes()
    memory = _aligned(image.arena_bytes) + image.state_bytes
    for start, size in (
        (_CODE, len(image.code)),
        (_MEMORY, memory),
        (_TENSORS, end - _TENSORS + len(pointers)),
        (_STACK, image.stack_bytes + _PAGE),
        (_NOWHERE, _PAGE),
    ):
        uc.mem_map(start, -(-max(size, 1) // _PAGE) * _PAGE)
    uc.mem_write(_CODE, image.code)
    uc.mem_write(end, pointers)
    for place, values in zip(places, inputs, strict=False):
        uc.mem_write(place, np.ascontiguousarray(values).tobytes())
    outputs_at = end + 4 * len(image.inputs)
    for register, value in zip(emulated.arguments, (_MEMORY, end, outputs_at), strict=True):
        uc.reg_write(register, value)
    top = _STACK + -(-(image.stack_bytes + _PAGE) // _PAGE) * _PAGE
    uc.reg_write(emulated.stack_pointer, top)
    uc.reg_write(emulated.return_address, emulated.entry(_NOWHERE))
    try:
        uc.emu_start(emulated.entry(_CODE + image.entry), _NOWHERE, timeout=round(_SECONDS * 1e6))
    except unicorn.UcError:
        return None
    if emulated.address(emulated.program_counter) != _NOWHERE:
        return None
    outputs = places[len(image.inputs) :]
    return [
        bytes(uc.mem_read(place, tensor.bytes))
        for place, tensor in zip(outputs, image.outputs, strict=True)
    ]


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
