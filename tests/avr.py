"""Programs for a processor whose int has 16 bits: compiled by avr-gcc, run by simavr."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from host_runner import WARNINGS, run_command, write_files

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.tensors import pack_inputs

# The part with the most memory that both GCC and simavr support: 128 KB of flash, 16 KB of RAM.
_MCU = "atmega1284p"
FLAGS = (f"-mmcu={_MCU}", "-Os", "-ffreestanding")

#: Functions with which a program prints and ends.
RUNTIME = """\
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdint.h>

static void put(char character)
{
  while ((UCSR0A & (uint8_t)(1u << UDRE0)) == 0u) {
  }
  UDR0 = (uint8_t)character;
}

/* In lines that simavr does not break. */
static void print(const void *data, uint32_t bytes)
{
  const uint8_t *from = (const uint8_t *)data;
  for (uint32_t i = 0; i < bytes; ++i) {
    put("0123456789abcdef"[from[i] >> 4]);
    put("0123456789abcdef"[from[i] & 15u]);
    if (i % 16u == 15u || i + 1u == bytes) {
      put('\\n');
    }
  }
}

static void start(void)
{
  UCSR0B = (uint8_t)(1u << TXEN0);
}

/* Sleeping with interrupts disabled ends the simulation. */
static void stop(void)
{
  cli();
  sleep_mode();
}
"""


def compiler() -> str:
    """The compiler's path; skip the test without compiler, C library or simulator."""
    found, packages = shutil.which("avr-gcc"), []
    if found is None:
        packages = ["gcc-avr", "avr-libc"]
    # GCC prints the bare name if the file does not exist.
    elif not Path(
        run_command([found, "-print-file-name=libc.a"], Path.cwd()).strip()
    ).is_absolute():
        packages = ["avr-libc"]
    if shutil.which("simavr") is None:
        packages.append("simavr")
    if found is None or packages:
        pytest.skip(f"not installed (Debian packages): {', '.join(packages)}")
    return found


def run_main(main: str, directory: Path, sources: Sequence[str] = ()) -> bytes:
    """Compile `main`, which begins with `RUNTIME`, without warnings; return the bytes it prints."""
    (directory / "avr_main.c").write_text(main, encoding="utf-8")
    command = [compiler(), *WARNINGS, *FLAGS, "avr_main.c", *sources, "-o", "program"]
    run_command(command, directory)
    done = subprocess.run(
        ["simavr", "-m", _MCU, "-f", "16000000", "program"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # simavr colours each line and prints a dot at the end.
    lines = re.findall(r"^(?:\x1b\[\d*m)*((?:[0-9a-f]{2})+)\.", done.stdout + done.stderr, re.M)
    return bytes.fromhex("".join(lines))


def run_artifact(
    artifact: Artifact,
    input_sets: Sequence[Sequence[np.ndarray]],
    directory: Path,
    runtime: str = RUNTIME,
    run: Callable[[str, Path, Sequence[str]], bytes] = run_main,
) -> list[bytes]:
    """Run a model without external inputs and outputs on each set of inputs.

    Parameters
    ----------
    runtime, run
        `RUNTIME` and `run_main`, or those of another processor.

    Returns
    -------
    list of bytes
        All outputs of a run, one behind the other.
    """
    sources = write_files(artifact, directory)
    prefix = f"tvmtiny_{artifact.name}"
    data = b"".join(pack_inputs(artifact.inputs, inputs) for inputs in input_sets)
    stride = sum(tensor.bytes for tensor in artifact.inputs)
    copies, start = [], 0
    for tensor in artifact.inputs:
        source = f"samples + {stride}u * set + {start}u"
        copies.append(f"    copy(arena + {tensor.offset}, {source}, {tensor.bytes}u);")
        start += tensor.bytes
    prints = [f"    print(outputs.{t.c_name}, {t.bytes}u);" for t in artifact.outputs]
    first = artifact.inputs[0]
    main = f"""{runtime}
#include "{artifact.name}.h"

static const uint8_t samples[{len(data)}] = {{{", ".join(map(str, data))}}};

static void copy(uint8_t *to, const uint8_t *from, uint16_t bytes)
{{
  while (bytes-- > 0u) {{
    *to++ = *from++;
  }}
}}

int main(void)
{{
  struct {prefix}_inputs inputs;
  struct {prefix}_outputs outputs;
  start();
  {prefix}_bind(&inputs, &outputs);
  uint8_t *const arena = (uint8_t *)(uintptr_t)inputs.{first.c_name} - {first.offset};
  for (uint8_t set = 0; set < {len(input_sets)}; ++set) {{
{chr(10).join(copies)}
    if ({prefix}_run(&inputs, &outputs) != TVMTINY_OK) {{
      break;
    }}
{chr(10).join(prints)}
  }}
  stop();
  return 0;
}}
"""
    printed = run(main, directory, sources)
    size = sum(tensor.bytes for tensor in artifact.outputs)
    assert len(printed) == size * len(input_sets)
    return [printed[i : i + size] for i in range(0, len(printed), size)]
