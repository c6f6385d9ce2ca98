#!/usr/bin/env bash
# Alternates each piece of work between Lethe and its plain PyTorch version (benches/baselines.py) and prints the ratio
# of the medians: time of ours / time of theirs, beside the ratio we promise.
#
#   benches/compare.sh [--runs N] [WORK ...]        works: train acf blend clusters mia fisher ssd_samples scrub distill
#                                                          bad_teacher l1 dm tier0 startup script
#
# The PyTorch versions need a complete PyTorch 2.13.0 and scikit-learn; a private environment is made under
# target/bench-python when `python3` has none (4.7 GB), or name one: PYTHON=/path/to/python benches/compare.sh
set -euo pipefail
cd "$(dirname "$0")/.."

runs=5
works=()
while (($#)); do
    case $1 in
        --runs) runs=$2; shift 2 ;;
        -h | --help) sed -n '2,10p' "$0"; exit 0 ;;
        *) works+=("$1"); shift ;;
    esac
done
((${#works[@]})) || works=(train acf blend clusters mia fisher ssd_samples scrub distill bad_teacher l1 dm tier0 startup script)

lethe=${LETHE:-target/release/lethe}
if [[ -z ${LETHE:-} ]]; then
    scripts/setup.sh
    cargo build --release --bins --benches
fi

python=${PYTHON:-python3}
usable() { "$1" -c 'import torch, sklearn, sys; sys.exit(torch.__version__.split("+")[0] != "2.13.0")' 2>/dev/null; }
if ! usable "$python"; then
    python=target/bench-python/bin/python
    if ! usable "$python"; then
        python3 -m venv target/bench-python
        "$python" -m pip install --quiet torch==2.13.0 scikit-learn numpy
    fi
fi

median() { sort -n | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
seconds_of() { local start=$EPOCHREALTIME; "$@" >/dev/null; awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {print b - a}'; }

script() { "$lethe" run --quiet --device cpu --threads 2 "benches/$1.rhai" | tail -n 1; }
theirs() { "$python" benches/baselines.py "$1" --threads 2; }
native() { "$(find "${CARGO_TARGET_DIR:-target}/release/deps" -maxdepth 1 -name 'acf_native-*' -type f -executable -printf '%T@ %p\n' | sort -rn | head -n 1 | cut -d' ' -f2)"; }
empty() { local file; file=$(mktemp --suffix=.rhai); seconds_of "$lethe" run --quiet --device cpu "$file"; rm -f "$file"; }
import_torch() { seconds_of "$python" -c 'import torch'; }

# compare LABEL LIMIT OURS... -- THEIRS...
compare() {
    local label=$1 limit=$2 ours=() other=() side=ours a b
    shift 2
    for word in "$@"; do
        if [[ $word == -- ]]; then side=other; elif [[ $side == ours ]]; then ours+=("$word"); else other+=("$word"); fi
    done
    : >"$scratch/a"
    : >"$scratch/b"
    for ((i = 0; i < runs; i++)); do
        "${ours[@]}" >>"$scratch/a"
        "${other[@]}" >>"$scratch/b"
    done
    a=$(median <"$scratch/a")
    b=$(median <"$scratch/b")
    awk -v l="$label" -v a="$a" -v b="$b" -v limit="$limit" \
        'BEGIN {r = a / b; printf "%-44s %9.3f s %9.3f s   ratio %.3f   at most %s   %s\n", l, a, b, r, limit, r <= limit ? "ok" : "OVER"}'
}

# within LABEL SECONDS OURS...: a promise in seconds, where there is nothing to compare with
within() {
    local label=$1 limit=$2 a
    shift 2
    a=$(for ((i = 0; i < runs; i++)); do "$@"; done | median)
    awk -v l="$label" -v a="$a" -v limit="$limit" \
        'BEGIN {printf "%-44s %9.3f s %13s at most %s s   %s\n", l, a, "", limit, a <= limit ? "ok" : "OVER"}'
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf '%-44s %11s %11s\n' "work (median of $runs)" "Lethe" "PyTorch"
for work in "${works[@]}"; do
    case $work in
        train) compare "training epoch" 1.0 script train -- theirs train ;;
        acf)
            compare "A-CF epoch against three forwards" 0.6 script acf -- theirs acf_naive
            compare "A-CF epoch against the best PyTorch" 1.0 script acf -- theirs acf_best
            ;;
        blend) compare "Blend, 100 clusters of 20" 0.75 script blend -- theirs blend ;;
        clusters) compare "sub-clusters, 4,000 images" 0.65 script clusters -- theirs clusters ;;
        mia) compare "reference MIA, 2 x 1,000 logits" 0.05 script mia -- theirs mia ;;
        fisher) compare "Fisher diagonal, 64 images x 10 classes" 0.25 script fisher -- theirs fisher ;;
        ssd_samples) compare "per-sample importances, 256 images" 0.4 script ssd_samples -- theirs ssd_samples ;;
        scrub) compare "SCRUB, epoch after the first" 0.75 script scrub -- theirs scrub ;;
        distill) compare "distillation, epoch after the first" 0.75 script distill -- theirs distill ;;
        bad_teacher) compare "bad teaching, epoch after the first" 0.75 script bad_teacher -- theirs bad_teacher ;;
        l1) compare "L1-sparse epoch" 0.9 script l1 -- theirs l1 ;;
        dm) compare "DM iteration, 10 classes, 256 real images each" 0.6 script dm -- theirs dm ;;
        tier0) within "all metrics of tier 0, 3 x 10,000 logits" 0.5 script tier0 ;;
        startup) compare "lethe run of an empty script / import torch" 0.25 empty -- import_torch ;;
        script) compare "A-CF as a script / in Rust" 1.03 script acf -- native ;;
        *) echo "unknown work $work" >&2; exit 2 ;;
    esac
done
