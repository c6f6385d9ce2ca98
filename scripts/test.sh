#!/usr/bin/env bash
# Every test there is: set-up, then the suite on the release profile, so that torch's C++ glue is compiled once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
exec cargo test --release "$@"
