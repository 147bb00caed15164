"""Names of inputs and outputs in the header, derived from the names that converters write."""

from __future__ import annotations

from typing import Any

import pytest
from tflite_builder import ModelBuilder

import tvmtiny
from tests.codegen.host_programs import add_model, compiled
from tvmtiny.codegen.labels import labels
from tvmtiny.codegen.names import interface_names
from tvmtiny.errors import InputError


def _fields(artifact: tvmtiny.Artifact) -> tuple[list[str], list[str]]:
    return [t.c_name for t in artifact.inputs], [t.c_name for t in artifact.outputs]


@pytest.mark.parametrize(
    ("signature", "tensor", "expected"),
    [
        # Names that users chose for a signature, a tensor, or the layer that computes an output.
        ("image", "serving_default_image:0", "image"),
        ("image", "serving_default_keras_tensor_118:0", "image"),
        ("", "serving_default_image:0", "image"),
        ("", "serving_default_image:0_int8", "image"),
        ("", "image_int8", "image_int8"),
        ("", "conv1d_features", "conv1d_features"),
        ("digit", "StatefulPartitionedCall:1", "digit"),
        ("output_1", "StatefulPartitionedCall:1", "output_1"),
        ("output_1", "probabilities", "probabilities"),
        ("", "sequential_3/digit/BiasAdd", "digit"),
        ("", "model/digit/BiasAdd;model/digit/MatMul", "digit"),
        ("", "model_1/Softmax;model_1/digit/MatMul", "digit"),
        ("", "MobilenetV1/Predictions/Reshape_1", "Predictions"),
        ("", "StatefulPartitionedCall/functional_2/digit_1/Softmax", "digit_1"),
        ("", "softmax", "softmax"),
        ("args_0", "serving_default_args_0:0", "args_0"),
        # Keras' own layer names, without the counter.
        ("dense_12", "StatefulPartitionedCall:0", "dense"),
        ("", "sequential_3/conv2d_7/Relu;sequential_3/conv2d_7/BiasAdd", "conv2d"),
        ("", "model/max_pooling2d/MaxPool", "max_pooling2d"),
        # Names that consist of counters only.
        ("keras_tensor_118", "serving_default_keras_tensor_118:0", "input_0"),
        ("keras_tensor", "serving_default_keras_tensor:0", "input_0"),
        ("input_7", "serving_default_input_7:0", "input_0"),
        ("input_layer_2", "serving_default_input_layer_2:0", "input_0"),
        ("", "input_1_int8", "input_0"),
        ("", "Identity", "input_0"),
        ("", "Identity_int8", "input_0"),
        ("", "StatefulPartitionedCall_1:0", "input_0"),
        ("", "model_3/Softmax", "input_0"),
        ("", "tensor_5", "input_0"),
        ("", "118", "input_0"),
        ("", "", "input_0"),
        ("", "/;/:0", "input_0"),
    ],
)
def test_label(signature: str, tensor: str, expected: str) -> None:
    assert labels("input", [signature], [tensor]) == [expected]


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        # TensorFlow's converter sorts these names as text.
        (["keras_tensor_10", "keras_tensor_9"], ["input_1", "input_0"]),
        (["keras_tensor_118", "keras_tensor_119"], ["input_0", "input_1"]),
        (["input_" + "9" * 5000, "input_08"], ["input_1", "input_0"]),
        (["PartitionedCall:1", "PartitionedCall:0"], ["input_1", "input_0"]),
        (["Identity_1", "image", "Identity"], ["input_2", "image", "input_0"]),
        # These numbers carry no meaning.
        (["tensor_7", "tensor_3"], ["input_0", "input_1"]),
        (["118", "97"], ["input_0", "input_1"]),
        (["Identity_1", "keras_tensor"], ["input_0", "input_1"]),
    ],
)
def test_counters_give_an_order(tensors: list[str], expected: list[str]) -> None:
    assert labels("input", [], tensors) == expected


