#!/usr/bin/env bash
# includes.sh -- what the compiler has read that is neither in this tree nor in
# /usr: a line "SOURCE<tab>FILE" for each source, the first such file of it. By
# the .d files of what was built. Exit 0 if there is any.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$(realpath .)

# A line for each .d file: the first word is the object, the second the source.
find build -name '*.d' -path 'build/*/*' ! -path 'build/tools/*' -exec awk '
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
    done | sort -u -t $'\t' -k1,1 | grep .
