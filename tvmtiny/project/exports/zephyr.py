"""Export as a Zephyr module."""

from __future__ import annotations

import re

from tvmtiny.project.exports.library import Files, Format, Package
from tvmtiny.project.package import PackagedModel, package_files, render
from tvmtiny.project.zephyr.application import application_files

# Files of the Zephyr application that are part of the module.
_MODULE = re.compile(r"zephyr/|include/|src/(sample|inference|shell)\.c$")


def _write(package: Package) -> Files:
    models, table = [PackagedModel(each) for each in package.artifacts], "tvmtiny_models.c"
    files = {
        name: text for name, text in application_files().items() if _MODULE.match(name) is not None
    }
    files |= package.sources("models")
    files["models/sources.cmake"] = package_files(models, table)["sources.cmake"]
    files[f"models/{table}"] = render("models.c.j2", models=models)
    return files


ZEPHYR = Format("zephyr", "as a Zephyr module", _write)
