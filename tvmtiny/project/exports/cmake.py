"""Export as a CMake package, for ``add_subdirectory`` and ``find_package``."""

from __future__ import annotations

from tvmtiny.project.exports.library import Files, Format, Package


def _write(package: Package) -> Files:
    files = {name: text for name, text in package.files.items() if not name.endswith(".mk")}
    files["example/CMakeLists.txt"] = package.render("example.cmake.j2")
    files["example/main.c"] = package.render("main.c.j2")
    return files


CMAKE = Format("cmake", "as a CMake package", _write)
