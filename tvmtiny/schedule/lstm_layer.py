"""Analysis that int8 kernels of UNIDIRECTIONAL_SEQUENCE_LSTM share."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.lstm_integer import IntegerLstm
from tvmtiny.ops.shared.weights import accumulator_range
from tvmtiny.schedule.overlap import Overlap, smallest_distance


def sums_fit(layer: IntegerLstm) -> bool:
    """Return whether sums can be shifted left as their scales require, and by one bit more."""
    for position in range(2):
        low, high = accumulator_range(layer.weights[position], layer.biases[position], 0)
        largest = np.maximum(-low, high).reshape(4, -1).max(axis=1)
        for gate in range(4):
            shift = layer.scales[4 * position + gate][1]
            if int(largest[gate]) << (max(shift, 0) + 1) >= 2**31:
                return False
    return True


def lstm_overlap(layer: IntegerLstm) -> Overlap:
    """Return the overlap of output and input; a step reads its inputs before it writes."""
    batches, steps, depth, count, *strides = layer.sizes
    last_read, first_write = (np.zeros(batches * steps * n, np.int64) for n in (depth, count))
    for step, (b, t) in enumerate(np.ndindex(batches, steps)):
        start = b * strides[0] + t * strides[1]
        last_read[start : start + depth] = step
        start = b * strides[2] + t * strides[3]
        first_write[start : start + count] = step
    # The output of a step must survive, because it is the state of the next step.
    return Overlap("out", 0, smallest_distance(last_read, first_write))
