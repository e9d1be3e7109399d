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

# ---- programs on the command line -------------------------------------------

# try COMMAND...: runs it; what it said is in $T/out and $T/err, its exit
# status in $status. Values may be binary, so nothing goes through $( ).
T=${BATS_TEST_TMPDIR-}
try() {
    status=0
    "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
}

# What the last `try` said, for whoever reads a failure.
show() {
    echo "exit status $status"
    head -c 2000 "$T/out" | sed 's/^/out: /'
    head -c 2000 "$T/err" | sed 's/^/err: /'
    return 1
}

# answered TEXT [STATUS]: just this line on stdout, nothing on stderr.
answered() {
    if ! printf '%s\n' "$1" | cmp -s - "$T/out" || [ -s "$T/err" ] ||
        [ "$status" -ne "${2:-0}" ]; then
        echo "expected status ${2:-0} and: $1" && show
    fi
}

# silent: status 0, not a word.
silent() {
    if [ "$status" -ne 0 ] || [ -s "$T/out" ] || [ -s "$T/err" ]; then
        show
    fi
}

# refused [STATUS] [WORD]: nothing on stdout, one line on stderr (with WORD),
# and this exit status ("any": not 0, and no signal).
refused() {
    local want=${1:-1}
    if [ "$want" = any ]; then
        [ "$status" -gt 0 ] && [ "$status" -lt 126 ] || show || return
    else
        [ "$status" -eq "$want" ] || show || return
    fi
    if [ -s "$T/out" ] || [ "$(wc -l <"$T/err")" -ne 1 ] ||
        [ "$(wc -c <"$T/err")" -lt 2 ] || ! grep -qF -- "${2-}" "$T/err"; then
        echo "expected one line on stderr ${2:+with: $2}" && show
    fi
}

# soon COMMAND...: polls until it succeeds; 10 seconds at most.
soon() {
    local n
    for ((n = 0; n < 500; n++)); do
        if "$@"; then return 0; fi
        sleep 0.02
    done
    echo "not within 10 s: $*"
    return 1
}

# start_server [OPTION...]: a server of the directory $D (default $T/db) on a
# port that the kernel picks. Sets SERVER (its pid), ADDR and PORT; what it
# says is in $T/server.log. ENTER in front of it: setpriv, prlimit, ...
start_server() {
    : >"$T/server.log"
    ${ENTER-} "$BIN/kvs-server" --addr "${LISTEN:-127.0.0.1:0}" \
        --dir "${D:-$T/db}" "$@" 2>"$T/server.log" >"$T/server.out" \
        </dev/null 3>&- 4>&- &
    SERVER=$!
    echo "$SERVER" >>"$T/servers"
    if ! soon server_listens; then
        cat "$T/server.log"
        return 1
    fi
    ADDR=$(sed -n 's/.*listening on //p' "$T/server.log" | head -n 1)
    PORT=${ADDR##*:}
    [ -n "$PORT" ]
}

server_listens() {
    grep -q 'listening on ' "$T/server.log" || ! alive "$SERVER"
}

# A process that has ended and that nobody has waited for is not alive.
alive() {
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) &&
        [[ $state != Z* ]]
}

gone() {
    ! alive "$1"
}

# stop_server [SIGNAL]: sends it, waits, and leaves its exit status in $status.
stop_server() {
    kill -s "${1:-TERM}" "$SERVER"
    soon gone "$SERVER"
    status=0
    wait "$SERVER" 2>/dev/null || status=$?
}

# stop_all: for teardown; only servers that this test started.
stop_all() {
    local pid
    [ -e "$T/servers" ] || return 0
    while read -r pid; do
        if alive "$pid" && [[ $(<"/proc/$pid/comm") == kvs-server ]]; then
            kill -KILL "$pid" && { wait "$pid" 2>/dev/null || true; }
        fi
    done <"$T/servers"
}

# tree DIR: everything in it, as one sum.
tree() {
    (cd "$1" && find . -printf '%y %m %p %l\n' | sort &&
        find . -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum
}

milliseconds() {
    local s=${EPOCHREALTIME/[.,]/}
    echo $((s / 1000))
}

# library FILE [OPTION...]: of the C code on stdin, to come between a program and
# the kernel.
library() { gcc -shared -fPIC -o "$1" "${@:2}" -x c -; }

# bad_sector NAME PAGE: a library, $BAD, which programs may be run with: the
# page (4,096 bytes) of files that are called so cannot be read with pread.
bad_sector() {
    BAD=$BATS_TEST_TMPDIR/bad.so
    library "$BAD" -DNAME="\"$1\"" -DPAGE="$2" <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    const off_t from = PAGE * 4096L, to = from + 4096;
    char link[64], name[512] = { 0 };

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, name, sizeof name - 1) > 0 && strstr(name, NAME)) {
        if (at >= from && at < to)
            return errno = EIO, -1;
        if (at < from && at + (off_t)n > from)
            n = (size_t)(from - at);
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, off_t at)
{
    return pread(fd, p, n, at);
}
C
}
