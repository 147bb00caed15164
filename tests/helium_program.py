"""Programs with printf on an emulated Cortex-M55, whose Helium code runs beside an interrupt."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import tvmtiny
from tests.project.newlib_program import run

BOARD = "mps3-an547"
_FLAGS = (*tvmtiny.resolve(BOARD).cpu.flags, "-O2")

_STARTUP = """\
#include <stdint.h>
extern void _start(void);
void systick(void);
__attribute__((weak)) void systick(void)
{
}
static void reset(void)
{
  /* Grants access to the FPU and to vectors. */
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
  __asm__ volatile("dsb\\n isb");
  _start();
}
static void fault(void)
{
  for (;;) {
  }
}
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
  (const void *)0x21100000, (const void *)reset, (const void *)fault, (const void *)fault,
  (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
  0, 0, 0, (const void *)fault, (const void *)fault, 0, (const void *)fault, (const void *)systick,
};
"""


def run_on_board(sources: Sequence[str | Path], directory: Path, *flags: str) -> str:
    """The output of a program of C files in `directory`; ``systick`` is the handler of SysTick."""
    runtime = files("tvmtiny") / "runtime"
    includes = [f"-I{runtime / 'core'}", f"-I{runtime / 'kernels' / 'mve'}", "-I."]
    (directory / "startup.c").write_text(_STARTUP)
    link = ["--specs=rdimon.specs", "-Wl,--section-start=.vectors=0", "-Wl,-Tdata=0x21000000"]
    command = ["arm-none-eabi-gcc", *_FLAGS, *flags, *includes, "startup.c", *sources]
    run(*command, *link, "-o", "program.elf", directory=directory)
    emulator = ["qemu-system-arm", "-M", BOARD, "-nographic", "-icount", "shift=0"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    return run(*emulator, "-kernel", "program.elf", *semihosting, directory=directory)
