"""Errors about insufficient memory, and about missing or failing programs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tvmtiny.errors.base import TvmtinyError, one_line


@dataclass(frozen=True)
class RegionDemand:
    """The demand of a model on one memory region.

    Attributes
    ----------
    region
        Name of the region on the board.
    needed, available
        Sizes in bytes.
    """

    region: str
    needed: int
    available: int

    def __str__(self) -> str:
        return f"{self.region} needs {self.needed:,} bytes of {self.available:,} available"


@dataclass(eq=False)
class CapacityError(TvmtinyError):
    """A model does not fit the memory of a board.

    Attributes
    ----------
    region
        Name of the (first) region that is too small.
    needed, available
        Bytes needed in that region, and its size.
    board
        Name of the board.
    others
        The board's other regions, sufficient or not.
    """

    exit_code = 3
    region: str
    needed: int
    available: int
    board: str
    others: tuple[RegionDemand, ...] = ()

    @property
    def regions(self) -> tuple[RegionDemand, ...]:
        """All regions that were checked, starting with the insufficient one."""
        return (RegionDemand(self.region, self.needed, self.available), *self.others)

    def __str__(self) -> str:
        short = [region for region in self.regions if region.needed > region.available]
        return (
            f"the model does not fit {self.board}: {', '.join(map(str, short))}; choose a "
            "board with more memory or a smaller model"
        )


@dataclass(eq=False)
class RamBudgetError(TvmtinyError):
    """The smallest arena of a model is larger than what was allowed.

    Attributes
    ----------
    model
        Name of the model.
    budget, needed
        Bytes that were allowed, and bytes of the smallest arena found.
    lower_bound
        Proven lower bound on the arena for these kernels, in bytes.
    where
        The layer at which the arena peaks.
    tensors
        Names and bytes of the tensors that are alive at that layer.
    external
        Bytes needed with inputs and outputs outside the arena; None if they already are.
    """

    exit_code = 3
    model: str
    budget: int
    needed: int
    lower_bound: int
    where: str
    tensors: tuple[tuple[str, int], ...]
    external: int | None = None

    def __str__(self) -> str:
        proven = (
            "proven to be the smallest for these kernels"
            if self.lower_bound == self.needed
            else f"and at least {self.lower_bound:,} in any plan"
        )
        alive = ", ".join(f"{one_line(name)} {size:,}" for name, size in self.tensors)
        external = (
            ""
            if self.external is None or self.external >= self.needed
            else f"; with inputs and outputs outside the arena (io external), {self.external:,}"
        )
        return (
            f"the arena of {self.model} needs {self.needed:,} bytes, {proven}: "
            f"{self.needed - self.budget:,} more than the budget of {self.budget:,}; "
            f"{self.where} bounds it, while these tensors are alive: {alive}{external}; "
            "allow more, or use a smaller model"
        )


@dataclass(eq=False)
class BudgetError(TvmtinyError):
    """No model within a budget was found.

    Attributes
    ----------
    result
        The best that was found.
    over
        Names of the limits that it exceeds.
    remedy
        What may help.
    """

    exit_code = 3
    result: str
    over: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        limits = ", ".join(self.over)
        return f"{one_line(self.result)} exceeds the budget of {limits}; {one_line(self.remedy)}"


@dataclass(eq=False)
class ToolMissingError(TvmtinyError):
    """A program or Python package that a step needs is not installed.

    Attributes
    ----------
    tool
        Name of the program or package.
    package
        Package that provides it.
    why
        Purpose of the tool.
    installer
        Program that installs the package: apt-get on Debian and Ubuntu, pip for Python packages.
    problem
        Reason why an installed package cannot be used; None if it is not installed.
    remedy
        Advice that replaces the installation command, or None.
    """

    exit_code = 4
    tool: str
    package: str
    why: str
    installer: Literal["apt-get", "pip"] = "apt-get"
    problem: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        if self.problem is None:
            state, again = "is not installed", ""
        else:
            state, again = (
                f"is installed but fails ({one_line(self.problem)})",
                " --force-reinstall",
            )
        remedy = self.remedy or f"install it with: {self.installer} install{again} {self.package}"
        return f"{self.tool} {state}, needed {one_line(self.why)}; {remedy}"


@dataclass(eq=False)
class BuildError(TvmtinyError):
    """A compiler or linker failed.

    Attributes
    ----------
    command
        The command, as the list of its arguments.
    log_path
        File with everything that the command printed.
    first_error_line
        The first line of that file that names an error.
    """

    exit_code = 5
    command: tuple[str, ...]
    log_path: str | os.PathLike[str]
    first_error_line: str

    def __str__(self) -> str:
        tool = Path(self.command[0]).name if self.command else "the compiler"
        return (
            f"{tool} failed: {one_line(self.first_error_line)}; "
            f"its output is in {os.fspath(self.log_path)}; if the generated sources are unchanged, "
            "report the failure with that file"
        )
