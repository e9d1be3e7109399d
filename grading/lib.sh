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

# parts: the parts of the course, in order.
parts() { awk -F '\t' '$1 == "stage" { print $2 }' grading/points.tsv; }

# begins: the part with which the work in this tree begins: the first one, or
# what the handout was made for.
begins() { cat grading/begins 2>/dev/null || parts | sed 1q; }

# task_files: "PART FILE" (with a tab) for each file that a task writes. A name
# without a directory lies where the task's first file does.
task_files() {
    awk -F '\t' -v OFS='\t' '$1 == "task" {
        dir = $5; sub(/\/.*/, "", dir)
        n = split($5, f, ", ")
        for (i = 1; i <= n; i++)
            print $3, (f[i] ~ /\// ? f[i] : dir "/" f[i])
    }' grading/points.tsv
}

# warned FILE: "PART=NUMBER" for each part that has warnings there: a file counts
# in its own part, my_* in its directory's first.
warned() {
    awk 'FNR == NR { if (!($2 in part)) part[$2] = $1
            sub(/\/.*/, "", $2); if (!($2 in first)) first[$2] = $1; next }
        { f = d = $0; sub(/:.*/, "", f); sub(/\/.*/, "", d)
          n[f in part ? part[f] : first[d]]++ }
        END { for (p in n) printf "%s=%d ", p, n[p] }' <(task_files) "$1"
}

# page_of PART NAME: its README or hints (NAME), of its own or of its stage.
page_of() {
    local dir
    dir=$(task_files | awk -F '\t' -v p="$1" \
        '$1 == p "" && !n++ { sub(/\/.*/, "", $2); print $2 }')
    if [ -f "$dir/$2-$1.md" ]; then
        echo "$dir/$2-$1.md"
    else
        echo "$dir/$2.md"
    fi
}

# ram_disk: where files that are soon gone are quickest.
ram_disk() { [ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}"; }

# scratch NAME: the files of what runs from here on go to the RAM disk, and end
# with this script, also those of a case that failed or was ended.
scratch() {
    TMPDIR=$(mktemp -d "$(ram_disk)/$1.XXXXXX") || exit 1
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
}

# light_libc: a directory with the C library that is here, but of its debug
# information only the names that helgrind and the suppressions look for. To read
# all of it takes valgrind longer than most cases run. Nothing, where that does not
# work.
light_libc() {
    local libc=build/tools/lib/libc.so.6 of id
    of=$(ldd build/tools/canary | awk '$1 == "libc.so.6" { print $3 }')
    id=$(readelf -n "$of" 2>/dev/null | awk '/Build ID:/ { print $3 }')
    mkdir -p "${libc%/*}"
    id=${id:0:2}/${id:2}.debug
    eu-unstrip -o "$libc.$$" "$of" "/usr/lib/debug/.build-id/$id" &&
        strip -s -w -K '*pthread_*' -K '*sem_*' -K start_thread -K allocate_stack \
            -K __tz_convert -R .note.gnu.build-id -R .gnu_debuglink "$libc.$$" &&
        mv "$libc.$$" "$libc" &&
        LD_LIBRARY_PATH=$PWD/${libc%/*} valgrind --command-line-only=yes -q \
            --tool=helgrind --error-exitcode=99 build/tools/canary good >/dev/null &&
        echo "$PWD/${libc%/*}"
    rm -f "$libc.$$"
} 2>/dev/null

# live TEXT: what goes on just now, where a person looks; '' ends it.
live() { [ ! -t 2 ] || printf '\r\033[K%s' "$1" >&2; }

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
# broken file does not hide the rest. No file takes a compiler more than 5
# minutes, or 6 GiB.
build_quietly() (
    log=$1
    shift
    ulimit -t 300 && ulimit -v 6291456
    make -k -j"$(nproc)" --no-print-directory "$@" >>"$log" 2>&1
)

# plan AWK-VARIABLES...: see plan.awk.
plan() {
    local args=()
    for v in "$@"; do args+=(-v "$v"); done
    awk -v factor="${FACTOR:-1}" -v missing="${MISSING-}" -v libc="${LIGHT_LIBC-}" \
        "${args[@]}" -f grading/plan.awk grading/points.tsv grading/cases.tsv
}
