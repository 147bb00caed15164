"""Objects that are closed at the end of a ``with`` statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

__all__ = ["Closing"]

_Closing = TypeVar("_Closing", bound="Closing")


class Closing(ABC):
    """An object with programs, folders or connections that `close` releases."""

    @abstractmethod
    def close(self) -> None:
        """Release what the object holds."""

    def __enter__(self: _Closing) -> _Closing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
