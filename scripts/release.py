#!/usr/bin/env python3
"""Build, check and tag a release.

    scripts/release.py               # everything; the tag is created last and never pushed
    scripts/release.py --build-only  # source archive and wheel of HEAD in dist/, without a tag

The release is rejected, with all reasons at once, unless the work tree is clean, ``CHANGELOG.md``
contains the version of ``pyproject.toml`` with a date, ``CITATION.cff`` has the same version, the
version has no tag yet, ``docs/figures/release.json`` has its figures, and the remote ``origin`` is
the source address in ``pyproject.toml``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def git(root: Path, *arguments: str) -> bytes:
    """Run git in `root` and return its output.

    Raises
    ------
    subprocess.CalledProcessError
        git failed.
    """
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, timeout=60
    ).stdout


def version_of(root: Path) -> str:
    """Return the version in ``pyproject.toml``."""
    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def problems(root: Path) -> Iterator[str]:
    """Yield every reason why the source tree `root` cannot be released in its current state."""
    version = version_of(root)
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$"
    if not re.search(heading, changes, re.MULTILINE):
        yield f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'"
    if f"\nversion: {version}\n" not in (root / "CITATION.cff").read_text(encoding="utf-8"):
        yield f"CITATION.cff does not have version {version}"
    with (root / "docs" / "figures" / "release.json").open("rb") as file:
        measured = json.load(file)["version"]
    if measured != version:
        yield f"docs/figures/release.json is of {measured}; run scripts/size_report.py --write"
    if changed := git(root, "status", "--porcelain").decode().splitlines():
        yield f"the work tree is not clean: {len(changed)} files differ from HEAD"
    if git(root, "tag", "--list", f"v{version}").strip():
        yield f"the tag v{version} exists already; set a new version in pyproject.toml"
    with (root / "pyproject.toml").open("rb") as file:
        source = tomllib.load(file)["project"]["urls"]["Source"]
    known = b"origin" in git(root, "remote").split()
    origin = git(root, "remote", "get-url", "origin").decode().strip() if known else ""
    if _address(origin) != _address(source):
        yield f"the remote origin is '{origin}', but pyproject.toml gives {source} as the source"


def _address(url: str) -> str:
    """Strip scheme, user and suffix from `url`, so that SSH and HTTPS addresses compare equal."""
    return re.sub(r"^(\w+://)?([^@/]+@)?|\.git/?$|/$", "", url).replace(":", "/")


def build(root: Path, folder: Path) -> list[Path]:
    """Build the source archive of HEAD, and the wheel from that archive, into `folder`.

    Raises
    ------
    subprocess.CalledProcessError
        The build failed; its output is in ``stdout`` and ``stderr``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        source, unpacked = Path(directory, "source"), Path(directory, "unpacked")
        with tarfile.open(fileobj=BytesIO(git(root, "archive", "HEAD"))) as archive:
            archive.extractall(source)
        sdist = _build("sdist", source, folder)
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked)
        (source,) = unpacked.iterdir()
        return [sdist, _build("wheel", source, folder)]


def _build(kind: str, source: Path, folder: Path) -> Path:
    code = f"from setuptools import build_meta as b; print(b.build_{kind}({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return folder / done.stdout.splitlines()[-1]


def main() -> int:
    """Run the release; return 1 if it is rejected or a check fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-only", action="store_true", help="build, but do not check or tag")
    options = parser.parse_args()
    version = version_of(ROOT)
    if not options.build_only:
        if found := list(problems(ROOT)):
            print("\n".join(f"release: {problem}" for problem in found), file=sys.stderr)
            return 1
        checks = subprocess.run([str(ROOT / "scripts" / "test.sh")], check=False)
        if checks.returncode:
            print("release: a check failed; see above", file=sys.stderr)
            return 1
    for path in build(ROOT, ROOT / "dist"):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")
    if not options.build_only:
        git(ROOT, "tag", "--annotate", f"v{version}", "--message", f"tvmtiny {version}")
        print(f"tagged v{version}; publish it with: git push origin v{version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