def _keras_model(counter: int, names: tuple[str, str] = ("", "")) -> bytes:
    """Names that Keras 3 and TensorFlow's converter give to one model at different times."""
    b = ModelBuilder()
    made = [f"keras_tensor_{counter}", "output_0"]
    first, second = (given or default for given, default in zip(names, made, strict=True))
    x = b.input(f"serving_default_{first}:0", (1, 8), "int8", scale=0.5, zero_point=3)
    y = b.tensor(f"StatefulPartitionedCall_{counter}:0", (1, 8), "int8", scale=0.25)
    b.op("QUANTIZE", [x], [y], {})
    b.signature([(first, x)], [(second, y)])
    return b.build([y])


@pytest.mark.parametrize(
    ("names", "fields"),
    [(("", ""), ("input_0", "output_0")), (("image", "digit"), ("image", "digit"))],
)
def test_a_model_that_is_converted_again_has_the_same_header(
    names: tuple[str, str], fields: tuple[str, str]
) -> None:
    first, again = (compiled(_keras_model(counter, names)) for counter in (4, 118))
    assert _fields(first) == tuple([field] for field in fields)
    assert first.files["m.h"] == again.files["m.h"]
    assert "keras" not in first.files["m.h"].lower()


def test_signatures_that_do_not_fit() -> None:
    b = ModelBuilder()
    x, z = (b.input(name, (1, 4), "float32") for name in ("x", "z"))
    y = b.tensor("y", (1, 4), "float32")
    b.op("ADD", [x, z], [y], {"fused_activation_function": "NONE"})
    b.signature([("elsewhere", x)], [("elsewhere", y)], subgraph=1)
    b.signature([("trained", x)], [], key="train")
    b.signature([("far", 99), ("image", x), ("", z)], [("p", y), ("q", y), ("r", y)])
    graph = tvmtiny.load(b.build([y, y])).graph
    assert graph.input_labels == ("image", "")
    assert graph.output_labels == ("p", "q")
    names = interface_names(graph)
    assert (names.inputs, names.outputs) == (("image", "z"), ("p", "q"))


@pytest.mark.parametrize(
    ("inputs", "fields"),
    [
        ("left", ["left", "b"]),
        (["left", "Right"], ["left", "Right"]),
        (["b"], ["b", "b_1"]),
        ([], ["a", "b"]),
    ],
)
def test_chosen_names(inputs: list[str] | str, fields: list[str]) -> None:
    artifact = tvmtiny.compile(
        tvmtiny.load(add_model(), name="m"), "cortex-m4", input_names=inputs, output_names=["sum"]
    )
    assert _fields(artifact) == (fields, ["sum"])
    assert f"float *{fields[0]};" in artifact.files["m.h"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x", "y", "z"], "has 3 names, but the model has 2 inputs"),
        (["class"], "'class' is a keyword of C or C++"),
        (["x", "X"], "'X' is given twice"),
        *(([name], "is not a valid field name") for name in ("", "_x", "x_", "a__b", "1x", "a-b")),
        (["x\n\x1b[2J"], r"'x\n\x1b[2J' is not a valid"),
        (["größe"], r"'gr\xf6\xdfe' is not a valid"),
        ([1], "1 is not a valid"),
        (["x" * 250], f"'{'x' * 63}...' is not a valid"),
    ],
)
def test_names_that_cannot_be(names: list[Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        interface_names(tvmtiny.load(add_model()).graph, names)
    text = str(caught.value)
    assert message in text and "--input-name" in text and "\n" not in text


def test_long_names_stay_readable() -> None:
    artifact = compiled(add_model(("x" * 250, "x" * 300)))
    assert _fields(artifact)[0] == [f"{'x' * 32}_0", f"{'x' * 32}_1"]
    assert max(map(len, artifact.files["m.h"].splitlines())) < 250
