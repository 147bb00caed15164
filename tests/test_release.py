"""The requirements of a release, and the files for the project's host."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

import pytest
from tools import ROOT, needs_programs

RELEASE = runpy.run_path(str(ROOT / "scripts" / "release.py"))
HOSTING = sorted((ROOT / ".github").rglob("*.yml"))


def git(root: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *settings, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree that can be released."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nversion = "1.2.0"\nurls.Source = "https://example.com/some/one"\n'
    )
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## [1.2.0] - 2026-01-02\n")
    (tmp_path / "CITATION.cff").write_text("title: one\nversion: 1.2.0\n")
    (tmp_path / "docs" / "figures").mkdir(parents=True)
    (tmp_path / "docs" / "figures" / "release.json").write_text('{"version": "1.2.0"}')
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    git(tmp_path, "remote", "add", "origin", "git@example.com:some/one.git")
    return tmp_path


@needs_programs("git")
def test_a_tree_that_can_be_released(tree: Path) -> None:
    assert list(RELEASE["problems"](tree)) == []


@needs_programs("git")
def test_all_problems_are_named(tree: Path) -> None:
    git(tree, "tag", "v1.2.0")
    git(tree, "remote", "set-url", "origin", "https://example.com/some/fork")
    (tree / "CHANGELOG.md").write_text("# Changes\n\n## [1.2.0] - unreleased\n")
    (tree / "CITATION.cff").write_text("title: one\nversion: 1.1.0\n")
    (tree / "docs" / "figures" / "release.json").write_text('{"version": "1.1.0"}')
    assert list(RELEASE["problems"](tree)) == [
        "CHANGELOG.md has no heading '## [1.2.0] - YYYY-MM-DD'",
        "CITATION.cff does not have version 1.2.0",
        "docs/figures/release.json is of 1.1.0; run scripts/size_report.py --write",
        "the work tree is not clean: 3 files differ from HEAD",
        "the tag v1.2.0 exists already; set a new version in pyproject.toml",
        "the remote origin is 'https://example.com/some/fork', but pyproject.toml gives "
        "https://example.com/some/one as the source",
    ]


def test_the_citation_has_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {RELEASE['version_of'](ROOT)}\n" in text


@pytest.mark.parametrize(
    "path", [*HOSTING, ROOT / ".pre-commit-config.yaml"], ids=lambda path: path.name
)
def test_files_that_the_hosting_names_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:scripts|tests|docs)/[\w-]+\.\w+", text):
        assert (ROOT / name).exists(), name


def test_the_hosting_files_are_yaml() -> None:
    yaml = pytest.importorskip("yaml", reason="not installed: PyYAML (the extra docs brings it)")
    for path in [*HOSTING, ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]:
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path.name
