"""Puts the folders beside the package into wheels; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: `tvmtiny.resources.shipped` finds them in the package, or beside it in a source tree.
FOLDERS = ("schedules", "zephyr_app")


class BuildWithFolders(build_py):
    """Copies the folders into the built package."""

    def run(self) -> None:
        """Build, then copy; an editable installation reads the source tree."""
        super().run()
        if self.editable_mode:
            return
        for name in FOLDERS:
            source = Path(__file__).parent / name
            if source.is_dir():
                target = Path(self.build_lib) / "tvmtiny" / name
                shutil.copytree(source, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithFolders})
