#!/usr/bin/env bash
# submission.sh DIR [grade.sh's options] -- grades the student's files of DIR
# in a pristine tree, which stays below build/submissions/NAME/.
#
# Taken are regular files only, by their names: those that the course lets a
# student write, and stageN-*/my_*.[ch]. Everything else is ours, the Makefile
# among it. The reference's objects serve so that a mistake in an earlier
# module costs its own points only.
set -euo pipefail
cd "$(dirname "$0")/.."
. grading/lib.sh
dir=$(cd "$1" && pwd) || die "SUBMISSION=$1: no such directory"
shift
# What the shell, make and gcc take for a word; and nobody else's of that name,
# who is still there.
name=$(basename "$dir" | LC_ALL=C tr -c 'A-Za-z0-9._\n-' _)
other=$(cat "build/submissions/$name/from" 2>/dev/null) || other=$dir
if [ "$name" != "$(basename "$dir")" ] || { [ "$other" != "$dir" ] && [ -d "$other" ]; }; then
    name+=-$(sha256sum <<<"$dir" | cut -c1-8)
fi
[[ $dir/ != "$PWD"/build/submissions/* ]] ||
    die "SUBMISSION=$dir: that is where submissions are graded"
top=build/submissions/$name
tree=$top/tree
size_max=1048576

rm -rf "$top" && mkdir -p "$tree/grading" "$tree/build"
printf '%s\n' "$dir" >"$top/from"
grading/files.sh given >"$top/given.txt"
tar cf - --files-from "$top/given.txt" | tar xf - -C "$tree"
grading/files.sh yours >"$tree/grading/yours.txt"

# The reference's objects, and ours of what is given: built once for all.
build_quietly "$top/build.log" tools
mapfile -t stages < <(parts)
for v in dbg tsan rel; do
    goal=$([ $v = rel ] && echo bench || echo graded)
    build_quietly "$top/build.log" V=$v "${stages[@]/#/$goal}" ||
        { tail -n 20 "$top/build.log" && die "the reference does not build"; }
    (cd "build/$v" && find . -name '*.[od]') | sed 's|^\./||' |
        grep -vxFf <(sed -n 's|\.c$||; p; s|$|-as|; p' \
            "$tree/grading/yours.txt" | sed 'p; s|$|.o|; p; s|o$|d|') |
        tar cf - -C "build/$v" --files-from - |
        (mkdir -p "$tree/build/$v" && tar xf - -C "$tree/build/$v")
done
ln -s "$PWD/build/tools" "$tree/build/tools"
grading/calibrate.sh >/dev/null
cp build/calibration "$tree/build/"

# May this file be the student's? Its name relative to DIR.
allowed() {
    grep -qxF "$1" "$tree/grading/yours.txt" ||
        [[ $1 =~ ^stage[0-9]-[a-z]+/my_[A-Za-z0-9_-]+\.[ch]$ ]]
}

taken=''
while read -r f; do
    if ! allowed "$f"; then
        echo "not taken, no name for a file of yours: $f"
    elif [ -L "$dir/$f" ] || [ ! -f "$dir/$f" ]; then
        echo "not taken, no regular file: $f"
    elif [ "$(stat -c %s "$dir/$f")" -gt "$size_max" ]; then
        echo "not taken, over 1 MiB: $f"
    else
        mkdir -p "$tree/$(dirname "$f")"
        cp -- "$dir/$f" "$tree/$f"
        taken=yes
    fi
done < <(cd "$dir" && find . -path ./build -prune -o ! -type d -print |
    sed 's|^\./||' | awk 'FNR == NR { yours[$0]; next }
        ($0 in yours) || /(^|\/)my_/' "$OLDPWD/$tree/grading/yours.txt" -)
[ -n "$taken" ] || echo "nothing was taken from $dir: are the stages in it?"
# What was not handed in counts as not written.
while read -r f; do
    starter=${f%/*}/starter/${f##*/}
    [ -f "$tree/$f" ] || [ ! -f "$starter" ] || cp "$starter" "$tree/$f"
done <"$tree/grading/yours.txt"

status=0
read=$PWD/grading/read/$name.tsv
[ ! -f "$read" ] || set -- --read "$read" "$@"
"$tree/grading/grade.sh" --ref "$PWD" --out build/grade "$@" || status=$?
for f in grade.txt results.json junit.xml model.tsv build.log; do
    cp "$tree/build/grade/$f" "$top/" 2>/dev/null || true
done
echo "results: $top/"
exit $status
