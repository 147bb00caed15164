#!/usr/bin/env bash
# shellcheck shell=bash
# Sourced by demo.sh and test.sh: `setup run` or `setup dev` installs what is missing. Called as a program,
# `scripts/setup.sh riscv` adds what RISC-V boards need.
#
# Programs come from apt (Debian 12, Ubuntu 24.04), Python packages go into .venv. Nothing is looked
# up or downloaded if everything is installed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

say() {
    printf 'setup: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# setup run|riscv|dev: what the demonstration needs, RISC-V boards as well, or all that the tests need.
setup() {
    local kind=$1
    case $kind in
    run | riscv | dev) ;;
    *) fail "there is no part '$kind'; allowed: run, riscv, dev" ;;
    esac
    setup_programs "$kind"
    # RISC-V takes no further Python packages.
    setup_python "${kind/riscv/run}"
}

setup_programs() {
    local packages=()
    command -v qemu-system-arm >/dev/null || packages+=(qemu-system-arm)
    command -v arm-none-eabi-gcc >/dev/null || packages+=(gcc-arm-none-eabi)
    # GCC answers with the bare name where the file is missing.
    [[ $(arm-none-eabi-gcc -print-file-name=nano.specs 2>/dev/null) == /* ]] ||
        packages+=(libnewlib-arm-none-eabi)
    # The generated C also runs on the host: `tvmtiny evaluate`, and programs of users.
    command -v gcc >/dev/null || packages+=(gcc libc6-dev)
    if [[ $1 == dev ]]; then
        command -v g++ >/dev/null || packages+=(g++)
        command -v clang >/dev/null || packages+=(clang)
        command -v cmake >/dev/null || packages+=(cmake)
        command -v make >/dev/null || packages+=(make)
        command -v avr-gcc >/dev/null || packages+=(gcc-avr avr-libc)
        command -v simavr >/dev/null || packages+=(simavr)
        [[ -e /usr/include/psa/crypto.h ]] || packages+=(libmbedtls-dev)
        command -v xtensa-lx106-elf-gcc >/dev/null || packages+=(gcc-xtensa-lx106)
        # Ubuntu's package of this name only installs a snap; the test of the report skips there.
        if is_debian && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
            packages+=(chromium)
        fi
    fi
    if [[ $1 != run ]]; then
        command -v riscv64-unknown-elf-gcc >/dev/null || packages+=(gcc-riscv64-unknown-elf)
        [[ $(riscv64-unknown-elf-gcc -print-file-name=picolibc.specs 2>/dev/null) == /* ]] ||
            packages+=(picolibc-riscv64-unknown-elf)
        command -v qemu-system-riscv32 >/dev/null || packages+=(qemu-system-misc)
    fi
    if ! venv_python >/dev/null; then
        local found version
        found=$(find_python)
        if [[ -z $found ]]; then
            packages+=(python3 python3-venv)
        elif ! has_venv "$found"; then
            version=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            packages+=("python$version-venv")
        fi
    fi
    if [[ $1 == dev && ! -e $venv/.stamp-dev ]]; then
        # detools is built from source. Only Debian's own Python has its headers in another package.
        local python=$venv/bin/python
        venv_python >/dev/null || python=$(find_python)
        if [[ -z $python ]]; then
            packages+=(python3-dev)
        elif ! has_headers "$python"; then
            packages+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev")
        fi
    fi
    if ((${#packages[@]})); then
        apt_install "${packages[@]}"
    fi
}

is_debian() {
    grep -qx 'ID=debian' /etc/os-release 2>/dev/null
}

apt_install() {
    local become=() log
    if ! command -v apt-get >/dev/null; then
        fail "there is no apt-get here; install what these Debian packages hold, then run this" \
            "again: $*"
    fi
    if ((EUID != 0)); then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            become=(sudo -n)
        else
            fail "these packages are missing; install them, then run this again:" \
                "sudo apt-get update && sudo apt-get install $*"
        fi
    fi
    log=$(mktemp)
    say "installing $* with apt-get (some minutes) ..."
    if ! {
        "${become[@]}" apt-get update &&
            "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes \
                --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
    } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        fail "apt-get failed (the last lines are above, all of them in $log)"
    fi
    rm -f "$log"
}

# The path of a Python that tvmtiny runs on, or nothing; one that can make environments if there is.
find_python() {
    local name path first=
    for name in python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
        path=$(command -v "$name") || continue
        is_recent "$path" || continue
        if has_venv "$path"; then
            printf '%s\n' "$path"
            return
        fi
        # A package can add the module to the system's own Python, and to no other.
        [[ $path == /usr/bin/* ]] && first=${first:-$path}
    done
    printf '%s\n' "$first"
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

has_headers() {
    "$1" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))'
}

# The version of the environment's Python; fails where there is no whole environment. One holds
# absolute paths, so that a clone that moved needs a new one.
venv_python() {
    [[ -x $venv/bin/python && ! -e $venv/.unfinished ]] &&
        grep -qF "$venv" "$venv/bin/activate" 2>/dev/null &&
        "$venv/bin/python" -V 2>/dev/null
}

# What the environment depends on.
stamp_of() {
    { cat "$root/pyproject.toml" && printf '%s\n' "$1"; } | sha256sum
}

setup_python() {
    local kind=$1 version wanted python extra=
    if version=$(venv_python); then
        wanted=$(stamp_of "$version")
        if [[ $(cat "$venv/.stamp-$kind" 2>/dev/null) == "$wanted" ]]; then
            return
        fi
    fi
    if ! { [[ -n $version ]] && is_recent "$venv/bin/python" &&
        "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
        python=$(find_python)
        [[ -n $python ]] || fail "Python 3.10 or newer is needed, and there is none"
        say "making a virtual environment in .venv with $("$python" -V) ..."
        rm -rf "$venv"
        mkdir "$venv"
        touch "$venv/.unfinished"
        "$python" -m venv "$venv" >&2 ||
            fail "$python cannot make a virtual environment (see above)"
    fi
    [[ $kind == dev ]] && extra='[dev]'
    say "installing Python packages into .venv (a minute or two) ..."
    # An interrupted installation may leave broken packages: the next run then starts afresh.
    touch "$venv/.unfinished"
    # Python compiles what is imported; compiling all that is installed takes half of the time.
    if ! (cd "$root" && "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile \
        --editable ".$extra") >"$venv/pip.log" 2>&1; then
        grep -E '^(ERROR|error|WARNING: Retrying)' "$venv/pip.log" | tail -n 5 >&2
        fail "pip could not install tvmtiny$extra (its whole output is in .venv/pip.log);" \
            "mend what it complains about, then run this again"
    fi
    rm "$venv/.unfinished"
    wanted=$(stamp_of "$("$venv/bin/python" -V)")
    printf '%s\n' "$wanted" >"$venv/.stamp-$kind"
    # The tests need all that the demonstration needs.
    if [[ $kind == dev ]]; then
        setup_monocypher
        setup_mbedtls
        setup_example_data
        printf '%s\n' "$wanted" >"$venv/.stamp-run"
    fi
}

# The C of Monocypher, with which firmware checks signatures of images: a source package of Python has it.
# Its licence allows any use (CC0 or BSD).
setup_monocypher() {
    local folder=$venv/src/monocypher archive
    [[ -e $folder/monocypher.c ]] && return
    archive=$(mktemp -d)
    mkdir -p "$folder"
    # Without it, tests of signatures on boards are skipped.
    if ! { "$venv/bin/python" -m pip download --disable-pip-version-check --no-deps --dest "$archive" \
        --no-binary pymonocypher pymonocypher==4.0.2.8 &&
        tar -xzf "$archive"/pymonocypher-*.tar.gz -C "$folder" --strip-components=1 --wildcards \
            '*/monocypher.c' '*/monocypher.h' '*/LICENSE.txt'; } >>"$venv/pip.log" 2>&1; then
        say "pip could not bring the sources of Monocypher (see .venv/pip.log); going on without"
    fi
    rm -rf "$archive"
}

# The C of Mbed TLS, whose PSA Crypto checks signatures on boards: the source of the package libmbedtls-dev.
# Its licence is Apache-2.0.
setup_mbedtls() {
    local folder=$venv/src/mbedtls work file line options
    [[ -e $folder/library/psa_crypto.c ]] && return
    work=$(mktemp -d)
    mkdir -p "$folder" "$work/parts" "$work/lists/partial"
    # The machine's own repositories, but for sources, and without a change of its lists.
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        while IFS= read -r line || [[ -n $line ]]; do
            case $line in
            Types:*) line='Types: deb-src' ;;
            'deb '*) line="deb-src ${line#deb }" ;;
            esac
            printf '%s\n' "$line"
        done <"$file" >"$work/parts/${file##*/}"
    done
    options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts"
        -o "Dir::State::Lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    # Without it, the test of ECDSA on a board is skipped.
    if ! (cd "$work" && apt-get "${options[@]}" update &&
        apt-get "${options[@]}" source --download-only mbedtls &&
        tar -xf mbedtls_*.orig.tar.* -C "$folder" --strip-components=1 --wildcards \
            --no-wildcards-match-slash '*/library' '*/include' '*/LICENSE') >>"$venv/pip.log" 2>&1; then
        say "apt-get could not bring the sources of Mbed TLS (see .venv/pip.log); going on without"
    fi
    rm -rf "$work"
}

# The data of the applications in examples/. Two packages hold it; their programs, and what these need,
# are not wanted, so any Python will do. aeon 1.6 is the last release with the data.
setup_example_data() {
    local folder=$venv/src/data
    [[ -d $folder/aeon/datasets/data && -d $folder/heartpy/data ]] && return
    # Without it, tests of these applications are skipped.
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --no-compile --upgrade \
        --ignore-requires-python --only-binary :all: --target "$folder" aeon==1.6.0 heartpy==1.2.7 \
        >>"$venv/pip.log" 2>&1 ||
        say "pip could not bring the data of the examples (see .venv/pip.log); going on without"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    setup "${1:-run}"
fi
