#!/usr/bin/env bash
# Feeds every reader of foreign files, the option reader, the documented examples and all that is callable with mutated inputs.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/fuzz.sh [--seconds N] [--seed N] [--target NAME].. [--input FILE] [--list]

  --seconds N    seconds a target (600)
  --seed N       where the inputs begin; the same number gives the same inputs (1)
  --target NAME  only this target; may be repeated
  --input FILE   feeds this file once, to see a finding again
  --list         names the targets

An input that a target fails on is kept in target/tmp/fuzz, and the command that feeds it again is printed.

Examples:
  scripts/fuzz.sh                                    ten minutes for each target
  scripts/fuzz.sh --target npz --target pth --seconds 60
  scripts/fuzz.sh --target png --input target/tmp/fuzz/png-1c291ca3
TEXT
}

targets=()
seconds=600
rest=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --list) rest+=(--list); shift ;;
        --seconds | --seed | --target | --input)
            [ $# -gt 1 ] || { echo "fuzz: $1 needs a value" >&2; exit 2; }
            case "$1" in
                --seconds) seconds=$2 ;;
                --target) targets+=(--target "$2") ;;
                # The driver runs elsewhere.
                --input) rest+=(--input "$(realpath "$2")") ;;
                --seed) rest+=(--seed "$2") ;;
            esac
            shift 2
            ;;
        *) echo "fuzz: unknown argument $1" >&2; usage >&2; exit 2 ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo test --release --test fuzz -- --seconds "$seconds" "${targets[@]}" "${rest[@]}"
