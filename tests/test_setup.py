"""The set-up of demo.sh and test.sh, with stand-ins for apt-get, Python and the compilers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tools import ROOT

BASH = shutil.which("bash")
TOOLS = (
    "cat",
    "cp",
    "dirname",
    "env",
    "grep",
    "mkdir",
    "mktemp",
    "rm",
    "sha256sum",
    "tail",
    "tar",
    "touch",
)
PROGRAMS = {
    "qemu-system-arm": "qemu-system-arm",
    "gcc-arm-none-eabi": "arm-none-eabi-gcc",
    "gcc": "gcc",
    "g++": "g++",
    "clang": "clang",
    "cmake": "cmake",
    "make": "make",
    "gcc-avr": "avr-gcc",
    "simavr": "simavr",
    "gcc-xtensa-lx106": "xtensa-lx106-elf-gcc",
    "gcc-riscv64-unknown-elf": "riscv64-unknown-elf-gcc",
    "qemu-system-misc": "qemu-system-riscv32",
    "chromium": "chromium",
}

pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")

PYTHON = """#!{bash}
echo "$(dirname "$0") $*" >>"{log}"
case "$*" in
*Python.h*) [ -z "$FAKE_NO_HEADERS" ] ;;
*version_info*print*|*print*version_info*) echo "3.11" ;;
-V) echo "Python ${{FAKE_VERSION:-3.11.2}}" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "$3" >"$3/bin/activate" ;;
"-m pip install"*) [ -z "$FAKE_PIP_FAILS" ] || {{ echo "ERROR: no network"; exit 1; }} ;;
esac
"""
APT_GET = """#!{bash}
echo "apt-get $*" >>"{log}"
[ -z "$FAKE_APT_FAILS" ] || {{ echo "E: Unable to locate package"; exit 100; }}
[ "$1" = install ] || exit 0
for package; do
    [ ! -d "{store}/$package" ] || cp "{store}/$package"/* "{bin}"
done
"""
SUDO = """#!{bash}
shift
exec "$@"
"""
GCC = """#!{bash}
[ -e "{store}/libraries" ] && echo /somewhere/any.specs || echo any.specs
"""


@dataclass
class Machine:
    """A clone of the project on a machine that has only what `bin` holds."""

    base: Path
    # The path has a space, which breaks careless scripts.
    name: str = "a clone"

    def __post_init__(self) -> None:
        (self.root / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "setup.sh", self.root / "scripts")
        shutil.copy(ROOT / "pyproject.toml", self.root)
        self.bin.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None, name
            (self.bin / name).symlink_to(found)
        self.log.write_text("")
        self.write(self.bin / "python3", PYTHON)
        for package, program in PROGRAMS.items():
            (self.store / package).mkdir(parents=True)
            text = GCC if program.endswith("-gcc") else "#!{bash}\n"
            self.write(self.store / package / program, text)

    @property
    def root(self) -> Path:
        return self.base / self.name

    @property
    def bin(self) -> Path:
        return self.base / "bin"

    @property
    def store(self) -> Path:
        return self.base / "store"

    @property
    def log(self) -> Path:
        return self.base / "log"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def write(self, path: Path, text: str) -> None:
        values = {"bash": BASH, "log": self.log, "store": self.store, "bin": self.bin}
        path.write_text(text.format(**values))
        path.chmod(0o755)

    def install(self, *packages: str) -> None:
        for package in packages:
            shutil.copy(self.store / package / PROGRAMS[package], self.bin)

    def install_all(self) -> None:
        self.install(*PROGRAMS)
        (self.store / "libraries").touch()

    def setup(
        self,
        kind: str = "run",
        prefix: tuple[str, ...] = (),
        debian: bool = True,
        **environment: str,
    ) -> tuple[int, str, list[str]]:
        """Exit code, output, and the calls that were made."""
        self.log.write_text("")
        system = f"is_debian() {{ {'true' if debian else 'false'}; }}"
        sources = f'source "{self.root}/scripts/setup.sh"'
        script = f"set -euo pipefail; {sources}; {system}; setup {kind}"
        assert BASH is not None
        done = subprocess.run(
            [*prefix, BASH, "-c", script],
            cwd="/",
            env={"PATH": str(self.bin), "TMPDIR": str(self.base), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr, self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def called(calls: list[str], words: str) -> int:
    return sum(words in call for call in calls)


def test_everything_is_installed_once(machine: Machine) -> None:
    machine.write(machine.bin / "apt-get", APT_GET)
    machine.write(machine.bin / "sudo", SUDO)
    code, text, calls = machine.setup("dev")
    assert code == 0, text
    (install,) = (call for call in calls if call.startswith("apt-get install"))
    wanted = (
        "qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi gcc libc6-dev g++ clang cmake "
        "make gcc-avr avr-libc simavr gcc-xtensa-lx106 chromium gcc-riscv64-unknown-elf "
        "picolibc-riscv64-unknown-elf qemu-system-misc"
    )
    assert install.endswith(wanted)
    assert calls.index("apt-get update") < calls.index(install)
    assert called(calls, "-m venv") == 1
    assert called(calls, "--editable .[dev]") == called(calls, "--target") == 1
    assert called(calls, "-m pip install") == 2
    machine.install_all()
    # The tests' environment serves the demonstration as well.
    for kind in ("dev", "run"):
        code, text, calls = machine.setup(kind)
        assert (code, text) == (0, "")
        assert {call.split()[-1] for call in calls} == {"-V"}


def test_chromium_is_not_installed_where_it_would_be_a_snap(machine: Machine) -> None:
    machine.install_all()
    (machine.bin / "chromium").unlink()
    code, text, calls = machine.setup("dev", debian=False)
    assert code == 0, text
    assert called(calls, "apt-get") == 0


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    machine.install_all()
    (machine.bin / "qemu-system-arm").unlink()
    machine.write(machine.bin / "apt-get", APT_GET)
    machine.write(machine.bin / "sudo", SUDO)
    code, text, calls = machine.setup()
    assert code == 0, text
    (install,) = (call for call in calls if call.startswith("apt-get install"))
    assert install.split()[-1] == "qemu-system-arm"
    assert install.split()[-2].endswith("=120")


def test_headers_of_python_are_installed_for_tests_only(machine: Machine) -> None:
    machine.install_all()
    machine.write(machine.bin / "apt-get", APT_GET)
    machine.write(machine.bin / "sudo", SUDO)
    assert called(machine.setup("run", FAKE_NO_HEADERS="1")[2], "apt-get") == 0
    code, text, calls = machine.setup("dev", FAKE_NO_HEADERS="1")
    assert code == 0, text
    (install,) = (call for call in calls if call.startswith("apt-get install"))
    assert install.split()[-1] == "python3.11-dev"


def test_nothing_is_asked_of_apt_where_all_is_there(machine: Machine) -> None:
    machine.install_all()
    code, text, calls = machine.setup()
    assert code == 0, text
    assert called(calls, "--editable .") == 1
    assert called(calls, "[dev]") == called(calls, "apt-get") == 0
    assert text.count("setup: ") == 2


def test_without_apt_get(machine: Machine) -> None:
    code, text, _ = machine.setup()
    assert code == 1
    for package in ("qemu-system-arm", "gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "gcc"):
        assert package in text
    assert text.count("\n") == 1
    assert not machine.venv.exists()


def test_without_root() -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv is not installed")
        prefix = (setpriv, "--reuid=65534", "--clear-groups")
    # Other users cannot read pytest's own temporary folders.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        machine = Machine(Path(folder))
        machine.write(machine.bin / "apt-get", APT_GET)
        code, text, calls = machine.setup(prefix=prefix)
    assert code == 1, text
    assert (
        "sudo apt-get update && sudo apt-get install "
        "qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi gcc libc6-dev"
    ) in text
    assert called(calls, "apt-get") == 0


def test_apt_get_that_fails(machine: Machine) -> None:
    machine.write(machine.bin / "apt-get", APT_GET)
    machine.write(machine.bin / "sudo", SUDO)
    code, text, _ = machine.setup(FAKE_APT_FAILS="1")
    assert code == 1
    assert "E: Unable to locate package" in text
    assert "setup: apt-get failed" in text


def test_pip_that_fails(machine: Machine) -> None:
    machine.install_all()
    code, text, _ = machine.setup(FAKE_PIP_FAILS="1")
    assert code == 1
    assert "ERROR: no network" in text
    assert "setup: pip could not install tvmtiny" in text
    # The next run starts afresh.
    code, _, calls = machine.setup()
    assert code == 0
    assert called(calls, "-m venv") == called(calls, "-m pip install") == 1


def test_a_half_made_environment_is_made_again(machine: Machine) -> None:
    machine.install_all()
    assert machine.setup()[0] == 0
    (machine.venv / "bin" / "python").unlink()
    code, _, calls = machine.setup()
    assert code == 0
    assert called(calls, "-m venv") == 1


@pytest.mark.parametrize("change", ["pyproject", "python"])
def test_what_the_environment_depends_on(change: str, machine: Machine) -> None:
    machine.install_all()
    assert machine.setup()[0] == 0
    environment = {}
    if change == "pyproject":
        with (machine.root / "pyproject.toml").open("a") as file:
            file.write("# one more line\n")
    else:
        environment["FAKE_VERSION"] = "3.12.1"
    code, text, calls = machine.setup(**environment)
    assert code == 0, text
    assert called(calls, "-m pip install") == 1


def test_a_clone_that_moved(machine: Machine) -> None:
    machine.install_all()
    assert machine.setup()[0] == 0
    machine.root.rename(machine.base / "elsewhere")
    machine.name = "elsewhere"
    calls = machine.setup()[2]
    assert called(calls, "-m venv") == called(calls, "-m pip install") == 1


def test_programs_for_risc_v_are_a_part_of_their_own(machine: Machine) -> None:
    machine.install_all()
    for name in ("riscv64-unknown-elf-gcc", "qemu-system-riscv32"):
        (machine.bin / name).unlink()
    machine.write(machine.bin / "apt-get", APT_GET)
    machine.write(machine.bin / "sudo", SUDO)
    assert called(machine.setup()[2], "apt-get") == 0
    code, text, calls = machine.setup("riscv")
    assert code == 0, text
    (install,) = (call for call in calls if call.startswith("apt-get install"))
    wanted = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
    assert install.endswith(f"=120 {wanted}")
    code, text, _ = machine.setup("risc")
    assert (code, text) == (1, "setup: there is no part 'risc'; allowed: run, riscv, dev\n")
