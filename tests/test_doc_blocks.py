"""Every block of the pages is run by a test, or a mark before the block says why it cannot run.

These blocks are run:

- a ``console`` block, or a block that is written to a named file for one (``scripts/docs.py``);
- a Python session (``>>>``), run by doctest;
- a fragment of C, which is compiled here with the headers that it is about;
- a block marked ``<!-- run by: tests/FILE.py -->``: that test does the same.

``<!-- not run: REASON -->`` says why a block cannot run. ``text`` blocks are no commands. Commands
of blocks that are not run must still exist, with their options.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main
from tools import ROOT, needs_programs

import tvmtiny
from tvmtiny import models
from tvmtiny.cli.config import known_options, read_config
from tvmtiny.cli.main import app

PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
)
#: Reasons begin with one of these words.
REASONS = ("hardware", "Zephyr", "network", "minutes", "installs", "a workflow", "the models")

_MARK = re.compile(r"^ *<!-- (run by|not run): (.+) -->$")
_FENCE = re.compile(r"^( *)```(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block, or an indented one, which has no language."""

    page: Path
    line: int
    language: str
    file: str
    body: str
    mark: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def how(self) -> str:
        """The reason why the block counts as tested; empty if there is none."""
        if self.mark:
            return self.mark
        if self.language == "text":
            return "text"
        if self.language == "console" or self.file:
            return "console"
        if self.language == "python" and self.body.startswith(">>> "):
            return "doctest"
        return "compiled" if self.language == "c" else ""


