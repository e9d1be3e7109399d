#!/usr/bin/env bash
# handout.sh OUT [FROM] [PRIOR] -- makes the students' tree in OUT, a new
# directory, or OUT.tar.gz.
#
# FROM=k (1 2A 2B 2C 3 4 5A 5B) keeps the solution of what comes before part k:
# as source, or with PRIOR=objects as object files only. From k on there are
# the starters. The tree has nothing else of the solution, and none of the
# instructors' tools (see files.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
. grading/lib.sh
out=${1-} from=${2:-1} prior=${3-}
parts="1 2A 2B 2C 3 4 5A 5B"

[ -n "$out" ] || die "make handout OUT=dir [FROM=2A] [PRIOR=objects]"
[[ " $parts " == *" $from "* ]] || die "FROM=$from: choose one of: $parts"
[ -z "$prior" ] || [ "$prior" = objects ] || die "PRIOR=$prior: only 'objects'"
[ ! -e "$out" ] || die "OUT=$out exists already"

tree=$out
if [[ $out == *.tar.gz ]]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    tree=$scratch/$(basename "$out" .tar.gz)
fi
mkdir -p "$tree/grading"

# is_before FILE: do all tasks that write this file come before FROM?
is_before() {
    awk -F '\t' -v file="$1" -v from="$from" -v parts="$parts" '
        BEGIN { n = split(parts, p, " "); for (i in p) at[p[i]] = i }
        $1 == "task" {
            dir = $5; sub(/\/.*/, "", dir)
            m = split($5, f, ", ")
            for (i = 1; i <= m; i++) {
                if (f[i] !~ /\//) f[i] = dir "/" f[i]
                if (f[i] == file && at[$3] >= at[from]) later = 1
            }
        }
        END { exit later }' grading/points.tsv
}

grading/files.sh given >"$tree/grading/given.txt"
tar cf - --files-from "$tree/grading/given.txt" | tar xf - -C "$tree"
cp grading/README.handout.md "$tree/README.md"
grading/files.sh yours >"$tree/grading/yours.txt"
while read -r f; do
    if ! is_before "$f"; then
        cp "${f%/*}/starter/${f##*/}" "$tree/$f"
    elif [ "$prior" = objects ] && [[ $f == *.c ]]; then
        for v in rel dbg asan tsan; do
            make -s --no-print-directory V=$v "build/$v/${f%.c}.o" >/dev/null
            install -D -m 644 "build/$v/${f%.c}.o" "$tree/prior/$v/${f%.c}.o"
        done
    else
        cp "$f" "$tree/$f"
    fi
done <"$tree/grading/yours.txt"

# What the grader puts back when it was edited, and what update compares.
(
    cd "$tree"
    find prior -type f 2>/dev/null >>grading/given.txt || true
    tar czf grading/given.tar.gz --files-from grading/given.txt
    xargs -d '\n' sha256sum <grading/given.txt >grading/given.sha256
    rm grading/given.txt
    printf '/build/\n/.hints/\n*.edited\n' >.gitignore
)
[ "$tree" = "$out" ] ||
    tar czf "$out" -C "$(dirname "$tree")" "$(basename "$tree")"
echo "students' tree from part $from: $out"
