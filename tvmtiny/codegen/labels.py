"""The name that people gave a tensor, inside of what TensorFlow and Keras made of it.

Converters wrap names in scopes, operators and counters: ``serving_default_image:0``,
``sequential_3/digit/BiasAdd``, ``keras_tensor_118``. Counters go on from one conversion of a
process to the next; what is generated from a name must not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What follows the name of a tensor: TensorFlow's output number, and the dtype that its converter
#: adds where it takes a QUANTIZE or DEQUANTIZE off.
_TAIL = re.compile(r":\d+(_u?int(8|16))?$")

#: Nothing but numbers and what every model has. Keras names inputs ``input_1`` (version 2),
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

#: Counters that say in which order tensors were made, others than indices and plain numbers.
_COUNTED = re.compile(r"(serving_default_)?(keras|input|identity|stateful|partitioned)", re.I)

#: Which of the outputs it is: better than the position in the file, worse than a name.
_POSITION = re.compile(r"outputs?_\d+$", re.IGNORECASE)

#: Scopes of whole models.
_SCOPE = re.compile(
    r"(model|sequential|functional|serving_default|(stateful)?partitionedcall)(_\d+)?$",
    re.IGNORECASE,
)

# Operators that Keras layers and TensorFlow's functions end a scope with.
_OPERATORS = r"""
add addn addv2 arg_?max arg_?min avgpool batchnorm biasadd cast clip_by_value concat concatv2
conv1d conv2d conv2d_transpose conv2dbackpropinput depthwise depthwiseconv2dnative elu erf exp
expanddims fusedbatchnorm(v\d)? gatherv2 hardswish leakyrelu log logsoftmax matmul maximum max
maxpool mean min minimum mul neg pack pad padv2 relu relu6 reshape resizebilinear
resizenearestneighbor rsqrt selu sigmoid softmax softplus sqrt squeeze stack strided_?slice sub
sum tanh tensordot transpose truediv unstack
"""
_OPERATOR = re.compile(rf"({'|'.join(_OPERATORS.split())})(_\d+)?$", re.IGNORECASE)

# Names that Keras makes up for layers; the counter behind them is that of the process.
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
    """The names of all inputs, or of all outputs; ``input_0`` and so on for those without one.

    Where such tensors differ by their counter, the lowest one is ``input_0``: TensorFlow's
    converter sorts inputs by name, so that number 10 is in front of number 9.

    Parameters
    ----------
    direction
        ``input`` or ``output``.
    signature
        Names in the model's signature, or nothing.
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
    """The name of an input or output that is the same each time that the model is converted.

    Parameters
    ----------
    signature
        Its name in the model's signature; empty where there is none.
    tensor
        The name of its tensor.

    Returns
    -------
    str
        The signature's name if people chose that, else what they chose of the tensor's name, else
        a signature's ``output_0``; empty where all of it is counters and scopes.
    """
    for name in (signature, tensor):
        found = _meaningful(name)
        if found and not _POSITION.match(found):
            return found
    return signature if _POSITION.match(signature) else ""


def _numbers(name: str) -> list[tuple[int, str]]:
    """The numbers in a name, of any length, in a form that sorts by their values."""
    digits = [number.lstrip("0") for number in re.findall(r"[0-9]+", name)]
    return [(len(number), number) for number in digits]


def _meaningful(name: str) -> str:
    # Where TFLite's converter makes one operator of several, it joins the names of all.
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
