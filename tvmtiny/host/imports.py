"""Import Python packages that may be missing or broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tvmtiny.errors import ToolMissingError

__all__ = ["importing"]


@contextmanager
def importing(
    package: str, requirement: str, why: str, module: str | None = None
) -> Iterator[None]:
    """Turn import errors in the context into an error that tells how to install the package.

    Parameters
    ----------
    package
        Name of the package for pip.
    requirement
        Requirement to pass to pip.
    why
        Purpose of the package.
    module
        Name of the imported module if it differs from the package's.

    Raises
    ------
    ToolMissingError
        The package is not installed, or fails when it is imported.
    """
    try:
        yield
    except Exception as error:
        # An installed package can raise anything, for example when it does not find a library.
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        own = module or package.replace("-", "_")
        missing = (absent or "").partition(".")[0] == own
        problem = None if missing else f"{type(error).__name__}: {error}"
        raise ToolMissingError(package, requirement, why, "pip", problem) from error
