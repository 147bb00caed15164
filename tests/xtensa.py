"""Programs for an Xtensa core without floats, the one of ESP8266: compiled by GCC, run by QEMU."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from host_runner import WARNINGS, run_command

_COMPILER, _EMULATOR = "xtensa-lx106-elf-gcc", "qemu-system-xtensa"
_PACKAGES = {_COMPILER: "gcc-xtensa-lx106", _EMULATOR: "qemu-system-misc"}

#: Functions with which a program prints and ends: calls of the simulator, answered by QEMU.
RUNTIME = """\
#include <stdint.h>

static void call_host(int32_t call, int32_t file, const void *data, uint32_t bytes)
{
  register int32_t a2 __asm__("a2") = call;
  register int32_t a3 __asm__("a3") = file;
  register const void *a4 __asm__("a4") = data;
  register uint32_t a5 __asm__("a5") = bytes;
  __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
}

static void print(const void *data, uint32_t bytes)
{
  call_host(4, 1, data, bytes);
}

static void start(void)
{
}

static void stop(void)
{
  call_host(1, 0, 0, 0u);
}

/* What the chip has in ROM, so that GCC's library for it does not. */
void *memcpy(void *to, const void *from, unsigned int bytes)
{
  uint8_t *target = (uint8_t *)to;
  const uint8_t *source = (const uint8_t *)from;
  while (bytes-- > 0u) {
    *target++ = *source++;
  }
  return to;
}

uint64_t __umulsidi3(uint32_t a, uint32_t b)
{
  const uint32_t low = (a & 65535u) * (b & 65535u);
  const uint32_t first = (a >> 16) * (b & 65535u) + (low >> 16);
  const uint32_t second = (a & 65535u) * (b >> 16) + (first & 65535u);
  const uint32_t high = (a >> 16) * (b >> 16) + (first >> 16) + (second >> 16);
  return (uint64_t)high << 32 | (second << 16 | (low & 65535u));
}

uint64_t __muldi3(uint64_t a, uint64_t b)
{
  const uint32_t cross = (uint32_t)a * (uint32_t)(b >> 32) + (uint32_t)(a >> 32) * (uint32_t)b;
  return __umulsidi3((uint32_t)a, (uint32_t)b) + ((uint64_t)cross << 32);
}

uint32_t __udivsi3(uint32_t a, uint32_t b)
{
  uint32_t quotient = 0u;
  uint32_t rest = 0u;
  for (uint32_t bit = 32u; bit-- > 0u;) {
    rest = rest << 1 | (a >> bit & 1u);
    if (rest >= b) {
      rest -= b;
      quotient |= 1u << bit;
    }
  }
  return quotient;
}

int32_t __divsi3(int32_t a, int32_t b)
{
  const uint32_t size = __udivsi3(a < 0 ? 0u - (uint32_t)a : (uint32_t)a,
                                  b < 0 ? 0u - (uint32_t)b : (uint32_t)b);
  return (int32_t)((a < 0) != (b < 0) ? 0u - size : size);
}

/* Where the core begins. */
__asm__(".section .start, \\"ax\\"\\n"
        ".global _start\\n"
        "_start:\\n"
        "j 1f\\n"
        ".align 4\\n"
        ".literal_position\\n"
        "1:\\n"
        "movi a1, stack_top\\n"
        "movi a0, main\\n"
        "jx a0\\n"
        ".text\\n");
"""

_LINK = """\
ENTRY(_start)
MEMORY {
  rom : ORIGIN = 0x50000000, LENGTH = 4M
  ram : ORIGIN = 0x60000000, LENGTH = 4M
}
SECTIONS {
  .text : { *(.start) *(.literal .literal.*) *(.text .text.*) *(.rodata .rodata.*) } > rom
  .data : { *(.data .data.*) *(.bss .bss.*) *(COMMON) . = ALIGN(16); } > ram
  .stack (NOLOAD) : { . += 65536; stack_top = .; } > ram
}
"""


def skip_without() -> None:
    """Skip the test if the compiler or the emulator is missing."""
    missing = [package for name, package in _PACKAGES.items() if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed (Debian packages): {', '.join(missing)}")


def run_main(main: str, directory: Path, sources: Sequence[str] = ()) -> bytes:
    """Compile `main`, which begins with `RUNTIME`, without warnings; return the bytes it prints."""
    skip_without()
    (directory / "xtensa_main.c").write_text(main, encoding="utf-8")
    (directory / "link.ld").write_text(_LINK, encoding="utf-8")
    flags = ["-O2", "-ffreestanding", "-nostdlib", "-mtext-section-literals", "-Tlink.ld"]
    # The loop of memcpy must not become a call of memcpy.
    flags += ["-fno-tree-loop-distribute-patterns", "-Wl,--no-warn-rwx-segments"]
    files = ["xtensa_main.c", *sources, "-lgcc", "-o", "program"]
    run_command([_COMPILER, *WARNINGS, *flags, *files], directory)
    machine = ["-M", "sim", "-cpu", "lx106", "-semihosting", "-nographic", "-monitor", "none"]
    done = subprocess.run(
        [_EMULATOR, *machine, "-serial", "none", "-kernel", "program"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    return done.stdout
