"""Rules of the CMSIS-Pack format that can be checked without its schema."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

#: Children of <package> that must occur once.
_REQUIRED = ("vendor", "name", "description", "url", "releases")
_KNOWN = (*_REQUIRED, "license", "keywords", "taxonomy", "conditions", "components")
_RESTRICTED = re.compile(r"[\-_A-Za-z0-9]+")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+()'/\-\s.]+")
_SUB = re.compile(r"([A-Za-z0-9][A-Za-z0-9_+():/\- .]*)?")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_CATEGORIES = {"doc", "header", "include", "library", "source", "other"}
_COMPILERS = {"GCC", "ARMCC", "IAR", "CLANG"}


def pack_problems(pack: Path) -> list[str]:
    """The faults of a pack; empty if there are none."""
    problems: list[str] = []

    def demand(condition: object, problem: str) -> None:
        if not condition:
            problems.append(problem)

    with zipfile.ZipFile(pack) as archive:
        demand(archive.testzip() is None, "a damaged entry")
        names = archive.namelist()
        descriptions = [name for name in names if name.endswith(".pdsc")]
        demand(len(descriptions) == 1 and "/" not in descriptions[0], "one .pdsc, at the root")
        root = ElementTree.fromstring(archive.read(descriptions[0]))
    demand(len(set(names)) == len(names), "an entry twice")
    demand(root.tag == "package" and root.get("schemaVersion"), "<package schemaVersion>")
    tags = [child.tag for child in root]
    demand(all(tags.count(tag) == 1 for tag in _REQUIRED), "required elements, each once")
    demand(set(tags) <= set(_KNOWN) and len(set(tags)) == len(tags), "unknown elements")

    def text(tag: str) -> str:
        return root.findtext(tag) or ""

    vendor, name = text("vendor"), text("name")
    demand(_RESTRICTED.fullmatch(vendor) and _RESTRICTED.fullmatch(name), "vendor and name")
    demand(text("description"), "a description")
    demand(re.fullmatch(r"(https?://\S+)?", text("url")), "the URL")
    releases = root.findall("releases/release")
    versions = [release.get("version", "") for release in releases]
    demand(releases and all(map(_VERSION.fullmatch, versions)), "versions of releases")
    demand(pack.name == f"{vendor}.{name}.{versions[0]}.pack", "the pack's name")
    demand(descriptions == [f"{vendor}.{name}.pdsc"], "the description's name")
    conditions = {condition.get("id") for condition in root.findall("conditions/condition")}
    for condition in root.findall("conditions/condition/*"):
        known = condition.tag in ("description", "accept", "require", "deny")
        compiler = condition.get("Tcompiler")
        demand(known and (compiler is None or compiler in _COMPILERS), "a condition")
    classes = [entry.get("Cclass") for entry in root.findall("taxonomy/description")]
    components = root.findall("components/component")
    demand(components, "a component")
    identities = [
        tuple(c.get(f"C{part}") for part in ("class", "group", "sub")) for c in components
    ]
    demand(len(set(identities)) == len(identities), "two components of the same name")
    for component, (class_, group, sub) in zip(components, identities, strict=True):
        for part in (class_, group):
            demand(part and len(part) <= 32 and _IDENTIFIER.fullmatch(part), f"name {part}")
        demand(sub is not None and len(sub) <= 32 and _SUB.fullmatch(sub), f"name {sub}")
        demand(class_ in classes, "a class that the taxonomy does not describe")
        demand(_VERSION.fullmatch(component.get("Cversion", "")), "a component's version")
        demand(component.get("condition") in conditions, "an unknown condition")
        demand([child.tag for child in component] == ["description", "files"], "a component")
        for file in component.findall("files/file"):
            path, category = file.get("name", ""), file.get("category", "")
            demand(category in _CATEGORIES, f"category {category}")
            if category == "include":
                there = path.endswith("/") and any(name.startswith(path) for name in names)
            else:
                there = path in names
            demand(there and not path.startswith("/") and ".." not in path, f"file {path}")
    return problems
