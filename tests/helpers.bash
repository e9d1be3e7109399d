# helpers.bash -- what the bats files share.
# shellcheck shell=bash

TOP=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
export TOP
# Each copy of the tree makes what it needs; nothing is inherited from make.
unset MAKEFLAGS MAKELEVEL MFLAGS CASE TOOL SEED TASK STAGE FROM PRIOR OUT

# copy_tree DIR: the tree as a clone would have it, with the objects that are
# already there, so that little is compiled again.
copy_tree() {
    mkdir -p "$1/build"
    (cd "$TOP" && { git ls-files --cached --others --exclude-standard \
        2>/dev/null || find . -path ./build -prune -o -type f -print; } |
        while read -r f; do [ -f "$f" ] && echo "$f"; done |
        tar cf - --files-from -) | tar xf - -C "$1"
    for d in dbg tools calibration; do
        [ ! -e "$TOP/build/$d" ] || cp -rp "$TOP/build/$d" "$1/build/"
    done
}

# make_handout DIR [FROM] [PRIOR]
make_handout() {
    "$TOP/grading/handout.sh" "$@" >/dev/null
}

# stub FILE TASK FUNCTION...: makes functions of FILE "not written" again.
stub() {
    local file=$1 task=$2 names
    shift 2
    names=" $* "
    awk -v names="$names" -v task="$task" '
        match($0, /^[a-z][a-z0-9_ ]*[ *](pool|channel)_[a-z_]+\(/) {
            name = substr($0, 1, RLENGTH - 1)
            sub(/.*[ *]/, "", name)
            if (index(names, " " name " ")) { skip = 1; void = /^void/ }
        }
        skip && /^}/ { skip = 0; next }
        skip && /^{/ {
            print "{\n    " (void ? "" : "return ") "not_written(\"" task \
                "\");\n}"
            body = 1
        }
        skip && body { next }
        { body = 0; print }
        /^#include "stage1/ && !done {
            print "#include \"common/not_written.h\""; done = 1
        }' "$file" >"$file.new"
    mv "$file.new" "$file"
}

# verdicts MODEL: "task verdict" pairs, distinct.
task_points() {
    awk -F '\t' '$1 == "task" { print $2, $3 }' "$1"
}

# green_tasks MODEL: the tasks of which every check passes.
green_tasks() {
    awk -F '\t' '$1 == "check" && $2 != "0" { seen[$2]; if ($5 != "PASS")
        red[$2] } END { for (t in seen) if (!(t in red)) print t }' "$1" |
        sort -V | paste -sd' '
}
