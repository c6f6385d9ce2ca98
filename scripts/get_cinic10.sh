#!/usr/bin/env bash
# Data preparation: CINIC-10 with all three parts. 688 MB from datashare.ed.ac.uk, resumed when cut, checked, read from the
# archive without unpacking it. The data set is then `dataset("cinic10")`. Options of `lethe data fetch` (such as --url) may
# follow.
set -euo pipefail
exec "${LETHE:-lethe}" data fetch cinic10 "$@"
