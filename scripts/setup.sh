#!/usr/bin/env bash
# Provides libtorch 2.13.0 as .libtorch, a link to the torch folder of a PyTorch wheel or to an unpacked libtorch.
# Safe to run again: it does nothing when everything is in place.
set -euo pipefail

VERSION=2.13.0
MINIMUM_RUST=89   # 1.89

usage() {
    cat <<TEXT
usage: scripts/setup.sh [--cuda | --cpu]

Provides libtorch $VERSION as .libtorch, taking the first of
  1. \$LIBTORCH, when it is set
  2. .libtorch, when it is there already
  3. a Python on the PATH whose torch is $VERSION
  4. a private .venv, filled from PyPI: about 2 GB on disk, with --cuda about 6 GB

  --cuda   take the full install with the CUDA libraries (the default where there is an NVIDIA driver)
  --cpu    take the small install even where there is a driver

Needed: cargo (Rust 1.$MINIMUM_RUST or newer), a C++ compiler, and for 3 and 4 Python 3 with its venv module.
On Debian: apt install build-essential python3-venv; Rust from https://rustup.rs
TEXT
}

fail() {
    echo "setup: $1" >&2
    exit 1
}

say() {
    echo "setup: $1"
}

# The version of the torch in a folder, without its local part: a wheel says it in version.py, an archive in build-version.
version_in() {
    local text=""
    if [ -f "$1/version.py" ]; then
        text=$(sed -n "s/^__version__ = '\([^']*\)'.*/\1/p" "$1/version.py")
    elif [ -f "$1/build-version" ]; then
        text=$(cat "$1/build-version")
    fi
    echo "${text%%+*}"
}

# Whether a folder is a complete libtorch of our version.
is_libtorch() {
    [ -f "$1/lib/libtorch_cpu.so" ] && [ -d "$1/include/torch" ] && [ "$(version_in "$1")" = "$VERSION" ]
}

# The libraries that a library of a folder needs and the loader does not find.
missing_for() {
    command -v ldd >/dev/null || return 0
    ldd "$1/lib/$2" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p'
}

# Whether a folder can be used as it is: complete, of our version, and with CUDA's libraries where they are wanted.
is_usable() {
    is_libtorch "$1" || return 1
    [ -z "$(missing_for "$1" libtorch_cpu.so)" ] || return 1
    [ "$mode" != cuda ] || { [ -f "$1/lib/libtorch_cuda.so" ] && [ -z "$(missing_for "$1" libtorch_cuda.so)" ]; }
}

has_driver() {
    [ -e /proc/driver/nvidia/version ] && return 0
    command -v ldconfig >/dev/null || return 1
    [[ $(ldconfig -p 2>/dev/null) == *libcuda.so.1* ]]
}

check_tools() {
    command -v cargo >/dev/null ||
        fail "no cargo on the PATH: install Rust 1.$MINIMUM_RUST or newer from https://rustup.rs"
    local rust
    rust=$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
    [ -z "$rust" ] || [ "$rust" -ge $MINIMUM_RUST ] ||
        fail "cargo is 1.$rust, 1.$MINIMUM_RUST or newer is needed: run 'rustup update', or install Rust from https://rustup.rs"
    command -v "${CXX:-c++}" >/dev/null ||
        fail "no C++ compiler (${CXX:-c++}) on the PATH: install one, on Debian 'apt install build-essential'"
}

# The folder of torch in this Python, when its torch is ours.
torch_of() {
    "$1" - "$VERSION" 2>/dev/null <<'PYTHON'
import importlib.metadata, importlib.util, os, sys
# Neither line imports torch, which would take seconds.
if importlib.metadata.version("torch").split("+")[0] != sys.argv[1]:
    sys.exit(1)
print(os.path.dirname(importlib.util.find_spec("torch").origin))
PYTHON
}

link_to() {
    [ ! -e .libtorch ] || [ -L .libtorch ] ||
        fail ".libtorch is a folder holding something else than libtorch $VERSION: remove it and run scripts/setup.sh again"
    ln -sfn "$1" .libtorch
    say "libtorch $VERSION is ready: .libtorch -> $1 ($2)"
}

