#!/usr/bin/env python3
"""Count what cppcheck's MISRA addon and clang-tidy find in generated C; write docs/safety.md.

    scripts/static_analysis.py              # digits and sine; updates the table of the page
    scripts/static_analysis.py MODEL ...    # other models; prints the counts

The counts of digits and sine are stored in ``docs/figures/static-analysis.json``. cppcheck
reads the portable twins of kernels, because it knows neither intrinsics nor assembly. The texts of
MISRA's rules are not part of this project, so that rules are named by number.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tvmtiny
from tvmtiny import models
from tvmtiny.targets import resolve

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "safety.md"
STORED = ROOT / "docs" / "figures" / "static-analysis.json"

#: One CPU for each kernel family that is analysed.
CPUS = {"thumb": "cortex-m0", "dsp": "cortex-m4", "mve": "cortex-m55", "riscv": "rv32imc"}
MODELS = ("digits", "sine")

#: Rules of MISRA C:2012 that generated C deviates from: category, and why.
DEVIATIONS = {
    "2.2": ("required", "an address plus offset 0, so that all tensors are written alike"),
    "2.3": ("advisory", "types of the interface that the application may use"),
    "2.5": ("advisory", "macros of the interface, such as sizes, that the application may use"),
    "5.5": ("required", "a function for one compiler is a macro for the others"),
    "8.5": ("required", "a kernel's prototype beside its definition in the same header"),
    "8.7": ("advisory", "functions of the interface are called by the application only"),
    "8.9": ("advisory", "constants at file scope, so that they can be placed in a section"),
    "10.1": ("required", "right shifts of signed numbers, see above; truth values as numbers"),
    "10.3": ("required", "truth values and `char`-sized results stored in `int32_t`"),
    "10.6": ("required", "a choice between small constants, stored in `int32_t`"),
    "10.7": ("required", "64-bit sums of products whose factors fit 32 bits"),
    "10.8": ("required", "casts of expressions between types of equal size, to reuse the bits"),
    "11.4": ("advisory", "alignment of the caller's arena is checked on its address"),
    "11.5": ("advisory", "tensors of different types share one arena of bytes"),
    "12.1": ("advisory", "precedence of arithmetic operators is relied on"),
    "12.3": ("advisory", "several counters advance in one loop"),
    "13.3": ("advisory", "pointers advance in the statement that uses them"),
    "13.4": ("advisory", "one value is assigned to several variables"),
    "15.5": ("advisory", "errors in arguments return early"),
    "17.7": ("required", "a kernel returns its next address, which the last caller does not need"),
    "17.8": ("advisory", "parameters serve as counters"),
    "18.4": ("advisory", "pointer arithmetic inside of arrays whose bounds are known"),
    "19.2": ("advisory", "a union gives the bits of a float"),
    "20.7": ("required", "macro parameters that are types, operators or text of assembly"),
    "20.10": ("advisory", "names and text of assembly are put together by the preprocessor"),
}
_MISRA = (
    "--addon=misra",
    "--std=c99",
    "--platform=arm32-wchar_t2",
    "--enable=style,warning,portability",
    "--quiet",
    "-DTVMTINY_PORTABLE=1",
    "-D__GNUC__=12",
    "-DINT_MAX=2147483647",
)
#: Names that begin with the model's prefix, and neighbours of one type, are how the interface is.
_TIDY = (
    "-*,bugprone-*,cert-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,"
    "-bugprone-reserved-identifier,-cert-dcl37-c,-cert-dcl51-cpp"
)
_ARM_HEADERS = "/usr/lib/arm-none-eabi/include"
_RISCV_HEADERS = "/usr/lib/picolibc/riscv64-unknown-elf/include"
_TABLE = re.compile(r"(?<=^<!-- misra -->\n).*?(?=^<!-- end -->$)", re.DOTALL | re.MULTILINE)


def version(program: str) -> str:
    """The version that a program states; empty if it is not installed."""
    if shutil.which(program) is None:
        return ""
    text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"\d+\.\d+", text)
    return found[0] if found else ""


def misra(folder: Path) -> Counter[str]:
    """Findings of cppcheck in the C of a model, by rule of MISRA C:2012 or by own name."""
    command = ["cppcheck", *_MISRA, f"-I{folder}", *map(str, sorted(folder.glob("*.c")))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200)
    return _count(r"\[(?:misra-c2012-)?([\w.]+)\]$", done.stderr)


def tidy(folder: Path, cpu: str) -> Counter[str]:
    """Findings of clang-tidy in the C of a model for a CPU, by name of the check."""
    arm = cpu.startswith("cortex")
    flags = [flag for flag in resolve(cpu).cpu.flags if flag != "-mfpu=auto"]
    command = [
        "clang-tidy",
        "--quiet",
        f"--checks={_TIDY}",
        "--header-filter=.*",
        *map(str, sorted(folder.glob("*.c"))),
        "--",
        f"--target={'arm-none-eabi' if arm else 'riscv32-unknown-elf'}",
        *flags,
        "-std=c99",
        "-O2",
        "-ffreestanding",
        f"-isystem{_ARM_HEADERS if arm else _RISCV_HEADERS}",
        f"-I{folder}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    return _count(r"(?:warning|error): .*\[([\w.,-]+)\]$", done.stdout)


def _count(pattern: str, text: str) -> Counter[str]:
    """Findings by name; one in a header counts once, however many files include it."""
    lines = {re.sub(r"^.*/", "", line) for line in text.splitlines()}
    return Counter(found[1] for line in lines if (found := re.search(pattern, line)))


def measure(paths: list[str]) -> dict[str, Any]:
    """Findings of both programs in models on all families; what is not installed is left out."""
    result: dict[str, Any] = {}
    programs = {"cppcheck": misra, "clang-tidy": tidy}
    for program in programs:
        if found := version(program):
            result[program] = {"version": found, "counts": {}}
    for family, cpu in CPUS.items():
        totals: dict[str, Counter[str]] = {program: Counter() for program in result}
        for path in paths:
            with TemporaryDirectory() as directory:
                folder = Path(directory)
                tvmtiny.save(tvmtiny.compile(tvmtiny.load(path), cpu), folder)
                if "cppcheck" in result:
                    totals["cppcheck"] += misra(folder)
                if "clang-tidy" in result:
                    totals["clang-tidy"] += tidy(folder, cpu)
        for program, counts in totals.items():
            result[program]["counts"][family] = dict(sorted(counts.items()))
    return result


def with_table(text: str, result: dict[str, Any]) -> str:
    """`text` with the table of deviations."""
    counts = result["cppcheck"]["counts"]
    rows = [
        f"| rule | category | {' | '.join(counts)} | why |",
        f"| --- | --- |{' ---: |' * len(counts)} --- |",
    ]
    for rule, (category, why) in DEVIATIONS.items():
        found = [counts[family].get(rule, 0) for family in counts]
        if any(found):
            rows.append(f"| {rule} | {category} | {' | '.join(map(str, found))} | {why} |")
    return _TABLE.sub(lambda _: "\n".join((*rows, "")), text, count=1)


def main() -> int:
    """Analyse the models of the command line, or digits and sine and update the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="paths of models in place of digits and sine")
    options = parser.parse_args()
    result = measure(options.models or [str(models.path(name)) for name in MODELS])
    text = json.dumps(result, indent=1) + "\n"
    if options.models:
        print(text, end="")
        return 0
    if set(result) != {"cppcheck", "clang-tidy"}:
        print("install cppcheck and clang-tidy", file=sys.stderr)
        return 1
    STORED.write_text(text, encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
