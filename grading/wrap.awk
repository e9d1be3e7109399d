# wrap.awk -- text at 80 columns, nothing of it lost.
#
#     awk [-v wrapped=INDENT] -f wrap.awk [-f PROGRAM.awk] FILE
#
# With `wrapped` every line is printed with that in front of it. What follows a
# tab, if there is one, stays in a column of its own.

wrapped != "" {
    tab = index($0, "\t")
    sub(/\t/, "")
    wrap($0, wrapped, tab ? tab - 1 : "")
}

# Prints a text behind an indent, broken between words (within one only where
# it fills a line). What follows is indented as far as `hang` says, or as the
# words behind a label like "expected:" (and what continues them), or by two more.
function wrap(text, indent, hang,    room, lead, cut) {
    room = 80 - length(indent)
    match(text, /^ *((tried|expected|got|at|seed): +)?/)
    lead = RLENGTH
    if (hang == "")
        hang = substr(text, 1, lead) ~ /:/ || lead >= 10 ? lead : lead + 2
    hang = sprintf("%" (hang < room - 20 ? hang : 2) "s", "")
    while (length(text) > room) {
        for (cut = room + 1; cut > lead + 1; cut--)
            if (substr(text, cut, 1) == " ")
                break
        if (cut <= lead + 1)
            cut = room + 1
        print indent substr(text, 1, cut - 1)
        text = substr(text, cut)
        sub(/^ +/, "", text)
        text = hang text
        lead = length(hang)
    }
    print indent text
}
