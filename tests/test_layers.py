"""Imports run downward: one ordered list of floors, and no circle between modules.

Imports inside functions and under TYPE_CHECKING count: what a module names, it depends on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tvmtiny"

#: The floors from the ground up. A floor is a module, or a package with everything in it; a module
#: belongs to the longest name that fits. It imports from its own floor and from floors before it.
FLOORS = (
    "errors",
    "resources",
    "runtime",
    "host",
    "options",
    "inputs",
    "datasets",
    "models",
    "targets",
    "ops.shared",
    "ops",
    "frontend",
    "learning",
    "preprocessing",
    "litert_operators",
    "oracle",
    "importers",
    "passes",
    "schedule",
    "memory",
    "streaming",
    "codegen",
    "estimation.counts",
    "estimation.terms",
    "estimation.multipliers",
    "estimation.expressions",
    "estimation.walk",
    "estimation.kernels",
    "estimation.facts",
    "estimation.table",
    "estimation.cycles",
    "compiler",
    "estimation",
    "quantizing",
    "results",
    "native",
    "emulation",
    "link",
    "project.api",
    "project",
    "project.qemu",
    "project.zephyr",
    "project.exports",
    "project.registry",
    "images",
    "rpc",
    "running",
    "checking",
    "evaluating",
    "listening",
    "creating",
    "tuning",
    "design",
    "report",
    "cli",
    "__main__",
    # The package itself: public names that nothing inside imports.
    "",
)


def modules(package: Path) -> dict[str, Path]:
    """Every module of a package by its name within the package; the package itself is ""."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str, known: Mapping[str, object], root: str) -> Iterator[tuple[str, int]]:
    """The package's own modules that a module imports anywhere, with the line of the import.

    ``from package import name`` imports the module ``package.name`` if there is one.
    """
    for node in ast.walk(ast.parse(import_lines(source))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            base = node.module or ""
            names = [
                inner if inner.removeprefix(f"{root}.") in known else base
                for inner in (f"{base}.{alias.name}" for alias in node.names)
            ]
        else:
            continue
        for name in names:
            if name == root or name.startswith(f"{root}."):
                yield name.removeprefix(root).removeprefix("."), node.lineno


_NAME = r"[\w.]+(?: as \w+)?"
#: A statement that imports, by itself on its lines.
_STATEMENT = re.compile(
    rf"^[ \t]*((?:from [\w.]+ )?import (?:{_NAME}(?:, {_NAME})*|\([\w, \n]+\)))(?=[ \t]*(?:#.*)?$)",
    re.MULTILINE,
)


def import_lines(source: str) -> str:
    """The imports of a module on the lines where they are, since parsing all of it takes long.

    A module with the word ``import`` elsewhere is returned as it is.
    """
    found = list(_STATEMENT.finditer(source))
    if len(found) < len(re.findall(r"\bimport\b", source)):
        return source
    lines, line, end = [], 1, 0
    for match in found:
        begin = line + source.count("\n", end, match.start(1))
        lines.append("\n" * (begin - line) + match[1])
        line, end = begin + match[1].count("\n"), match.end(1)
    return "".join(lines)


@cache
def imports_of(package: Path) -> Mapping[str, tuple[tuple[str, int], ...]]:
    """The imports of each module of a package; its files are read once."""
    known = modules(package)
    return {
        module: tuple(imports(path.read_text(encoding="utf-8"), known, package.name))
        for module, path in known.items()
    }


def floor_of(module: str) -> int:
    """Number of the floor that a module is on."""
    fits = [f for f in FLOORS if f and (module == f or module.startswith(f"{f}."))]
    return FLOORS.index(max(fits, key=len, default=""))


def upward(package: Path) -> list[str]:
    """Imports that run upward, as lines of text."""
    known = modules(package)
    return [
        f"{path.relative_to(package.parent)}:{line} ({FLOORS[floor_of(module)] or package.name}) "
        f"imports {imported or package.name}, which is above it"
        for module, path in known.items()
        for imported, line in imports_of(package)[module]
        if floor_of(imported) > floor_of(module)
    ]


def circles(package: Path) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others."""
    graph = {module: {name for name, _ in found} for module, found in imports_of(package).items()}
    reached: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        left = [module]
        while left:
            for imported in graph.get(left.pop(), ()):
                if imported not in seen:
                    seen.add(imported)
                    left.append(imported)
        reached[module] = seen
    groups = {
        tuple(sorted(other for other in seen if module in reached.get(other, ())))
        for module, seen in reached.items()
        if module in seen
    }
    return sorted(list(group) for group in groups)


def between(package: Path, folder: str) -> list[str]:
    """Imports from one package in a folder to another one beside it, as lines of text."""
    known = modules(package)
    beside = {
        path.parent.name for path in (package / Path(*folder.split("."))).glob("*/__init__.py")
    }

    def own(module: str) -> str | None:
        name = module.removeprefix(f"{folder}.").split(".")[0]
        return name if module.startswith(f"{folder}.") and name in beside else None

    return [
        f"{path.relative_to(package.parent)}:{line} imports {imported}, which belongs to {other}"
        for module, path in known.items()
        if (owner := own(module)) is not None
        for imported, line in imports_of(package)[module]
        if (other := own(imported)) is not None and other != owner
    ]


def test_imports_run_downward() -> None:
    assert upward(PACKAGE) == []


def test_no_circles() -> None:
    assert circles(PACKAGE) == []


def test_kernel_families_do_not_import_each_other() -> None:
    assert between(PACKAGE, "schedule.families") == []


def test_every_floor_exists() -> None:
    known = modules(PACKAGE)
    assert [floor for floor in FLOORS if floor not in known] == []


@pytest.mark.parametrize(
    "text",
    (
        "from pack.cli import main\n",
        "import pack.cli.main\n",
        "def late():\n    from pack.cli.main import main\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.cli.main import main\n",
        "from pack import cli\n",
        "import pack\n",
    ),
)
def test_upward_imports_are_found(tmp_path: Path, text: str) -> None:
    package = tmp_path / "pack"
    for folder in ("", "cli", "memory"):
        (package / folder).mkdir(exist_ok=True)
        (package / folder / "__init__.py").write_text("")
    (package / "cli" / "main.py").write_text("from pack.memory import plan\n")
    (package / "memory" / "plan.py").write_text(text)
    assert [line.split()[0] for line in upward(package)] == [
        f"pack/memory/plan.py:{text.count(chr(10))}"
    ]


def test_circles_are_found(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "first.py").write_text("from pack.second import x\n")
    (package / "second.py").write_text("def late():\n    from pack.third import x\n")
    (package / "third.py").write_text("from pack.first import y\n")
    (package / "fourth.py").write_text("from pack import third\n")
    assert circles(package) == [["first", "second", "third"]]


def test_imports_between_packages_of_a_folder_are_found(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    for folder in ("", "kinds", "kinds/first", "kinds/second"):
        (package / folder).mkdir(exist_ok=True)
        (package / folder / "__init__.py").write_text("")
    (package / "kinds" / "base.py").write_text("")
    (package / "kinds" / "first" / "own.py").write_text("from pack.kinds import base\n")
    (package / "kinds" / "second" / "loops.py").write_text(
        "from pack.kinds.second import x\ndef late():\n    from pack.kinds.first.own import y\n"
    )
    (package / "user.py").write_text("from pack.kinds.first import z\n")
    assert [line.split()[0] for line in between(package, "kinds")] == [
        "pack/kinds/second/loops.py:3"
    ]
