"""Importing Python packages that may be missing or broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tvmtiny.errors import ToolMissingError

__all__ = ["importing"]


@contextmanager
def importing(
    package: str, requirement: str, why: str, module: str | None = None
) -> Iterator[None]:
    """Say of a package that cannot be imported in the context what to do about it.

    Parameters
    ----------
    package
        As pip calls it.
    requirement
        What to give to pip.
    why
        What it is needed for.
    module
        What it is imported as, where that is not its name.

    Raises
    ------
    ToolMissingError
        The package is not installed, or fails as it is imported.
    """
    try:
        yield
    except Exception as error:
        # A package that is there can raise anything, such as for a library that it does not find.
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        own = module or package.replace("-", "_")
        missing = (absent or "").partition(".")[0] == own
        problem = None if missing else f"{type(error).__name__}: {error}"
        raise ToolMissingError(package, requirement, why, "pip", problem) from error
