"""Exceptions of tvmtiny: one tree of classes, each with fields and one clear message.

The command line prints the message and exits with the class's ``exit_code``:

====  =========================  ============================================================
Code  Class                      Meaning
====  =========================  ============================================================
1     :class:`TvmtinyError`      Any other error of tvmtiny.
2     :class:`InputError`        The model, the input data, a name or a path given is not usable.
3     :class:`CapacityError`     The model does not fit the memory of the board.
3     :class:`RamBudgetError`    The model does not fit the RAM that was allowed.
3     :class:`BudgetError`       No model within a budget was found.
4     :class:`ToolMissingError`  A compiler or an emulator is not installed.
5     :class:`BuildError`        The compiler or the linker refused the generated project.
6     :class:`DeviceError`       The firmware faulted, timed out or answered nonsense.
7     :class:`CheckError`        The firmware ran, but its results differ from the reference.
8     :class:`LinkError`         The link to the board timed out, closed or broke its protocol.
====  =========================  ============================================================
"""

from __future__ import annotations

from tvmtiny.errors.arguments import (
    BoardFileError,
    InputDataError,
    OutputPathError,
    ProfileBoardError,
    UnknownTargetError,
)
from tvmtiny.errors.base import InputError, TvmtinyError
from tvmtiny.errors.link import (
    LinkClosedError,
    LinkError,
    LinkProtocolError,
    LinkTimeoutError,
    ModelMismatchError,
    PortError,
)
from tvmtiny.errors.model import (
    DynamicRangeModelError,
    DynamicShapeError,
    ModelFormatError,
    OperatorProblem,
    OracleRefusalError,
    QuantizeError,
    UnsupportedModelError,
)
from tvmtiny.errors.model_image import ImageError
from tvmtiny.errors.on_device import CheckError, DeviceError, DeviceFaultError, DeviceTimeoutError
from tvmtiny.errors.resources import (
    BudgetError,
    BuildError,
    CapacityError,
    RamBudgetError,
    RegionDemand,
    ToolMissingError,
)

__all__ = [
    "BoardFileError",
    "BudgetError",
    "BuildError",
    "CapacityError",
    "CheckError",
    "DeviceError",
    "DeviceFaultError",
    "DeviceTimeoutError",
    "DynamicRangeModelError",
    "DynamicShapeError",
    "ImageError",
    "InputDataError",
    "InputError",
    "LinkClosedError",
    "LinkError",
    "LinkProtocolError",
    "LinkTimeoutError",
    "ModelFormatError",
    "ModelMismatchError",
    "OperatorProblem",
    "OracleRefusalError",
    "OutputPathError",
    "PortError",
    "ProfileBoardError",
    "QuantizeError",
    "RamBudgetError",
    "RegionDemand",
    "ToolMissingError",
    "TvmtinyError",
    "UnknownTargetError",
    "UnsupportedModelError",
]
