#!/usr/bin/env bash
# Data preparation: SVHN, cropped digits, train and test (the extra part is not used). 246 MB from ufldl.stanford.edu, resumed
# when cut, checked, kept below `lethe data path svhn`. The data set is then `dataset("svhn")`. Options of `lethe data fetch`
# (such as --url) may follow.
set -euo pipefail
exec "${LETHE:-lethe}" data fetch svhn "$@"
