# write_junit.awk -- the result model as JUnit XML: a test suite a task.
#
#     awk -v out=build/grade -f write_junit.awk model.tsv

BEGIN {
    FS = "\t"
    print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
    print "<testsuites name=\"parallelism-lab\">"
}

$1 == "check" {
    if ($2 != suite)
        open_suite($2)
    body = body sprintf("    <testcase classname=\"task %s\" name=\"%s\">", \
        $2, escape($3 " " $4 ": " $10))
    n++
    if ($5 == "NOT-WRITTEN" || $5 == "NOT-RUN" || $5 == "TOOL" || \
        $5 == "NOT-EXPLORED" || $5 == "NOISY") {
        skipped++
        body = body "<skipped message=\"" escape($5 ": " $9) "\"/>"
    } else if ($5 != "PASS" && $5 != "BONUS") {
        failed++
        body = body "<failure message=\"" escape($5 ": " $9) "\">" \
            escape(details($8)) "</failure>"
    }
    body = body "</testcase>\n"
}

END {
    open_suite("")
    print "</testsuites>"
}

function open_suite(name) {
    if (n)
        printf "  <testsuite name=\"task %s\" tests=\"%d\" failures=\"%d\" " \
            "skipped=\"%d\">\n%s  </testsuite>\n", suite, n, failed, skipped, \
            body
    suite = name
    body = ""
    n = failed = skipped = 0
}

function details(id,    file, line, all) {
    gsub(/\//, ".", id)
    file = out "/detail/" id ".txt"
    while ((getline line < file) > 0)
        all = all line "\n"
    close(file)
    return all
}

# XML 1.0 has no word for control characters: they go.
function escape(s) {
    gsub(/[\001-\010\013\014\016-\037]/, "", s)
    gsub(/&/, "\\&amp;", s)
    gsub(/</, "\\&lt;", s)
    gsub(/>/, "\\&gt;", s)
    gsub(/"/, "\\&quot;", s)
    return s
}
