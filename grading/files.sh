#!/usr/bin/env bash
# files.sh -- which files are the student's and which are given.
#
#     grading/files.sh yours    every file that a student writes
#     grading/files.sh given    every other file of the students' tree
#     grading/files.sh mine     files of a student's own, stageN-*/my_*.[ch]
#
# In the students' tree both lists lie in grading/; here they follow from the
# starters: a file is the student's if stageN-*/starter/ has its namesake.
set -euo pipefail
cd "$(dirname "$0")/.."

# What only instructors have: the reference is left out by its starter.
instructors() {
    grep -vE -e '^grading/(mutants|alternatives)/' \
        -e '^grading/(mutants|handout|submission)\.sh$' \
        -e '^grading/read(\.tsv$|/)' \
        -e '^grading/(INSTRUCTORS|README\.handout)\.md$' \
        -e '^tests/(handout|mutants|grader|repo|bare)[a-z_]*\.(bats|sh)$' \
        -e '^\.(ci|git)' \
        -e '^tests/(planted|cut)/' -e '^tests/(cut|history|pools)\.bats$' -e '/starter/'
}

yours() {
    if [ -f grading/yours.txt ]; then
        cat grading/yours.txt
    else
        for f in stage*/starter/*.*; do echo "${f/starter\//}"; done
    fi
}

# In a clone the tracked files; elsewhere (an exported tree) all but build/ and
# handout/, which are made.
listed() {
    if git -C . rev-parse --is-inside-work-tree >/dev/null 2>&1 &&
        [ -e .git ]; then
        git ls-files --cached --others --exclude-standard
    else
        find . \( -path ./build -o -path ./handout \) -prune -o -type f -print | sed 's|^\./||'
    fi | while read -r f; do [ -f "$f" ] && echo "$f"; done
}

# What may lie at the top. Of listed's files, the names of others: what was left
# there by chance must not get into a tree that is given away.
strangers() {
    cut -d/ -f1 <<<"$1" | sort -u | grep -vxE '\.[a-z-]+|LICENSE|Makefile|README\.md|common|grading|stage[0-9]-[a-z]+|tests'
}

given() {
    local all others
    if [ -f grading/given.sha256 ]; then
        sed 's/^[0-9a-f]*  //' grading/given.sha256
        return
    fi
    all=$(listed)
    if others=$(strangers "$all"); then
        echo "files.sh: what is this at the top level? ${others//$'\n'/ }" >&2
        exit 1
    fi
    instructors <<<"$all" | grep -vxFf <(yours)
}

case ${1-} in
yours) yours ;;
given) given | LC_ALL=C sort ;;
mine) find stage*/ -maxdepth 1 -type f -name 'my_*.[ch]' | LC_ALL=C sort ;;
*) echo "usage: files.sh yours|given|mine" >&2 && exit 2 ;;
esac
