"""Names of models, which generated files and symbols are named after."""

from __future__ import annotations

import re
import zlib

__all__ = ["LONGEST_NAME", "identifier", "model_name"]

#: Most characters of a name. Files such as ``<name>_kernels.h.tmp`` then fit every file system.
LONGEST_NAME = 64

# Placed before a name that is taken.
_PREFIX = "model_"

# Headers of C89 to C23.
_C_HEADERS = """
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
stdarg stdatomic stdbit stdbool stdckdint stddef stdint stdio stdlib stdmchar stdnoreturn string
tgmath threads time uchar wchar wctype
"""
# IEEE Std 1003.1, 1988 to 2024. Headers in folders, such as sys/types.h, cannot be hidden.
_POSIX_HEADERS = """
aio cpio devctl dirent dlfcn endian fcntl fmtmsg fnmatch ftw glob grp iconv langinfo libgen libintl
monetary mqueue ndbm netdb nl_types poll pthread pwd regex sched search semaphore spawn strings
stropts syslog tar termios trace ulimit unistd utime utmpx varargs wordexp
"""
# Headers of C libraries (glibc, newlib, picolibc, musl, BSD), compilers and device frameworks.
_OTHER_HEADERS = """
aliases alloca ar argp argz byteswap crypt elf envlock envz err error execinfo fastmath features
fpu_control fstab fts gconv getopt gshadow ieeefp ifaddrs inline lastlog libio link malloc mcheck
memory mntent newlib nss obstack paths picolibc picotls printf process proto pty re_comp reent
regdef regexp resolv sgtty shadow stab stdc stdfix stdio_ext sysexits syscall sysctl syslimits term
termio thread_db tm ttyent ucontext unctrl ustat utmp values wait xlocale
altivec arm_acle arm_bf16 arm_cde arm_cmse arm_fp16 arm_mve arm_mve_types arm_neon arm_sve backtrace
cpuid gcov mm_malloc omp openacc quadmath riscv_bitmanip riscv_crypto riscv_vector unwind
arduino cmsis_armcc cmsis_armclang cmsis_compiler cmsis_gcc cmsis_iccarm cmsis_os cmsis_os2
cmsis_version esp_system event_groups freertos freertosconfig list message_buffer portable portmacro
projdefs queue semphr stream_buffer task timers tx_api zephyr
"""
# The file of the user's program. Other names of a project's files are up to the project.
_PROGRAM = "main"
# Names that no file can have on Windows, whatever its suffix.
_WINDOWS_DEVICES = """
aux com0 com1 com2 com3 com4 com5 com6 com7 com8 com9 con lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7
lpt8 lpt9 nul prn
"""
# Functions of the RPC server and of applications are called tvmtiny_rpc_copy, tvmtiny_sample_fill.
_RUNTIME = "rpc sample"
_TAKEN = frozenset(
    " ".join(
        (_C_HEADERS, _POSIX_HEADERS, _OTHER_HEADERS, _PROGRAM, _WINDOWS_DEVICES, _RUNTIME)
    ).split()
)


def identifier(text: str) -> str:
    """Turn `text` into a lower-case C identifier."""
    cleaned = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")
    return cleaned if cleaned and cleaned[0].isalpha() else f"m{cleaned}"


def model_name(text: str) -> str:
    """Return the name of a model: a C identifier in lower case that depends on `text` alone.

    A name whose ``<name>.h`` would hide a header of the C library, of POSIX or of this package, or
    whose ``<name>.c`` would be the user's ``main.c``, gets the prefix ``model_``. The end of a long
    name is replaced by a checksum, so that names with equal beginnings stay distinct.

    Parameters
    ----------
    text
        The user's name for the model, or the name of a file without its suffix.
    """
    name = identifier(text)
    if name in _TAKEN or name.startswith("tvmtiny") or name.endswith("intrin"):
        name = f"{_PREFIX}{name}"
    if len(name) > LONGEST_NAME:
        end = f"_{zlib.crc32(text.encode('utf-8', 'surrogateescape')):08x}"
        name = name[: LONGEST_NAME - len(end)].rstrip("_") + end
    return name
