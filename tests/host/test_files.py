"""Files that commands write: complete ones, and paths that must not be replaced by a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tvmtiny.errors import OutputPathError
from tvmtiny.host.files import write_text


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputPathError):  # No process reads from it.
        write_text(pipe, "lost")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    link.symlink_to("file")
    write_text(link, "new")
    assert link.is_symlink() and file.read_text() == "new"
    assert {each.name for each in tmp_path.iterdir()} == {"file", "link"}