take_environment() {
    [ -n "${LIBTORCH:-}" ] || return 1
    # Where cargo started us, LIBTORCH is our own link.
    [ "$(readlink -f -- "$LIBTORCH")" != "$(readlink -f .libtorch)" ] || return 1
    [ -d "$LIBTORCH" ] || fail "LIBTORCH is $LIBTORCH, which is no folder: unset it, or point it to libtorch $VERSION"
    local found
    found=$(version_in "$LIBTORCH")
    [ "$found" = "$VERSION" ] ||
        fail "LIBTORCH is $LIBTORCH, which holds ${found:-no libtorch}, not $VERSION: unset it, or point it to libtorch $VERSION"
    is_libtorch "$LIBTORCH" ||
        fail "LIBTORCH is $LIBTORCH, where lib/libtorch_cpu.so or include/torch is missing: unset it, or install libtorch $VERSION again"
    link_to "$(readlink -f "$LIBTORCH")" "from \$LIBTORCH"
}

take_existing() {
    is_usable .libtorch || return 1
    say "libtorch $VERSION is ready: .libtorch -> $(readlink -f .libtorch) (was there)"
}

take_python() {
    local python folder
    for python in .venv/bin/python python3 python; do
        command -v "$python" >/dev/null || continue
        folder=$(torch_of "$python") || continue
        if is_usable "$folder"; then
            link_to "$folder" "from $(command -v "$python")"
            return 0
        fi
    done
    return 1
}

# Fails early instead of leaving a half-filled folder: $1 megabytes are needed for the wheels and what they unpack to.
check_space() {
    local free
    free=$(df -Pm . | awk 'NR == 2 { print $4 }')
    [ "${free:-0}" -ge "$1" ] ||
        fail "$((free / 1024)) GB are free here, about $(($1 / 1024)) GB are needed: make room, or put the checkout on another disk"
}

pip_install() {
    local log=.venv/pip.log
    if .venv/bin/python -m pip install --disable-pip-version-check --no-cache-dir --no-compile --progress-bar off "$@" >"$log" 2>&1; then
        return 0
    fi
    if grep -qi 'no space left' "$log"; then
        fail "the disk is full: make room (about $((need / 1024)) GB), then run scripts/setup.sh again"
    elif grep -qiE 'connection|resolve|network|timed out|proxy|retrying|ssl' "$log"; then
        fail "PyPI cannot be reached: check the network (or the proxy and PIP_INDEX_URL), then run scripts/setup.sh again"
    elif grep -qi 'no matching distribution' "$log"; then
        fail "PyPI has no torch $VERSION for $(.venv/bin/python --version) on $(uname -sm): use another Python 3, or set LIBTORCH"
    fi
    tail -n 5 "$log" >&2
    fail "pip could not install torch $VERSION (its last words are above): run scripts/setup.sh again, or set LIBTORCH"
}

# The first Python that can make a virtual environment.
find_python() {
    local candidate found=""
    for candidate in python3 python; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
        found=$candidate
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            python=$candidate
            return 0
        fi
    done
    [ -z "$found" ] || fail "$found has no venv module: install it, on Debian 'apt install python3-venv', or set LIBTORCH"
    fail "no Python 3.10 or newer on the PATH: install it, on Debian 'apt install python3 python3-venv', or set LIBTORCH"
}

take_private() {
    local folder python=""
    find_python
    check_space "$need"
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "making .venv with $("$python" --version)"
        rm -rf .venv
        "$python" -m venv .venv || fail "$python could not make .venv: on Debian 'apt install python3-venv', or set LIBTORCH"
    fi
    say "fetching torch $VERSION from PyPI, the $size install (about $((need / 1024)) GB)"
    if [ "$size" = small ]; then
        # The CUDA runtime and profiler are all that libtorch_cpu.so needs besides torch itself.
        pip_install --no-deps "torch==$VERSION" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*'
    else
        pip_install "torch==$VERSION"
    fi
    if ! folder=$(torch_of .venv/bin/python) || ! is_usable "$folder"; then
        fail "the torch in .venv is incomplete: delete .venv and run scripts/setup.sh again"
    fi
    link_to "$folder" "from PyPI, in .venv"
}

main() {
    mode=auto
    for argument in "$@"; do
        case $argument in
            --cuda) mode=cuda ;;
            --cpu) mode=cpu ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    if [ "$mode" = auto ] && has_driver; then
        mode=cuda
    fi
    size=small need=2048
    if [ "$mode" = cuda ]; then
        size=full need=6144
    fi
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    check_tools
    take_environment || take_existing || take_python || take_private
}

main "$@"
