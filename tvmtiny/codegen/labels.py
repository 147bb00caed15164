"""Recovery of the names that people gave to tensors from those that converters write.

TensorFlow and Keras wrap names in scopes, operators and counters: ``serving_default_image:0``,
``sequential_3/digit/BiasAdd``, ``keras_tensor_118``. The counters differ from one conversion to
the next within a process; generated names must not depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Suffix of a tensor name: TensorFlow's output number, and the dtype that its converter appends
#: where it removes a QUANTIZE or DEQUANTIZE.
_TAIL = re.compile(r":\d+(_u?int(8|16))?$")

#: Names that say nothing about the model. Keras names inputs ``input_1`` (version 2),
#: ``input_layer_1`` and ``keras_tensor_1`` (version 3).
_COUNTER = re.compile(
    r"""(
        ((keras_?tensor | input_layer | identity | (stateful)?partitionedcall | unknown
          | tensor | placeholder)(_\d+)?)
        | inputs?_\d+
        | \d+
    )(_u?int(8|16))?$""",
    re.VERBOSE | re.IGNORECASE,
)

_NUMBER = re.compile(r"[_:]?[0-9]+")

#: Names whose counter gives the order in which tensors were made; others hold mere indices.
_COUNTED = re.compile(r"(serving_default_)?(keras|input|identity|stateful|partitioned)", re.I)

#: A name that only gives the output's position: better than no name, worse than a chosen one.
_POSITION = re.compile(r"outputs?_\d+$", re.IGNORECASE)

#: Scopes of whole models.
_SCOPE = re.compile(
    r"(model|sequential|functional|serving_default|(stateful)?partitionedcall)(_\d+)?$",
    re.IGNORECASE,
)

# Operators that end a scope in names of Keras layers and of TensorFlow's functions.
_OPERATORS = r"""
add addn addv2 arg_?max arg_?min avgpool batchnorm biasadd cast clip_by_value concat concatv2
conv1d conv2d conv2d_transpose conv2dbackpropinput depthwise depthwiseconv2dnative elu erf exp
expanddims fusedbatchnorm(v\d)? gatherv2 hardswish leakyrelu log logsoftmax matmul maximum max
maxpool mean min minimum mul neg pack pad padv2 relu relu6 reshape resizebilinear
resizenearestneighbor rsqrt selu sigmoid softmax softplus sqrt squeeze stack strided_?slice sub
sum tanh tensordot transpose truediv unstack
"""
_OPERATOR = re.compile(rf"({'|'.join(_OPERATORS.split())})(_\d+)?$", re.IGNORECASE)

# Default names of Keras layers; the counter behind them counts the layers of the process.
_LAYERS = """
activation add average average_pooling[123]d batch_normalization bidirectional concatenate
conv[123]d conv[123]d_transpose cropping[123]d dense depthwise_conv[12]d dot dropout einsum_dense
elu embedding flatten gaussian_noise global_average_pooling[123]d global_max_pooling[123]d
group_normalization gru identity lambda layer_normalization leaky_re_lu lstm max_pooling[123]d
maximum minimum multi_head_attention multiply normalization permute prelu re_lu repeat_vector
rescaling reshape resizing rnn separable_conv[12]d simple_rnn softmax spatial_dropout[123]d
subtract time_distributed up_sampling[123]d zero_padding[123]d
"""
_LAYER = re.compile(rf"({'|'.join(_LAYERS.split())})_\d+$", re.IGNORECASE)


def labels(direction: str, signature: Sequence[str], tensors: Sequence[str]) -> list[str]:
    """Return the names of all inputs or of all outputs.

    A tensor without a meaningful name is called ``input_0`` and so on. If such tensors differ only
    in their counters, they are numbered by counter: TensorFlow's converter sorts inputs by name and
    thus places number 10 before number 9.

    Parameters
    ----------
    direction
        ``input`` or ``output``.
    signature
        Names in the model's signature; empty without a signature.
    tensors
        Names of the tensors.
    """
    entries = list(zip(signature or [""] * len(tensors), tensors, strict=True))
    found = [label(*entry) for entry in entries]
    nameless = [position for position, name in enumerate(found) if not name]
    counters = [entries[position][0] or entries[position][1] for position in nameless]
    order = nameless
    if len({_NUMBER.sub("", name) for name in counters}) == 1 and _COUNTED.match(counters[0]):
        order = [p for _, p in sorted(zip(map(_numbers, counters), nameless, strict=True))]
    for number, position in zip(nameless, order, strict=True):
        found[position] = f"{direction}_{number}"
    return found


def label(signature: str, tensor: str) -> str:
    """Return a name of an input or output that does not change between conversions of a model.

    Parameters
    ----------
    signature
        The name in the model's signature; empty if there is none.
    tensor
        The name of the tensor.

    Returns
    -------
    str
        The signature's name if a person chose it, else the part of the tensor's name that a person
        chose, else a signature's ``output_0``; empty if both names are only counters and scopes.
    """
    for name in (signature, tensor):
        found = _meaningful(name)
        if found and not _POSITION.match(found):
            return found
    return signature if _POSITION.match(signature) else ""


def _numbers(name: str) -> list[tuple[int, str]]:
    """Return the numbers in a name in a form that sorts by value, whatever their length."""
    digits = [number.lstrip("0") for number in re.findall(r"[0-9]+", name)]
    return [(len(number), number) for number in digits]


def _meaningful(name: str) -> str:
    # Where TFLite's converter fuses operators, it joins the names of all of them.
    for joined in name.split(";"):
        plain = _TAIL.sub("", joined.strip()).removeprefix("serving_default_")
        *scopes, last = plain.split("/")
        parts = [part for part in scopes if part]
        if last and not (parts and _OPERATOR.match(last)):
            parts.append(last)
        for part in reversed(parts):
            if not _COUNTER.match(part) and not _SCOPE.match(part):
                return part.rpartition("_")[0] if _LAYER.match(part) else part
    return ""
