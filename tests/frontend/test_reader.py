"""Reading .tflite files: a damaged file gives one of our errors and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tflite_builder import ModelBuilder

from tvmtiny import models
from tvmtiny.errors import ModelFormatError, TvmtinyError
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.verify import verify
from tvmtiny.ops import find_operator

CONTENTS = [models.path(name).read_bytes() for name in models.names()]

#: Position and kind of the damage: a fraction of the file, and a byte or a word.
damages = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.sampled_from([b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff" * 4, b"\0" * 4])
        | st.binary(min_size=1, max_size=8),
    ),
    max_size=6,
)


def damage(content: bytes, places: list[tuple[int, bytes]]) -> bytes:
    damaged = bytearray(content)
    for place, value in places:
        at = place * len(content) // 10_001
        damaged[at : at + len(value)] = value
    return bytes(damaged[: len(content)])


def read(content: bytes) -> Graph | None:
    """The verified graph; None if the file is refused."""
    try:
        graph = read_graph(content, "damaged")
        verify(graph, "damaged")
    except TvmtinyError as error:
        assert error.exit_code == 2
        return None
    return graph


@settings(max_examples=300, deadline=2000, derandomize=True)
@given(st.sampled_from(CONTENTS), damages)
def test_damaged_files_are_read_or_refused(content: bytes, places: list[tuple[int, bytes]]) -> None:
    graph = read(damage(content, places))
    if graph is not None:
        # Whatever was accepted is consistent.
        for node in graph.nodes:
            operator = find_operator(node.operator)
            assert operator is not None
            assert operator.macs(node) >= 0


@settings(max_examples=200, deadline=2000, derandomize=True)
@given(st.sampled_from(CONTENTS), st.integers(0, 10_000), damages)
def test_truncated_files_are_refused(
    content: bytes, place: int, places: list[tuple[int, bytes]]
) -> None:
    cut = content[: place * len(content) // 10_001]
    with pytest.raises(ModelFormatError):
        read_graph(cut, "cut")
    read(damage(cut, places) if cut else cut)


@settings(max_examples=200, deadline=2000, derandomize=True)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\x08\0\0\0")
def test_noise_is_refused(noise: bytes) -> None:
    for content in (noise, b"\x08\0\0\0TFL3" + noise):
        with pytest.raises(ModelFormatError):
            read_graph(content, "noise")


def test_a_whole_model() -> None:
    graph = read_graph(models.path("digits").read_bytes(), "digits")
    (image,), (output,) = graph.inputs, graph.outputs
    assert (image.name, image.shape, image.dtype) == ("image", (1, 8, 8, 1), "int8")
    assert output.quantization is not None
    assert (output.scale, output.zero_point) == (1 / 256, -128)
    assert [node.index for node in graph.nodes] == list(range(10))
    first = graph.nodes[0]
    assert first.operator == "CONV_2D"
    assert first.options["padding"] == "SAME"
    weights = first.input(1)
    assert weights.data is not None and weights.data.dtype == np.int8
    assert weights.quantization is not None and weights.quantization.per_channel
    bias = first.optional_input(2)
    assert bias is not None and bias.data is not None and bias.data.dtype == np.int32


def small_model(**output: object) -> ModelBuilder:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.5)
    b.tensor("y", (1, 4), **(output or {"scale": 1 / 256, "zero_point": -128}))  # type: ignore[arg-type]
    b.op("LOGISTIC", [x], [1])
    return b


def test_absent_names_get_one() -> None:
    b = small_model()
    for tensor in b._tensors:
        tensor.name = None
    graph = read_graph(b.build([1]), "m")
    assert [tensor.name for tensor in graph.tensors] == ["tensor_0", "tensor_1"]


def test_names_that_are_not_utf_8_are_refused() -> None:
    content = small_model().build([1])
    damaged = content.replace(b"\1\0\0\0y\0", b"\1\0\0\0\xff\0")
    assert damaged != content
    with pytest.raises(ModelFormatError, match="damaged"):
        read_graph(damaged, "m")


def test_one_zero_point_for_many_scales() -> None:
    b = ModelBuilder()
    b.constant("w", np.zeros((3, 2), np.int8), scales=[1.0, 2.0, 3.0])
    b._tensors[0].quantization.zeroPoint = [5]
    x = b.input("x", (1, 2), scale=1.0)
    quantization = read_graph(b.build([x]), "m").tensors[0].quantization
    assert quantization is not None
    assert quantization.zero_points == (5, 5, 5)


def test_no_zero_point_is_zero() -> None:
    b = small_model()
    b._tensors[0].quantization.zeroPoint = None
    assert read_graph(b.build([1]), "m").tensors[0].zero_point == 0


def test_other_numbers_of_scales_and_zero_points() -> None:
    b = small_model()
    b._tensors[0].quantization.zeroPoint = [1, 2]
    with pytest.raises(ModelFormatError, match="1 scales but 2 zero points"):
        read_graph(b.build([1]), "m")


@pytest.mark.parametrize(
    ("dtype", "points", "allowed"),
    [
        ("int8", [128], "from -128 to 127"),
        ("int8", [-(2**46) - 9], "from -128 to 127"),
        ("int8", [0, 0, 0, -129], "from -128 to 127"),
        ("uint8", [-1], "from 0 to 255"),
        ("int16", [2**15], "from -32768 to 32767"),
        ("int32", [2**31], "from -2147483648 to 2147483647"),
        ("bool", [-(2**63)], "from -2147483648 to 2147483647"),
    ],
)
def test_zero_points_beyond_the_dtype(dtype: str, points: list[int], allowed: str) -> None:
    b = small_model()
    b.tensor("z", (1, 4), dtype, scale=0.5)
    # Other readers of the tensor, and its neighbours' scales, make no difference.
    parameters = b._tensors[2].quantization
    parameters.scale, parameters.zeroPoint = [0.5] * len(points), points
    with pytest.raises(
        ModelFormatError, match=rf"tensor z has the zero point {points[-1]}, but {dtype}.*{allowed}"
    ):
        read_graph(b.build([1]), "m")


def test_a_scale_without_values_is_none() -> None:
    b = small_model()
    b._tensors[0].quantization.scale = None
    assert read_graph(b.build([1]), "m").tensors[0].quantization is None


def test_a_constant_of_the_wrong_size() -> None:
    b = small_model()
    b.constant("w", np.zeros(4, np.int8), scale=1.0)
    b._tensors[-1].shape = [5]
    with pytest.raises(ModelFormatError, match=r"tensor w of shape.*needs 5 bytes.*holds 4"):
        read_graph(b.build([1]), "m")


@pytest.mark.parametrize("index", [-1, 2, 1 << 20])
def test_an_output_that_does_not_exist(index: int) -> None:
    with pytest.raises(ModelFormatError, match=f"tensor {index} is used"):
        read_graph(small_model().build([index]), "m")


def test_a_model_without_outputs() -> None:
    with pytest.raises(ModelFormatError, match="no output"):
        read_graph(small_model().build([]), "m")


def test_custom_operators_keep_their_name() -> None:
    b = small_model()
    b.op("CUSTOM", [1], [0])
    b._codes[-1].customCode = "TFLite_Detection_PostProcess"
    graph = read_graph(b.build([1]), "m")
    assert graph.nodes[1].operator == "CUSTOM:TFLite_Detection_PostProcess"


def test_old_files_hold_the_operator_in_the_narrow_field() -> None:
    b = small_model()
    b._codes[0].deprecatedBuiltinCode, b._codes[0].builtinCode = b._codes[0].builtinCode, 0
    assert read_graph(b.build([1]), "m").nodes[0].operator == "LOGISTIC"
