"""Transport of errors as text of TVM's exceptions, from a bridge to the caller.

Any number of TVM's RPC servers may lie between the two, and each embeds the text of the exception
that it receives in the text of its own. A mark in the text makes the original error easy to find.
The bridge is the process between TVM and a board (`tvmtiny.rpc.bridge`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvmtiny.errors import (
    LinkClosedError,
    LinkError,
    LinkProtocolError,
    LinkTimeoutError,
    PortError,
    TvmtinyError,
)

__all__ = ["LinkFailure", "fault_registers", "find_failure", "to_text"]

LINK_MARK = "tvmtiny-link "
FAULT_MARK = "tvmtiny-fault "

_KINDS: dict[str, type[LinkError]] = {
    "timeout": LinkTimeoutError,
    "closed": LinkClosedError,
    "protocol": LinkProtocolError,
    "link": LinkError,
}
_PORT = "port"


@dataclass(frozen=True)
class LinkFailure:
    """An error reported by a bridge.

    Attributes
    ----------
    error
        The original error.
    process
        Process ID of the bridge on its machine.
    """

    error: TvmtinyError
    process: int


def to_text(error: LinkError | PortError, process: int) -> str:
    """Encode an error as the text of an exception."""
    fields: dict[str, Any] = {"process": process, "url": error.url, "reason": error.reason}
    if isinstance(error, PortError):
        fields |= {"kind": _PORT, "problem": error.problem}
    else:
        kinds = [name for name, kind in _KINDS.items() if type(error) is kind]
        fields |= {"kind": kinds[0], "seconds": error.seconds, "frames": error.frames}
    return LINK_MARK + json.dumps({**fields, "message": str(error)})


def find_failure(text: str) -> LinkFailure | None:
    """Decode an error from the text of an exception; None if the text contains none."""
    _, mark, rest = text.partition(LINK_MARK)
    if not mark:
        return None
    try:
        fields, _ = json.JSONDecoder().raw_decode(rest)
        return LinkFailure(_restore(fields), int(fields["process"]))
    except (ValueError, KeyError, TypeError):
        return None


def _restore(fields: Mapping[str, Any]) -> TvmtinyError:
    url, reason = str(fields["url"]), str(fields["reason"])
    if fields["kind"] == _PORT:
        return PortError(url, str(fields["problem"]), reason)
    kind = _KINDS[fields["kind"]]
    return kind(url, reason, float(fields["seconds"]), tuple(map(str, fields["frames"])))


def fault_registers(text: str) -> dict[str, int] | None:
    """Read the registers that a board reports after a processor fault; None without a fault."""
    _, mark, rest = text.partition(FAULT_MARK)
    if not mark:
        return None
    registers = {}
    for word in rest.split():
        name, equals, value = word.partition("=")
        try:
            if not equals:
                break
            registers[name] = int(value, 16)
        except ValueError:
            break
    return registers
