#!/usr/bin/env bash
# update.sh NEW.tar.gz -- in the students' tree: takes over the given files of
# a newer handout and prints what changed. Files that the student writes are
# never touched; those that are new come as starters.
set -euo pipefail
cd "$(dirname "$0")/.."
. grading/lib.sh
archive=${1-}
[ -f "$archive" ] || die "make update FROM=new-handout.tar.gz"
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
tar xzf "$archive" -C "$new" --strip-components=1 --no-same-owner
[ -f "$new/grading/given.sha256" ] || die "$archive: not a handout"

changed=0
# take FILE WORD: copies it from the new tree.
take() {
    install -D -m "$(stat -c %a "$new/$1")" "$new/$1" "$1"
    printf '%-9s %s\n' "$2" "$1"
    changed=$((changed + 1))
}
while read -r _ f; do
    if [ ! -e "$f" ]; then
        take "$f" new
    elif ! cmp -s "$f" "$new/$f"; then
        take "$f" updated
    fi
done <"$new/grading/given.sha256"
while read -r f; do
    [ -e "$f" ] || [ ! -e "$new/$f" ] || take "$f" starter
done <"$new/grading/yours.txt"
# A file, not a pipe: grep -q ends at the first match, and what writes to it
# then fails.
{ sed 's/^[0-9a-f]*  //' "$new/grading/given.sha256"
    cat "$new/grading/yours.txt"; } >"$new/grading/all.txt"
while read -r _ f; do
    grep -qxF -- "$f" "$new/grading/all.txt" || [ ! -e "$f" ] ||
        { rm -f -- "$f" && printf '%-9s %s\n' removed "$f"; changed=$((changed + 1)); }
done <grading/given.sha256
cmp -s "$new/README.md" README.md || take README.md updated
cp "$new"/grading/given.sha256 "$new"/grading/given.tar.gz \
    "$new"/grading/yours.txt "$new"/grading/begins grading/
echo "$changed files changed; yours were left alone"
