#!/usr/bin/env bash
# From a fresh clone to a leaderboard: set-up, release build, the quickstart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cargo build --release
exec cargo run --release --quiet -- run examples/quickstart.rhai "$@"
