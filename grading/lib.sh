# lib.sh -- what the grading scripts share. Sourced, from the tree's top.
# shellcheck shell=bash

OWN=build/grade/own.txt     # the student's files, for the report cutters

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Bold words only where a person looks.
if [ -t 1 ] && [ "${TERM-dumb}" != dumb ]; then
    BOLD=$(printf '\033[1m') PLAIN=$(printf '\033[0m')
else
    BOLD='' PLAIN=''
fi
export BOLD PLAIN

# task_field TASK N: the N-th field of a task's line in points.tsv.
task_field() {
    awk -F '\t' -v t="$1" -v n="$2" '$1 == "task" && $2 == t "" { print $n }' \
        grading/points.tsv
}

write_own_list() {
    mkdir -p "${OWN%/*}"
    { grading/files.sh yours && grading/files.sh mine; } >"$OWN"
}

# How many runs at once: the CPUs, but 1 GiB of free memory for each.
how_many_jobs() {
    local cpus gib
    cpus=$(nproc)
    gib=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
    [ "$gib" -lt "$cpus" ] && cpus=$gib
    [ "$cpus" -gt 8 ] && cpus=8
    [ "$cpus" -lt 1 ] && cpus=1
    echo "$cpus"
}

# build_quietly LOG MAKE-ARGUMENTS...: full output to LOG; -k, so that one
# broken file does not hide the rest.
build_quietly() {
    local log=$1
    shift
    make -k -j"$(nproc)" --no-print-directory "$@" >>"$log" 2>&1
}

# plan AWK-VARIABLES...: see plan.awk.
plan() {
    local args=()
    for v in "$@"; do args+=(-v "$v"); done
    awk -v factor="${FACTOR:-1}" -v missing="${MISSING-}" "${args[@]}" -f grading/plan.awk \
        grading/points.tsv grading/cases.tsv
}
