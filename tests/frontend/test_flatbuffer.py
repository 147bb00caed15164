"""The checked reader: files it refuses before any offset is followed."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from tflite_builder import ModelBuilder

from tvmtiny.frontend.flatbuffer import FlatbufferError, unpack_model


def _model() -> bytes:
    b = ModelBuilder()
    x = b.input("some name", (1, 4), scale=0.5)
    y = b.tensor("y", (1, 4), scale=1 / 256, zero_point=-128)
    b.constant("w", np.arange(8, dtype=np.int8))
    b.op("LOGISTIC", [x], [y])
    return b.build([y])


def _root(content: bytes) -> int:
    return int(struct.unpack_from("<I", content)[0])


def _field(content: bytes, entry: int) -> int:
    """The position at which the root table keeps a field."""
    root = _root(content)
    vtable = root - struct.unpack_from("<i", content, root)[0]
    return int(root + struct.unpack_from("<H", content, vtable + entry)[0])


def _with_word(content: bytes, at: int, word: int) -> bytes:
    return content[:at] + struct.pack("<I", word % 2**32) + content[at + 4 :]


def test_a_sound_model_is_read_without_copies() -> None:
    content = _model()
    model = unpack_model(content)
    assert model.subgraphs[0].tensors[0].name == b"some name"
    np.testing.assert_array_equal(model.buffers[1].data.view(np.int8), np.arange(8))


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_file_without_a_root(length: int) -> None:
    with pytest.raises(FlatbufferError, match="an offset at byte 0 lies outside"):
        unpack_model(_model()[:length])


@pytest.mark.parametrize("word", [0, 1, 2**31 - 1, 2**32 - 1])
def test_a_root_that_is_nowhere(word: int) -> None:
    with pytest.raises(FlatbufferError):
        unpack_model(_with_word(_model(), 0, word))


@pytest.mark.parametrize("distance", [-(2**31), -(10**6), 10**6, 2**31 - 1])
def test_a_vtable_that_is_nowhere(distance: int) -> None:
    content = _model()
    with pytest.raises(FlatbufferError, match="vtable"):
        unpack_model(_with_word(content, _root(content), distance))


@pytest.mark.parametrize("length", [2**20, 2**31, 2**32 - 1])
def test_a_vector_that_is_too_long(length: int) -> None:
    content = _model()
    slot = _field(content, 8)
    start = slot + struct.unpack_from("<I", content, slot)[0]
    with pytest.raises(FlatbufferError):
        unpack_model(_with_word(content, start, length))


def test_a_string_that_does_not_end() -> None:
    content = _model().replace(b"some name\0", b"some name!")
    with pytest.raises(FlatbufferError, match="is unterminated"):
        unpack_model(content)


def _nested(tables: int) -> bytes:
    """Subgraphs that share a table whose tensors share a table: many tables in a small file."""
    content = bytearray(b"\0\0\0\0TFL3")

    def table(*fields: tuple[int, int]) -> int:
        """Add a table; for each field, its entry in the vtable and its target."""
        size = 4 + 2 * (max(entry for entry, _ in fields) // 2 - 1)
        vtable = len(content)
        content.extend(bytes(-size % 4 + size))
        struct.pack_into("<HH", content, vtable, size, 4 + 4 * len(fields))
        start = len(content)
        content.extend(struct.pack("<i", start - vtable))
        for position, (entry, _) in enumerate(fields, 1):
            struct.pack_into("<H", content, vtable + entry, 4 * position)
            content.extend(bytes(4))
        return start

    def vector(slot: int, target: int) -> None:
        struct.pack_into("<I", content, slot, len(content) - slot)
        content.extend(struct.pack("<I", tables))
        for _ in range(tables):
            content.extend(struct.pack("<I", target - len(content)))

    # Offsets point forward: the vectors of a table come before the objects they point to.
    struct.pack_into("<I", content, 0, table((8, 0)))
    model = len(content) - 8
    behind = len(content) + 4 + 4 * tables
    vector(model + 4, behind + 8)
    assert len(content) == behind
    subgraph = table((4, 0))
    assert subgraph == behind + 8
    vector(subgraph + 4, len(content) + 4 + 4 * tables + 8)
    table((4, 0))
    return bytes(content)


def test_tables_that_multiply_are_refused() -> None:
    content = _nested(3000)
    assert len(content) < 30_000
    with pytest.raises(FlatbufferError, match="more tables"):
        unpack_model(content)
