#!/usr/bin/env bash
# Data preparation: CIFAR-10. 170 MB from www.cs.toronto.edu, resumed when cut, checked, kept below `lethe data path cifar10`.
# Writes nothing else; the data set is then `dataset("cifar10")`. Options of `lethe data fetch` (such as --url) may follow.
set -euo pipefail
exec "${LETHE:-lethe}" data fetch cifar10 "$@"
