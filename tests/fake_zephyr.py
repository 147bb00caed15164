"""A stand-in for a Zephyr tree: enough for CMake and Kconfig to read an application's files."""

from __future__ import annotations

from pathlib import Path

#: The parts of Zephyr's CMake package that the application calls: sources must exist, nothing is
#: linked.
PACKAGE = """\
project(Fake-Zephyr LANGUAGES C)
message(STATUS "fragments: ${OVERLAY_CONFIG}${EXTRA_CONF_FILE}")
message(STATUS "modules: ${ZEPHYR_EXTRA_MODULES}${EXTRA_ZEPHYR_MODULES}")
set(CONFIG_TVMTINY_COMPILE_OPTIONS "-O0")
foreach(fragment prj.conf ${OVERLAY_CONFIG} ${EXTRA_CONF_FILE})
  file(STRINGS ${fragment} lines REGEX "^CONFIG_.*=y$")
  foreach(line ${lines})
    string(REPLACE "=y" "" name ${line})
    set(${name} y)
  endforeach()
endforeach()
if(CONFIG_TVMTINY_APP_RPC)
  set(CONFIG_TVMTINY_LAYERS y)
  set(CONFIG_TVMTINY_APP_RPC_PAYLOAD_BYTES 64)
endif()
if(CONFIG_TVMTINY_APP_RUNNER)
  set(CONFIG_TVMTINY n)
endif()
if(CONFIG_TVMTINY_APP_SHELL)
  set(CONFIG_TVMTINY_SHELL y)
endif()
add_library(app STATIC EXCLUDE_FROM_ALL)
macro(target_sources_ifdef option target scope)
  if(${option})
    target_sources(${target} ${scope} ${ARGN})
  endif()
endmacro()
macro(zephyr_library_named name)
  set(library ${name})
  add_library(${name} STATIC EXCLUDE_FROM_ALL)
endmacro()
macro(zephyr_library_sources)
  target_sources(${library} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_sources_ifdef option)
  target_sources_ifdef(${option} ${library} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${library} PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
macro(zephyr_compile_definitions_ifdef option)
  if(${option})
    add_compile_definitions(${ARGN})
  endif()
endmacro()
foreach(module ${ZEPHYR_EXTRA_MODULES} ${EXTRA_ZEPHYR_MODULES})
  add_subdirectory(${module}/zephyr ${CMAKE_BINARY_DIR}/module)
endforeach()
"""

#: The Zephyr symbols that the application's files name.
KCONFIG = """\
config CPU_HAS_FPU
	def_bool y

config CPU_CORTEX_M
	def_bool y

config QEMU_ICOUNT_SHIFT
	int "shift"
	default 7

config SYS_CLOCK_HW_CYCLES_PER_SEC
	int "cycles"
	default 25000000

config MAIN_STACK_SIZE
	int "stack"
	default 1024

config SHELL_STACK_SIZE
	int "stack"
	default 2048
	depends on SHELL

{bools}

source "{module}"
"""
BOOLS = (
    "ARM_MPU",
    "BOOT_BANNER",
    "FPU",
    "FPU_SHARING",
    "GPIO",
    "INIT_STACKS",
    "LOG",
    "LOG_MODE_MINIMAL",
    "PRINTK",
    "REBOOT",
    "SERIAL",
    "SHELL",
    "TASK_WDT",
    "THREAD_STACK_INFO",
    "TIMEOUT_64BIT",
    "UART_CONSOLE",
    "UART_INTERRUPT_DRIVEN",
)


def make_tree(root: Path, version: str) -> Path:
    """Write the tree; its Kconfig sources the module that ``TVMTINY_MODULE`` names."""
    major, minor = version.split(".")
    package = root / "share" / "zephyr-package" / "cmake"
    package.mkdir(parents=True)
    (root / "VERSION").write_text(f"VERSION_MAJOR = {major}\nVERSION_MINOR = {minor}\n")
    (package / "ZephyrConfig.cmake").write_text(PACKAGE)
    bools = "\n\n".join(f'config {name}\n\tbool "{name}"' for name in BOOLS)
    text = KCONFIG.format(bools=bools, module="$(TVMTINY_MODULE)/Kconfig")
    (root / "Kconfig.zephyr").write_text(text)
    return root
