"""The two-instruction requantization equals TFLite's on every reachable accumulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmtiny.ops.shared.output_rounding import DoubleProduct, OutputRounding, TwoRoundings
from tvmtiny.ops.shared.quantization import quantize_multiplier
from tvmtiny.schedule import requantize
from tvmtiny.schedule.requantize import solve
from tvmtiny.schedule.scaling import Scaling

GAIN = 256
#: Accumulators of a channel that are compared at once.
_PIECE = 4096


def rounding(kind: str, scales: list[float], zero_point: int, relu: bool) -> OutputRounding:
    output_range = (zero_point if relu else -128, 127)
    if kind == "double":
        return DoubleProduct(zero_point, output_range, np.array(scales))
    multipliers, shifts = zip(*(quantize_multiplier(s) for s in scales), strict=True)
    return TwoRoundings(zero_point, output_range, np.array(multipliers), np.array(shifts))


def hardware(scaling: Scaling, acc: np.ndarray, bias: np.ndarray, gain: int = GAIN) -> np.ndarray:
    """The results of SMMLA (or SMMUL) and SSAT; channels are the first axis of `acc`."""

    def by_channel(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(numbers, np.int64)[:, None]

    total = by_channel(scaling.initial) + gain * (acc - by_channel(bias))
    assert np.abs(total).max() < 2**31
    value = (total * by_channel(scaling.multiplier)) >> 32
    if scaling.offset is not None and scaling.step is not None:
        value = value + by_channel(scaling.offset)
        value = value + np.where(total < 0, by_channel(scaling.step), 0)
    # Some kernels double the product and what is added to it, see VQDMULH.
    assert np.abs(value).max() < (2**31 if scaling.offset is None else 2**30)
    return np.clip(value >> scaling.shift, -128, 127)


def assert_exact(
    reference: OutputRounding, low: list[int], high: list[int], bias: list[int]
) -> Scaling | None:
    """Compare every reachable accumulator of every channel; None where there is no solution."""
    scaling = solve(
        lambda acc: reference(acc.T).T,
        reference.scales,
        (np.array(low), np.array(high)),
        np.array(bias),
    )
    if scaling is None:
        return None
    longest = max(h - w for w, h in zip(low, high, strict=True))
    # In pieces that fit into a cache, which takes a fraction of the time.
    for begin in range(0, longest + 1, _PIECE):
        part = np.arange(begin, min(begin + _PIECE, longest + 1))
        # Channels that are done early stay at their end.
        every = np.minimum(np.array(low)[:, None] + part, np.array(high)[:, None])
        wrong = (hardware(scaling, every, np.array(bias)) != reference(every.T).T).any(axis=1)
        assert not wrong.any(), f"channels {np.flatnonzero(wrong).tolist()}"
    return scaling


@pytest.mark.parametrize("zero_point", [-128, -17, 0, 38, 127])
@pytest.mark.parametrize("kind", ["two", "double"])
def test_typical_layers_have_a_solution(kind: str, zero_point: int) -> None:
    rng = np.random.default_rng(zero_point + 128)
    scales = list(2.0 ** rng.uniform(-10, -7, 8))
    reach = [int(400 / s) for s in scales]
    bias = rng.integers(-2000, 2000, 8).tolist()
    scaling = assert_exact(
        rounding(kind, scales, zero_point, False), [-r for r in reach], reach, bias
    )
    assert scaling is not None
    # Rounding of halves away from zero matters only if the output is not clamped at its zero point.
    assert scaling.signed == (kind == "two" and -128 < zero_point < 127)


def test_constant_channels_and_tiny_scales() -> None:
    reference = rounding("two", [0.004, 2.0**-31, 0.0, 0.004], -5, False)
    assert assert_exact(reference, [-9000, -40, -7, 3], [9000, 40, 7, 3], [0, 5, 0, 3]) is not None


@pytest.mark.parametrize("gain", [1, 3, 15])
def test_channels_of_small_gains_are_rounded_by_sign(gain: int) -> None:
    """Channels of tiny scales have such gains, and an accumulator step then has few fractions."""
    scale = 2.0**-22.9 * gain
    reference, reach = rounding("two", [scale], 5, False), int(9 / scale)
    ends = np.array([-reach]), np.array([reach])
    scaling = solve(
        lambda acc: reference(acc.T).T, reference.scales, ends, np.array([-77]), gain=gain
    )
    assert scaling is not None and scaling.signed
    # The outputs are monotone, so they are equal if they are equal around each step.
    steps = np.rint(np.arange(-8.5, 9) / scale).astype(np.int64)
    acc = (steps[:, None] + np.arange(-40, 41)).ravel()
    wanted = reference(acc[:, None])[:, 0]
    assert set(wanted) == set(range(-4, 15))
    assert np.array_equal(hardware(scaling, acc[None], np.array([-77]), gain)[0], wanted)


@pytest.mark.parametrize("shift", [12, 14, 15, 16])
@pytest.mark.parametrize("sign", [1, -1])
def test_largest_sums_and_multipliers_are_rounded_by_sign(shift: int, sign: int) -> None:
    """All of them just fit 32 bits, and then an offset is added that has their sign."""
    scale, zero_point = 2.0 ** (7 - shift) * 0.99999, 126 if sign > 0 else -127
    reference, far = rounding("two", [scale], zero_point, False), 2**23 - 300
    low, high = sorted((-300_000 * sign, far * sign))
    scaling = solve(
        lambda acc: reference(acc.T).T, reference.scales, (np.array([low]), np.array([high])), [0]
    )
    assert scaling is not None and scaling.signed
    steps = np.rint((np.arange(-128.5, 128) - zero_point) / scale).astype(np.int64)
    acc = (steps[:, None] + np.arange(-4, 5)).ravel()
    acc = np.append(acc[(acc >= low) & (acc <= high)], [low, high])
    wanted = reference(acc[:, None])[:, 0]
    assert set(wanted) == set(range(-128, 128))
    assert np.array_equal(hardware(scaling, acc[None], np.array([0]))[0], wanted)


def test_overflow_is_no_solution() -> None:
    reference = rounding("two", [1e-6], 0, False)
    assert assert_exact(reference, [-(2**24)], [2**24], [0]) is None


def test_narrow_activation_is_no_solution() -> None:
    reference = DoubleProduct(-128, (-128, 100), np.array([0.01]))
    assert assert_exact(reference, [-30000], [30000], [0]) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["two", "double"]),
    exponents=st.lists(st.floats(-13, -2), min_size=1, max_size=3),
    zero_point=st.integers(-128, 127),
    relu=st.booleans(),
    reach=st.integers(0, 60000),
    middle=st.integers(-60000, 60000),
    bias=st.integers(-50000, 50000),
)
def test_any_solution_is_exact(
    kind: str,
    exponents: list[float],
    zero_point: int,
    relu: bool,
    reach: int,
    middle: int,
    bias: int,
) -> None:
    channels = len(exponents)
    reference = rounding(kind, [2.0**e for e in exponents], zero_point, relu)
    assert_exact(
        reference, [middle - reach] * channels, [middle + reach] * channels, [bias] * channels
    )


@pytest.mark.parametrize(
    ("output_range", "found"),
    [((-128, 127), True), ((0, 127), False), ((-128, 30), False), ((-128, -128), True)],
)
def test_what_an_activation_clamps_short_of_the_bounds_is_seen_at_once(
    output_range: tuple[int, int], found: bool
) -> None:
    multipliers, shifts = zip(*(quantize_multiplier(s) for s in (0.002, 0.003)), strict=True)
    reference = TwoRoundings(0, output_range, np.array(multipliers), np.array(shifts))
    asked = 0

    def counted(acc: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += 1
        return reference(acc.T).T

    reach = np.array([-500_000] * 2), np.array([500_000] * 2)
    scaling = solve(counted, reference.scales, reach, np.zeros(2, np.int64))
    assert (scaling is not None) == found
    assert found or asked == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.floats(1e-6, 0.5),
    st.integers(-128, 127),
    st.integers(-300, 200),
    st.integers(-100, 300),
    st.integers(0, 800_000),
    st.integers(0, 800_000),
)
def test_what_is_seen_at_once_has_no_solution(
    scale: float, zero: int, least: int, most: int, low: int, high: int
) -> None:
    multiplier, shift = quantize_multiplier(scale)
    bottom = min(max(least, -128), 127)
    output_range = bottom, max(min(most, 127), bottom)
    reference = TwoRoundings(zero, output_range, np.array([multiplier]), np.array([shift]))
    arguments = (
        lambda acc: reference(acc.T).T,
        reference.scales,
        (np.array([-low]), np.array([high])),
        np.zeros(1, np.int64),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requantize, "_is_clamped_early", lambda *_: False)
        searched = solve(*arguments)
    if searched is not None:
        assert solve(*arguments) is not None