def blocks_of(page: Path) -> Iterator[Block]:
    """All blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    position = 0
    while position < len(lines):
        begin = position
        before = _MARK.match(lines[begin - 1]) if begin else None
        marks = (before[1], before[2]) if before else ("", "")
        position += 1
        if fence := _FENCE.match(lines[begin]):
            while lines[position].strip() != "```":
                position += 1
            body = "\n".join(lines[begin + 1 : position])
            language, _, file = fence[2].partition(" ")
            position += 1
            yield Block(page, begin + 1, language, file, body, *marks)
        elif lines[begin].startswith("    ") and begin and not lines[begin - 1].strip():
            while position < len(lines) and lines[position].startswith("    "):
                position += 1
            yield Block(page, begin + 1, "", "", "\n".join(lines[begin:position]), *marks)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def test_every_block_is_accounted_for() -> None:
    counts = Counter(block.how for block in BLOCKS)
    print(f"{len(BLOCKS)} blocks in {len(PAGES)} pages:", dict(counts.most_common()))
    assert [str(block) for block in BLOCKS if not block.how] == []
    for block in BLOCKS:
        if block.mark == "run by":
            file, _, name = block.reason.partition("::")
            source = (ROOT / file).read_text(encoding="utf-8")
            assert f"def {name}(" in source if name else "def test_" in source, block
        elif block.mark == "not run":
            assert block.reason.startswith(REASONS), block
            for file in re.findall(r"\btests/[\w/]+(?:\.py)?", block.reason):
                assert (ROOT / file).exists(), block


def test_rows_of_tables_are_whole() -> None:
    """A wrapped row, or two rows in one line, is no row of the table any more."""
    broken = []
    for page in PAGES:
        columns = 0
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            if re.fullmatch(r"\|[-:| ]+\|", line):
                columns = line.count("|")
            elif not line or line.startswith("<!--"):
                columns = 0
            # Bars within code or after a backslash separate no cells.
            elif columns and re.sub(r"`[^`]*`|\\\|", "", line).count("|") != columns:
                broken.append(f"{page.name}:{number}")
    assert broken == []


#: Files that commands read without being told their names.
_READ = ("tvmtiny.toml",)


def test_named_files_are_used() -> None:
    """A named file that no later command reads would not be tested."""
    for block in BLOCKS:
        if block.file and block.file not in _READ:
            later = [b.body for b in BLOCKS if b.page == block.page and b.language == "console"]
            used = any(block.file in body for body in later)
            assert used or block.mark == "not run", block


def switches(group: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
    """Every option of every command of `group`, by the words of the command."""
    found = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= switches(command, (*words, name))
        else:
            named = (name for p in command.params for name in (*p.opts, *p.secondary_opts))
            found[(*words, name)] = {name for name in named if name.startswith("-")}
    return found


def test_commands_exist() -> None:
    known = switches(typer.main.get_command(app))
    checked = 0
    for block in BLOCKS:
        if block.language not in ("sh", "yaml"):
            continue
        for line in re.sub(r"\\\n\s*", " ", block.body).splitlines():
            command = re.search(r"(?:^|\| |run: )(tvmtiny .*)", line)
            if not command:
                continue
            words = shlex.split(command[1], comments=True)[1:]
            named = tuple(words[:2]) if tuple(words[:2]) in known else tuple(words[:1])
            assert named in known, f"{block}: {line}"
            given = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
            assert given <= known[named], f"{block}: {line}"
            checked += 1
    assert checked > 10


def test_configurations(tmp_path: Path) -> None:
    options = known_options(typer.main.get_command(app))
    found = [b for b in BLOCKS if b.language == "toml" and "test_configurations" in b.reason]
    assert found
    for block in found:
        file = tmp_path / "tvmtiny.toml"
        file.write_text(block.body, encoding="utf-8")
        read_config(file, options)


#: Declarations that fragments use beside the interface of a model.
_AROUND = """
#include <stdbool.h>
void feed_watchdog(void), serve_uart(void), poll_buttons(void), camera_start(void), wake_up(void);
void camera_receive(void *row, uint32_t bytes), use(const int8_t *scores);
void __WFI(void), taskYIELD(void), task_is_alive(int task);
uint32_t ulTaskNotifyTake(int clear, uint32_t ticks);
int xQueueSend(void *queue, const void *item, uint32_t ticks);
extern void *results;
extern bool cancelled, sample_ready, busy;
enum { INFERENCE, pdTRUE };
#define portMAX_DELAY 0xffffffffu
"""
#: Headers that replace the header of a model outside of the project.
_FED = """
#ifndef OKAY_NABU_H
#define OKAY_NABU_H
#include <stdint.h>
struct tvmtiny_okay_nabu_inputs { int unused; };
struct tvmtiny_okay_nabu_outputs { int unused; };
int32_t tvmtiny_okay_nabu_feed(const int16_t *samples, uint32_t count);
#endif
"""
#: Commands that make the models of the fragments; those of rows and of steps are both named vww.
_MODELS: dict[str, dict[str, Any]] = {
    "digits": {"options": {"trainable": "last"}},
    "kws": {"model": "sine", "options": {"longest_slice": 2000, "output_names": ("scores",)}},
    "rows": {"options": {"stream": "rows"}},
    "steps": {"model": "sine", "options": {"longest_slice": 2000}},
}


@needs_programs("gcc")
def test_fragments_of_c(tmp_path: Path) -> None:
    """Fragments without a file are compiled as they stand, or as the body of a function."""
    for name, how in _MODELS.items():
        called = "vww" if name in ("rows", "steps") else name
        model = tvmtiny.load(models.path(how.get("model", "digits")), name=called)
        tvmtiny.save(tvmtiny.compile(model, "cortex-m4", **how["options"]), tmp_path / name)
    (tmp_path / "okay_nabu").mkdir()
    (tmp_path / "okay_nabu" / "okay_nabu.h").write_text(_FED, encoding="utf-8")
    for number, block in enumerate(b for b in BLOCKS if b.how == "compiled"):
        called = next(n for n in ("digits", "kws", "vww", "okay_nabu") if f"_{n}_" in block.body)
        folder = called
        if called == "vww":
            folder = "steps" if "_begin" in block.body else "rows"
        source = (
            f'#include "{called}.h"\n{_AROUND}'
            f"struct tvmtiny_{called}_inputs inputs; struct tvmtiny_{called}_outputs outputs;\n"
        )
        if re.search(r"^(?:static )?(?:void|int32_t) \w+\(.*\)(?:;|\n\{| /\*)", block.body, re.M):
            source += block.body
        else:
            # A file is included once: the header that a fragment names is included already.
            source += f"void fragment(int32_t label) {{\n{block.body}\n}}"
        file = tmp_path / f"fragment{number}.c"
        file.write_text(source + "\n", encoding="utf-8")
        flags = ["-std=c99", "-Wall", "-Wno-unused", "-Werror", "-fsyntax-only"]
        command = ["gcc", *flags, f"-I{tmp_path / folder}", str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
