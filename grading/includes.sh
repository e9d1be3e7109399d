#!/usr/bin/env bash
# includes.sh [REF] -- says which sources have included what is neither in this
# tree nor in /usr: by the .d files of what was built. Exit 0 if there is any.
# With REF, the reference's tree, they are put back to their starters, and what
# was built of them goes.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$(realpath .) ref=${1-} found=1

# outside: a line "SOURCE<tab>FILE" for each source, its first such file.
outside() {
    # A line for each .d file: the first word is the object, the second the source.
    find build -name '*.d' ! -path 'build/tools/*' -exec awk '
        FNR == 1 { printf "%s", (NR > 1 ? "\n" : "") }
        /^[^ ]*:$/ { next }         # of -MP
        { sub(/\\$/, ""); printf "%s", $0 }
        END { print "" }' {} + | tr -s ' ' '\t' |
        awk -F '\t' '{ for (i = 3; i <= NF; i++) if ($i != "" && !seen[$2, $i]++)
            print $2 "\t" $i }' |
        # Most names are plain: of the tree or of /usr, with no way up.
        grep -vE $'^[^\t]*\t(/usr/|[A-Za-z0-9_-]+/)([A-Za-z0-9_+-][A-Za-z0-9_.+-]*/?)*$' |
        while IFS=$'\t' read -r source file; do
            real=$(realpath -m -- "$file")
            case $real in
            "$top"/* | /usr/*) ;;
            *) printf '%s\t%s\n' "$source" "$file" ;;
            esac
        done | sort -u -t $'\t' -k1,1
}

while IFS=$'\t' read -r f what; do
    found=0
    echo "not taken, for it includes what is not in the tree: $f ($what)"
    [ -n "$ref" ] || continue
    rm -f "$f" build/*/"${f%.c}".[od] build/*/"${f%.c}"-*.[od]
    find build/*/tests -maxdepth 1 -type f -perm /111 -delete
    cp "$ref/${f%/*}/starter/${f##*/}" "$f" 2>/dev/null || true
done < <(outside)
exit $found
