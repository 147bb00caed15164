"""Errors in a model."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tvmtiny.errors.base import InputError, one_line, quoted, short_name


@dataclass(eq=False)
class ModelFormatError(InputError):
    """A file is not a readable TFLite model, or one of another framework.

    Attributes
    ----------
    path
        Path of the file.
    reason
        Description of the problem.
    framework
        Framework that the model should come from.
    """

    path: str | os.PathLike[str]
    reason: str
    framework: str = "TFLite"

    def __str__(self) -> str:
        remedy = f"give a file as written by {self.framework}"
        if self.framework == "TFLite":
            remedy = (
                "give a .tflite file as written by the TFLite converter, or the name of a shipped "
                "model, such as digits"
            )
        return (
            f"{os.fspath(self.path)} is not a usable {self.framework} model: "
            f"{one_line(self.reason).rstrip('.')}; {remedy}"
        )


@dataclass(eq=False)
class OracleRefusalError(InputError):
    """LiteRT does not run a model that tvmtiny accepts, so that there is nothing to compare with.

    Attributes
    ----------
    model
        Name of the model.
    reason
        LiteRT's message.
    step
        ``prepare`` if LiteRT rejects the model; ``run`` if it rejects the input values.
    """

    model: str
    reason: str
    step: Literal["prepare", "run"]

    def __str__(self) -> str:
        # LiteRT concatenates its messages without a space.
        reason = re.sub(r"\.?(?<=\S)(?=Node number )", "; ", one_line(self.reason)).rstrip(".")
        if self.step == "run":
            return (
                f"LiteRT refuses to run {self.model} on this input: {reason}; give values that "
                "its operators accept, such as indices in range (--input)"
            )
        return (
            f"LiteRT refuses {self.model}: {reason}; if the model can still be compiled, "
            "run it without --check, or compare it with TensorFlow Lite for Microcontrollers "
            "(--oracle tflm)"
        )


@dataclass(frozen=True)
class OperatorProblem:
    """The reason why one operator of a model cannot be compiled.

    Attributes
    ----------
    operator
        TFLite name of the operator, such as ``CONV_2D``.
    index
        Position of the operator in the model.
    tensor
        Name of the tensor that locates the operator, normally its output.
    reason
        Description of the unsupported feature.
    allowed
        Description of supported alternatives; empty if there is nothing to suggest.
    place
        Kind of object that `tensor` names: ``tensor`` or ``node``.
    """

    operator: str
    index: int
    tensor: str
    reason: str
    allowed: str = ""
    place: str = "tensor"

    def __str__(self) -> str:
        text = (
            f"operator {self.index} {short_name(self.operator, 60)} "
            f"({self.place} {short_name(self.tensor, 40)!r}): {one_line(self.reason)}"
        )
        return f"{text}; allowed: {one_line(self.allowed)}" if self.allowed else text


@dataclass(eq=False)
class UnsupportedModelError(InputError):
    """A model has operators that cannot be compiled; all of them are listed.

    Attributes
    ----------
    problems
        One entry for each operator, in the order of the model.
    kind
        Description of the kind of model if that explains problems, with advice, such as ``this is a
        uint8 model ...``; empty otherwise.
    explained
        Indices of the operators whose problems are explained by `kind`.
    following
        Indices of the operators that cannot be compiled only because they need the results of other
        unsupported operators at compile time.
    table
        Page that lists what is supported.
    """

    problems: tuple[OperatorProblem, ...]
    kind: str = ""
    explained: frozenset[int] = frozenset()
    following: frozenset[int] = frozenset()
    table: str = "docs/operators.md"

    def lines(self) -> tuple[str, ...]:
        """Return each cause once, in the order of the model, followed by its consequences."""
        causes: dict[tuple[str, str, str], list[OperatorProblem]] = {}
        for problem in self.problems:
            if problem.index not in self.explained | self.following:
                key = (problem.operator, problem.reason, problem.allowed)
                causes.setdefault(key, []).append(problem)
        lines = [_same_problems(found) for found in causes.values()]
        following: dict[str, list[OperatorProblem]] = {}
        for problem in self.problems:
            if problem.index in self.following - self.explained:
                following.setdefault(problem.operator, []).append(problem)
        if following:
            named = ", ".join(f"{_numbers(found)} {name}" for name, found in following.items())
            lines.append(f"operator {named}: need results of the operators above at compile time")
        return tuple(lines)

    def __str__(self) -> str:
        lines = self.lines()
        if self.kind and not lines:
            return self.kind
        left = {p.index for p in self.problems if p.index not in self.explained}
        head = f"the model has {len(left)} unsupported operator{'s' if len(left) != 1 else ''}"
        if self.kind:
            head = f"{self.kind}. Besides, {head}"
        tail = f"convert the model without them, or see {self.table} for what is supported"
        if len(lines) == 1:
            return f"{head}: {lines[0]}; {tail}"
        return f"{head} ({tail}):" + "".join(f"\n  {line}" for line in lines)


#: Limit on the operators listed for one problem.
_MOST_NUMBERS = 8


def _numbers(problems: Sequence[OperatorProblem]) -> str:
    indices = list(dict.fromkeys(str(problem.index) for problem in problems))
    more = len(indices) - _MOST_NUMBERS
    return ", ".join(indices[:_MOST_NUMBERS]) + (f" and {more} more" if more > 0 else "")


def _same_problems(problems: Sequence[OperatorProblem]) -> str:
    first = problems[0]
    if len(problems) == 1:
        return str(first)
    text = (
        f"operator {_numbers(problems)} {short_name(first.operator, 60)} "
        f"({first.place} {short_name(first.tensor, 40)!r} and others): "
        f"{one_line(first.reason)}"
    )
    return f"{text}; allowed: {one_line(first.allowed)}" if first.allowed else text


@dataclass(eq=False)
class DynamicRangeModelError(InputError):
    """A model has int8 weights but computes in float ("dynamic range" quantization).

    Attributes
    ----------
    operator
        TFLite name of the first operator of this kind.
    tensor
        Name of its quantized weight tensor.
    """

    operator: str
    tensor: str

    def __str__(self) -> str:
        return (
            f"this is a dynamic-range model: {self.operator} has quantized weights "
            f"({quoted(self.tensor)}) and float activations; convert it again as plain float32 "
            "(without optimizations), and make it fully quantized with tvmtiny quantize, or give "
            "the converter a representative_dataset and TFLITE_BUILTINS_INT8"
        )


@dataclass(eq=False)
class QuantizeError(InputError):
    """A model could not be quantized.

    Attributes
    ----------
    model
        Name of the model.
    reason
        Description of the problem.
    """

    model: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.model} could not be quantized: {one_line(self.reason)}; quantize the model "
            "with the tools of the framework that it comes from"
        )


@dataclass(eq=False)
class DynamicShapeError(InputError):
    """A tensor has a dimension that is only known when the model runs, or one of 0.

    Attributes
    ----------
    tensor
        Name of the tensor.
    shape
        Shape of the tensor, with -1 for an unknown dimension.
    maker
        The operator that computes an empty tensor from non-empty ones; empty if there is none.
    """

    tensor: str
    shape: tuple[int, ...]
    maker: str = ""

    def __str__(self) -> str:
        shape = "x".join("?" if size < 0 else str(size) for size in self.shape)
        if self.maker:
            return (
                f"{one_line(self.maker)} gives a tensor of shape {shape}, which has no elements, "
                "and C has no empty arrays; remove the operator, or make it select at least one "
                "element"
            )
        if min(self.shape, default=1) == 0:
            return (
                f"tensor {quoted(self.tensor)} of shape {shape} has no elements; every dimension "
                "must be at least 1: if the size is open, convert the model again with a fixed "
                "input shape (batch size 1)"
            )
        return (
            f"tensor {quoted(self.tensor)} has the dynamic shape {shape}; every dimension must be "
            "fixed: convert the model again with a fixed input shape (batch size 1)"
        )
