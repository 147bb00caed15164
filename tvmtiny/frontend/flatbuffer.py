"""Safe unpacking of flatbuffers from untrusted sources.

The generated reader of ``ai_edge_litert`` follows offsets without checks, and LiteRT itself reads
memory wherever they point. Here every access of the generated reader is checked first: offsets
stay within the file, tables have valid vtables, strings are terminated, and shared tables cannot
multiply to more than a file of that size can hold. The checks are as strict as those of
flatbuffers' own C++ verifier.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib.util import find_spec, module_from_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from tvmtiny.host.imports import importing

#: Limit of tables: more than a model for a microcontroller has, yet unpacked within seconds.
MOST_TABLES = 100_000
#: Bytes of the smallest table: the offset to its vtable, and an offset that leads to the table.
_SMALLEST_TABLE = 8
_SPARE_TABLES = 1_000
_WORD = 4
_word_at, _signed_at = struct.Struct("<I").unpack_from, struct.Struct("<i").unpack_from
_numpy_type = cache(number_types.to_numpy_type)


class FlatbufferError(ValueError):
    """Raised if the content is not a valid flatbuffer."""


def unpack_model(content: bytes) -> Any:
    """Unpack `content` to a ``ModelT`` whose vectors of numbers are views of `content`.

    Raises
    ------
    FlatbufferError
        If an offset, a length or a table is invalid, or there are too many tables.
    """
    return schema().ModelT.InitFromPackedBuf(_Content(content), 0)


def tensor_count(content: bytes) -> int:
    """Return the number of tensors in the first subgraph of a model, without unpacking the model.

    Raises
    ------
    FlatbufferError
        If an offset, a length or a table is invalid, or there are too many tables.
    """
    model = schema().Model.GetRootAs(_Content(content), 0)
    return int(model.Subgraphs(0).TensorsLength())


def signatures(content: bytes) -> list[tuple[str, int]]:
    """Return the key of each signature of a model, and the index of its subgraph.

    Raises
    ------
    FlatbufferError
        As for `unpack_model`.
    """
    model = schema().Model.GetRootAs(_Content(content), 0)
    found = (model.SignatureDefs(i) for i in range(model.SignatureDefsLength()))
    return [
        (bytes(s.SignatureKey() or b"").decode("utf-8", "replace"), int(s.SubgraphIndex()))
        for s in found
    ]


@cache
def schema() -> ModuleType:
    """Return a copy of LiteRT's generated schema whose tables are checked.

    Raises
    ------
    ToolMissingError
        If ``ai-edge-litert`` is not installed, or does not work.
    """
    name = "ai_edge_litert.schema_py_generated"
    with importing("ai-edge-litert", "ai-edge-litert", "to read .tflite files"):
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(f"there is no {name}")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    # The generated code creates all of its tables through this name.
    checked = SimpleNamespace(Table=_CheckedTable)
    module.flatbuffers = SimpleNamespace(**{**vars(flatbuffers), "table": checked})  # type: ignore[attr-defined]
    return module


class _Content(bytes):
    """A file, the number of tables that may still be unpacked, and known vtables by position."""

    tables_left: int
    vtables: dict[int, tuple[int, ...]]

    def __new__(cls, content: bytes) -> _Content:
        # The generated code reads the offset of the first table without a check.
        _check_span(content, 0, _WORD, "an offset")
        made = super().__new__(cls, content)
        made.tables_left = min(MOST_TABLES, _SPARE_TABLES + len(content) // _SMALLEST_TABLE)
        made.vtables = {}
        return made


class _CheckedTable(Table):  # type: ignore[misc]
    # Fields are found through the vtable, which many tables share.
    __slots__ = ("_entries",)

    def __init__(self, buf: _Content, pos: int) -> None:
        if pos < 0 or pos + _WORD > len(buf):
            _check_span(buf, pos, _WORD, "a table")
        self.Bytes, self.Pos = buf, pos  # type: ignore[misc]
        buf.tables_left -= 1
        if buf.tables_left < 0:
            raise FlatbufferError("it has more tables than fit in a file of its size")
        vtable = pos - _signed_at(buf, pos)[0]
        entries = buf.vtables.get(vtable)
        if entries is None:
            entries = buf.vtables[vtable] = _vtable(buf, vtable)
        if pos + entries[1] > len(buf):
            _check_span(buf, pos, entries[1], "a table")
        self._entries = entries

    def Offset(self, vtableOffset: int) -> int:  # noqa: N802, N803 - flatbuffers' names
        index = vtableOffset >> 1
        return self._entries[index] if index < len(self._entries) else 0

    def Get(self, flags: Any, off: int) -> Any:  # noqa: N802 - flatbuffers' name
        # The check is repeated inline for speed: files have many thousands of numbers.
        if off < 0 or off + flags.bytewidth > len(self.Bytes):
            _check_span(self.Bytes, off, flags.bytewidth, "a number")
        return flags.py_type(flags.packer_type.unpack_from(self.Bytes, off)[0])

    def Indirect(self, off: int) -> int:  # noqa: N802
        if off < 0 or off + _WORD > len(self.Bytes):
            _check_span(self.Bytes, off, _WORD, "an offset")
        return off + int(_word_at(self.Bytes, off)[0])

    def String(self, off: int) -> bytes:  # noqa: N802
        start = self.Indirect(off)
        length = int(self.Get(number_types.UOffsetTFlags, start))
        # LiteRT relies on the zero byte after a string.
        _check_span(self.Bytes, start + _WORD, length + 1, "a string")
        if self.Bytes[start + _WORD + length]:
            raise FlatbufferError(f"the string at byte {start} is unterminated")
        return self.Bytes[start + _WORD : start + _WORD + length]

    def VectorLen(self, off: int) -> int:  # noqa: N802
        start = self.Indirect(self.Pos + off)
        length = int(self.Get(number_types.UOffsetTFlags, start))
        _check_span(self.Bytes, start + _WORD, length, "a vector")
        return length

    def GetVectorAsNumpy(self, flags: Any, off: int) -> np.ndarray:  # noqa: N802
        start = self.Indirect(self.Pos + off)
        length = int(self.Get(number_types.UOffsetTFlags, start))
        _check_span(self.Bytes, start + _WORD, length * flags.bytewidth, "a vector")
        return np.frombuffer(self.Bytes, _numpy_type(flags), length, start + _WORD)

    def Union(self, t2: Table, off: int) -> None:  # noqa: N802
        t2.Pos, t2.Bytes = self.Indirect(self.Pos + off), self.Bytes


def _vtable(content: bytes, start: int) -> tuple[int, ...]:
    """Return the entries of a vtable: its size, the size of its tables, and field offsets."""
    _check_span(content, start, _WORD, "a vtable")
    size, extent = struct.unpack_from("<2H", content, start)
    if size < _WORD or size % 2 or extent < _WORD:
        raise FlatbufferError(f"the vtable at byte {start} is invalid")
    _check_span(content, start, size, "a vtable")
    return struct.unpack_from(f"<{size // 2}H", content, start)


def _check_span(content: bytes, start: int, length: int, what: str) -> None:
    if start < 0 or start + length > len(content):
        raise FlatbufferError(f"{what} at byte {start} lies outside the file")
