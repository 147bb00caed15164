"""Every error: its exit code, its one line, and its transfer between processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tvmtiny import errors
from tvmtiny.errors import TvmtinyError
from tvmtiny.errors.base import short_name

PROBLEMS = (
    errors.OperatorProblem("CUSTOM", 3, "out", "not supported"),
    errors.OperatorProblem("CONV_2D", 5, "conv", "4-bit weights", "int8 or float32 weights"),
)

CASES: list[tuple[int, TvmtinyError, tuple[str, ...]]] = [
    (1, TvmtinyError("something"), ("something",)),
    (2, errors.InputError("something"), ("something",)),
    (2, errors.ModelFormatError(Path("a.tflite"), "it is\nempty"), ("a.tflite", "it is empty")),
    (
        2,
        errors.OracleRefusalError("m", "a.cc:1 b != cNode number 0 (GATHER) failed.", "run"),
        ("refuses to run m on this input", "b != c; Node number 0 (GATHER) failed;", "--input"),
    ),
    (2, errors.OracleRefusalError("m", "no op", "prepare"), ("refuses m: no op;", "oracle tflm")),
    (2, errors.UnsupportedModelError(PROBLEMS[:1]), ("1 unsupported operator:", "CUSTOM")),
    (2, errors.DynamicRangeModelError("CONV_2D", "w"), ("dynamic-range", "'w'", "convert")),
    (2, errors.DynamicShapeError("x", (-1, 8)), ("'x'", "?x8", "fixed")),
    (2, errors.UnknownTargetError("a", ("b", "c"), ("b",)), ("'a'", "did you mean b?", "b, c")),
    (
        2,
        errors.UnknownTargetError("a", ("b",), (), "board"),
        ("no board 'a'; known: b, or a board",),
    ),
    (2, errors.UnknownTargetError("a", ("b",), ("b",), "CPU"), ("no CPU 'a'; did you mean b?",)),
    (
        2,
        errors.BoardFileError("a\n.toml", "regions[0].length", "is\n0", "1 to 4"),
        ("board file a .toml: regions[0].length is 0; allowed: 1 to 4",),
    ),
    (
        2,
        errors.BoardFileError("a.toml", "", "is not a file", "a file"),
        ("a.toml: is not a file;",),
    ),
    (2, errors.BoardFileError("\x1b[31m", "", "is not a file", "a file"), (r"'\x1b[31m': is not",)),
    (2, errors.UnknownTargetError("a", ("b", "c")), ("no target 'a'; known: b, c",)),
    (2, errors.InputDataError("x", "wrong shape", "(1,)", "(2,)"), ("'x'", "(1,)", "(2,)")),
    (2, errors.ImageError("a\n.tvmi", "it is\ncut", "copy it"), ("a .tvmi: it is cut; copy it",)),
    (2, errors.OutputPathError("/out", "Permission denied"), ("/out", "Permission denied")),
    (
        3,
        errors.CapacityError(
            "ram",
            20_000,
            16_384,
            "b",
            (errors.RegionDemand("flash", 1, 2), errors.RegionDemand("tcm", 3, 2)),
        ),
        ("b", "ram needs 20,000 bytes of 16,384 available, tcm needs 3 bytes of 2 available;"),
    ),
    (
        3,
        errors.BudgetError("the pruned model", ("ram_bytes", "cycles"), "allow\nmore"),
        ("the pruned model exceeds the budget of ram_bytes, cycles; allow more",),
    ),
    (4, errors.ToolMissingError("gcc", "gcc-arm", "to compile"), ("apt-get install gcc-arm",)),
    (
        4,
        errors.ToolMissingError("a", "a-b", "to compare", "pip"),
        ("to compare", "pip install a-b"),
    ),
    (
        4,
        errors.ToolMissingError("a", "a-b", "to compare", "pip", "OSError: no\nlibc"),
        ("fails (OSError: no libc)", "pip install --force-reinstall a-b"),
    ),
    (
        5,
        errors.BuildError(("/usr/bin/gcc", "-c"), "b.log", "a.c:1: error: x"),
        ("gcc failed: a.c:1: error: x", "b.log"),
    ),
    (6, errors.DeviceError("something"), ("something",)),
    (
        6,
        errors.DeviceFaultError("BusFault", 0x100, 0x200, "f", "layer 1 ADD", {"sp": 3}),
        ("BusFault", "0x00000100 in f", "0x00000200", "layer 1 ADD", "sp=0x00000003"),
    ),
    (6, errors.DeviceFaultError("BusFault"), ("unknown place", "outside of any layer")),
    (6, errors.DeviceTimeoutError(2.0, "microbit"), ("microbit", "within 2 s")),
    (7, errors.CheckError("litert", 5, 10, 8, "layer 3"), ("5 bytes", "2 of 10", "in layer 3")),
]


@pytest.mark.parametrize(("exit_code", "error", "parts"), CASES, ids=lambda case: type(case))
def test_message_and_exit_code(exit_code: int, error: TvmtinyError, parts: tuple[str, ...]) -> None:
    assert error.exit_code == exit_code
    text = str(error)
    assert "\n" not in text
    for part in parts:
        assert part in text
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == text


def test_all_unsupported_operators_are_listed() -> None:
    lines = str(errors.UnsupportedModelError(PROBLEMS)).splitlines()
    assert len(lines) == 3
    assert "2 unsupported operators" in lines[0]
    assert "operator 3 CUSTOM (tensor 'out')" in lines[1]
    assert "allowed: int8 or float32 weights" in lines[2]


@pytest.mark.parametrize(
    ("name", "most", "shown"),
    [
        ("conv", 28, "conv"),
        (
            "sequential_1/conv2d_1/Relu;sequential_1/conv2d_1/convolution",
            28,
            ".../conv2d_1/Relu;...",
        ),
        ("sequential_1/max_pooling2d_1/MaxPool2d", 28, ".../MaxPool2d"),
        ("StatefulPartitionedCall_1:0", 26, "StatefulPartitionedCall..."),
        ("StatefulPartitionedCall_1:0", 20, "Stateful..."),
        ("tfl.unidirectional_sequence_lstm1", 12, "tfl..."),
        ("x" * 40, 12, "x" * 9 + "..."),
        ("a/b", 2, "a/"),
        ("bell\x07", 28, "bell\\x07"),
    ],
)
def test_names_are_cut_between_words(name: str, most: int, shown: str) -> None:
    assert short_name(name, most) == shown
    assert len(shown) <= most


def test_every_class_is_exported_and_below_the_base() -> None:
    for name in errors.__all__:
        item = getattr(errors, name)
        assert item in (errors.OperatorProblem, errors.RegionDemand) or issubclass(
            item, TvmtinyError
        )


def test_fields_are_kept() -> None:
    error = errors.CapacityError(region="ram", needed=2, available=1, board="b")
    assert error.regions == (errors.RegionDemand("ram", 2, 1),)
    with pytest.raises(TvmtinyError):
        raise error
