#!/usr/bin/env bash
# handout.sh OUT [FROM] [PRIOR] -- makes the students' tree in OUT, a new
# directory, or OUT.tar.gz.
#
# FROM=k (a part of points.tsv; else the first) keeps the solution of what comes
# before part k: as source, or with PRIOR=objects as object files only. From k on
# there are the starters. The tree has nothing else of the solution, and none of the
# instructors' tools (see files.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
. grading/lib.sh
parts=$(parts | paste -sd' ')
out=${1-} from=${2:-${parts%% *}} prior=${3-}

[ -n "$out" ] || die "make handout OUT=dir [FROM=2A] [PRIOR=objects]"
[[ " $parts " == *" $from "* ]] || die "FROM=$from: choose one of: $parts"
[ -z "$prior" ] || [ "$prior" = objects ] || die "PRIOR=$prior: only 'objects'"
[ ! -e "$out" ] || die "OUT=$out exists already"
grading/files.sh given >/dev/null       # which may refuse

tree=$out
if [[ $out == *.tar.gz ]]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    tree=$scratch/$(basename "$out" .tar.gz)
fi
mkdir -p "$tree/grading"

named=$(make -s --no-print-directory named-list)

# is_before FILE: do all tasks that write this file come before FROM?
is_before() {
    task_files | awk -F '\t' -v file="$1" -v from="$from" -v parts="$parts" '
        BEGIN { n = split(parts, p, " "); for (i in p) at[p[i]] = i + 0 }
        $2 == file && at[$1] >= at[from] { later = 1 }
        END { exit later }'
}

# part_lines: the parts from FROM on, their weights and pages, as a table.
part_lines() {
    local part weight page
    echo '| part | weight | its page |'
    echo '|---|---|---|'
    awk -F '\t' -v from="$from" '$1 == "stage" { on += $2 == from ""
        if (on) print $2 "\t" $3 }' grading/points.tsv |
        while IFS=$'\t' read -r part weight; do
            page=$(page_of "$part" README)
            printf "| %s | %s %% | [\`%s\`](%s) |\n" "$part" "$weight" "$page" \
                "$page"
        done
}

# case_with LETTER: the part's first case under that tool (see cases.tsv).
case_with() {
    awk -F '\t' -v from="$from" -v letter="$1" '
        $1 == "task" { part[$2] = $3; next }
        !/^#/ && NF >= 8 && part[$2] == from "" && index($4, letter) {
            print $1; exit }' grading/points.tsv grading/cases.tsv
}

# readme: README.handout.md for a tree that begins with FROM. A line with
# {WORD} in front is for such trees only; @NAME@ stands for something of it.
readme() {
    local is="" tool tooled=''
    local words=([0]=h:helgrind [1]=t:tsan [2]=m:memcheck)
    if [ "$from" = "${parts%% *}" ]; then is=' first '; else is=' later '; fi
    [[ $is != *later* ]] || is+="${prior:-source} "
    [ -z "$(case_with x)" ] || is+='explored '
    for tool in "${words[@]}"; do
        tooled=$(case_with "${tool%%:*}")
        [ -z "$tooled" ] || { is+='tool ' && break; }
    done
    part_lines >"$tree/grading/parts.md"
    awk -v is="$is" -v table="$tree/grading/parts.md" '
        match($0, /^\{[a-z]+\}/) {
            if (!index(is, " " substr($0, 2, RLENGTH - 2) " ")) next
            $0 = substr($0, RLENGTH + 1)
        }
        /^@PARTS@$/ { while ((getline line < table) > 0) print line; next }
        1' grading/README.handout.md |
        sed -e "s|@PART@|$from|g" -e "s|@README@|$(page_of "$from" README)|g" \
            -e "s|@BARE@|$(case_with b)|" -e "s|@TOOLED@|$tooled|" \
            -e "s|@TOOL@|${tool#*:}|" -e "s|@EXPLORED@|$(case_with x)|" \
            -e "s|@TASK@|$(awk -F '\t' -v p="$from" '$1 == "task" &&
                $3 == p "" { print $2; exit }' grading/points.tsv)|"
    rm "$tree/grading/parts.md"
}

grading/files.sh given >"$tree/grading/given.txt"
tar cf - --files-from "$tree/grading/given.txt" | tar xf - -C "$tree"
readme >"$tree/README.md"
echo "$from" >"$tree/grading/begins"
grading/files.sh yours >"$tree/grading/yours.txt"
while read -r f; do
    if ! is_before "$f"; then
        cp "${f%/*}/starter/${f##*/}" "$tree/$f"
    elif [ "$prior" = objects ] && [[ $f == *.c ]]; then
        # A pool, and a store, has a second object, with names of its own.
        for v in rel dbg asan tsan; do
            for o in "${f%.c}" $(grep -xF -- "${f%.c}-as" <<<"$named"); do
                make -s --no-print-directory V=$v "build/$v/$o.o" >/dev/null
                install -D -m 644 "build/$v/$o.o" "$tree/prior/$v/$o.o"
            done
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
