"""Members of libraries in a program, from the linker's map."""

from __future__ import annotations

from pathlib import Path

from tvmtiny.project.sizes import read_map


def library_members(text: str) -> tuple[str, ...]:
    """The members that take space in the program, sorted, from the content of a map file."""
    members = set()
    for section in read_map(text):
        takes_space = not section.output.startswith((".debug", ".comment"))
        takes_space &= not section.output.endswith(".attributes")
        if takes_space and section.is_library:
            members.add(Path(section.file).name)
    return tuple(sorted(members))
