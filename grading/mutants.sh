#!/usr/bin/env bash
# mutants.sh [--quick] [NAME...] -- the proof of the grader.
#
# Every patch of grading/mutants/ plants one bug in the reference; each is
# graded like a submission and must lose points in the checks that its header
# names. The reference and every alternative solution are graded the same way
# and must lose none (the bonus aside). Left out are the cases of programs that
# have nothing of what a patch changes. Prints the kill matrix, writes
# build/grade/mutants.tsv; exit 0 only if all that holds. --quick runs of each
# mutant only the checks that its header names, and no correct solutions
# unless one is named: a fifth of the time, and the same proof for the bugs,
# but a matrix of those checks only.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
quick=''
[ "${1-}" != --quick ] || { quick=yes && shift; }
scratch=build/mutants
rm -rf "$scratch" && mkdir -p "$scratch" build/grade
table=build/grade/mutants.tsv
bad=0
wanted() { [ $# -eq 1 ] || [[ " ${*:2} " == *" $1 "* ]]; }

# copy_reference DIR: the files that a student would hand in.
copy_reference() {
    grading/files.sh yours | while read -r f; do
        install -D -m 644 "$f" "$1/$f"
    done
}

# header PATCH FIELD
header() { sed -n "s/^$2: *//p" "$1" | head -n 1; }

# grade NAME OPTIONS...: the model is in build/submissions/NAME/model.tsv.
grade() {
    grading/submission.sh "$scratch/$1" --alive bmhtx "${@:2}" \
        >"$scratch/$1.txt" 2>&1
}

# lost MODEL: "case:tool" of every check that speaks against the solution.
lost() {
    awk -F '\t' '$1 == "check" && $5 ~ /^(FAIL|DEADLOCK|FLAKY)$/ {
        print $3 ":" $4 }' "$1"
}

# with_parents: cases, a line each, and those that must pass before they count.
with_parents() {
    awk -F '\t' 'FNR == NR { parent[$1] = $7; next }
        { for (c = $1; c in parent && !seen[c]++; c = parent[c]) print c }' \
        grading/cases.tsv -
}

# named_cases PATCH: the cases that it names.
named_cases() {
    header "$1" catch | tr -s ', ' '\n' | sed 's/:.*//' | with_parents
}

# touched_cases PATCH: the cases that it could change: those of programs in which
# a file that it changes was compiled (its name is in what -g leaves there).
touched_cases() {
    local program
    sed -n 's|^+++ b/\([^[:space:]]*\).*|\1|p' "$1" >"$scratch/changed"
    awk -F '\t' '!/^#/ && NF >= 8 && !seen[$3]++ { print $3 }' \
        grading/cases.tsv | while read -r program; do
        if [ ! -f "build/dbg/tests/$program" ] ||
            grep -qFf "$scratch/changed" "build/dbg/tests/$program"; then
            awk -F '\t' -v p="$program" '!/^#/ && $3 == p { print $1 }' \
                grading/cases.tsv
        fi
    done | with_parents
}

# parts_of DIR: the parts of the course whose files are in DIR; all of them
# for the reference.
parts_of() {
    if [ "$1" = reference ]; then
        parts
    else
        task_files | while IFS=$'\t' read -r part f; do
            [ ! -f "$1/$f" ] || echo "$part"
        done | uniq
    fi
}

# A tool that does not work here would let mutants through, or seem to.
mapfile -t graded < <(parts | sed 's/^/graded/')
build_quietly "$scratch/build.log" tools
build_quietly "$scratch/build.log" V=dbg "${graded[@]}" ||
    die "the reference does not build: $scratch/build.log"
mkdir -p "$scratch/canaries"
[ "$(grading/canaries.sh "$scratch/canaries")" = bmhtx ] ||
    die "some tool does not work here, so nothing is proven: make doctor"

printf 'correct solutions, which must lose no point\n'
for dir in reference grading/alternatives/*/; do
    name=$(basename "$dir")
    wanted "$name" "$@" || continue
    [ -z "$quick" ] || [ $# -gt 0 ] || continue
    copy_reference "$scratch/$name"
    [ "$dir" = reference ] || cp -r "$dir"/. "$scratch/$name/"
    for part in $(parts_of "$dir"); do
        grade "$name" --stage "$part"
        model=build/submissions/$name/model.tsv
        # Nor a check of a task that is a bonus.
        { awk -F '\t' '$1 == "total" { printf "  %-34s %-3s %s of %s\n", n, p,
            $3, $4; exit !($3 == $4 && $4 > 0) }' n="$name" p="$part" \
            "$model" && [ "$(lost "$model" | grep -vc ':speed$')" -eq 0 ]; } || {
            bad=$((bad + 1))
            lost "$model" | sed 's/^/    LOST /'
        }
    done
done

printf '\nmutants: which kind of check catches each\n'
printf '  %-34s %-5s %-5s %-5s %-5s %-5s\n' "" bare memch helgr tsan explo
printf 'mutant\tstage\tclass\tcaught\tby\n' >"$table"
for patch in grading/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    wanted "$name" "$@" || continue
    copy_reference "$scratch/$name"
    if ! patch -s -p1 -d "$scratch/$name" <"$patch"; then
        echo "  $name: the patch does not apply" && bad=$((bad + 1)) && continue
    fi
    if [ -n "$quick" ]; then
        named_cases "$patch" >"$scratch/$name.cases"
    else
        touched_cases "$patch" >"$scratch/$name.cases"
    fi
    grade "$name" --stage "$(header "$patch" stage)" --no-speed \
        --cases "$PWD/$scratch/$name.cases"
    model=build/submissions/$name/model.tsv
    lost "$model" >"$scratch/$name.lost"
    if grep -qaE 'error:|undefined reference' \
        "build/submissions/$name/build.log"; then
        echo "  $name: does not build" && bad=$((bad + 1)) && continue
    fi
    caught=$([ -s "$scratch/$name.lost" ] && echo yes || echo no)
    mark() { grep -c ":$1\$" "$scratch/$name.lost" | sed 's/^0$/./'; }
    printf '  %-34s %-5s %-5s %-5s %-5s %-5s' "$name" "$(mark bare)" \
        "$(mark memcheck)" "$(mark helgrind)" "$(mark tsan)" "$(mark explore)"
    # A case without a tool: whichever tool sees it first. What has failed bare,
    # if only by chance, is not run under tools.
    missing=$(header "$patch" catch | tr -s ', ' '\n' |
        grep -vxFf <(cat "$scratch/$name.lost"
            sed 's/:.*//' "$scratch/$name.lost"
            sed -n 's/^\(.*\):bare$/\1:memcheck\n\1:helgrind\n\1:tsan\n\1:explore/p' \
                "$scratch/$name.lost") | paste -sd' ')
    if [ "$caught" = no ]; then
        printf ' SURVIVES' && bad=$((bad + 1))
    elif [ -n "$missing" ]; then
        printf ' missed by %s' "$missing" && bad=$((bad + 1))
    fi
    printf '\n'
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$(header "$patch" stage)" \
        "$(header "$patch" class)" "$caught" \
        "$(paste -sd' ' "$scratch/$name.lost")" >>"$table"
done
total=$(($(wc -l <"$table") - 1))
printf '\n%d mutants, %d of them caught; %d wrong verdicts (%s)\n' "$total" \
    "$(awk -F '\t' '$4 == "yes"' "$table" | wc -l)" "$bad" "$table"
[ "$bad" -eq 0 ]
