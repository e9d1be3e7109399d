#!/usr/bin/env bats
# The grader's verdicts, on bugs planted for the purpose. The whole bank is
# `make mutants`; here is how a student sees the four classic ones, and what a
# submission may try.

bats_require_minimum_version 1.5.0
load helpers

setup() {
    T=$BATS_TEST_TMPDIR/t
}

# planted MUTANT: a tree with the bug in it.
planted() {
    copy_tree "$T"
    patch -s -p1 -d "$T" <"$TOP/grading/mutants/$1.patch"
    cd "$T" || return 1
}

# submission NAME: a folder with what a correct student would hand in.
submission() {
    S=$BATS_TEST_TMPDIR/$1
    mkdir -p "$S/stage1-pool"
    cp "$TOP"/stage1-pool/{channel,pool,pool_naive}.c "$S/stage1-pool/"
}

# grade_it OPTIONS: grades $S; the results are in $D, the model in $M. (Whose
# folder is called like another's has the results elsewhere.)
grade_it() {
    run "$TOP/grading/submission.sh" "$S" --no-speed --stage 1 "$@"
    D=$TOP/$(sed -n 's,^results: \(.*\)/$,\1,p' <<<"$output")
    M=$D/model.tsv
    [ -s "$M" ]
}

points_of() {
    awk -F '\t' -v t="$1" '$1 == "task" && $2 == t { print $3 "/" $4 }' "$M"
}

@test "a race: both lines of the student's, the locks, the rule" {
    planted flag-without-lock
    run make one CASE=channel/close_wakes_receivers TOOL=helgrind
    [ "$status" -ne 0 ]
    echo "$output"
    [[ $output == *"data race"*"closed"* ]]
    line=$(grep -n 'ch->closed = true' stage1-pool/channel.c | cut -d: -f1)
    [[ $output == *"channel.c:$line"*"channel_close"* ]]
    [[ $output == *"holding no lock"* ]]
    [[ $output == *"rule:"* ]]
    [ "${#lines[@]}" -le 16 ]
}

@test "a leak: the line that allocated" {
    planted job-leaked
    run make one CASE=naive/count_and_destroy TOOL=memcheck
    [ "$status" -ne 0 ]
    echo "$output"
    line=$(grep -n 'malloc(sizeof \*job)' stage1-pool/pool_naive.c | cut -d: -f1)
    [[ $output == *"leak"*"pool_naive.c:$line"* ]]
    [ "${#lines[@]}" -le 14 ]
}

@test "a lost wake-up: the kind, the lines, and a seed that replays" {
    planted wake-only-first
    run make one CASE=channel/small_burst TOOL=explore
    [ "$status" -ne 0 ]
    echo "$output"
    [[ $output == *"lost wake-up"* ]]
    [[ $output =~ SEED=([0-9]+) ]]
    seed=${BASH_REMATCH[1]}
    run make replay CASE=channel/small_burst SEED="$seed"
    [ "$status" -ne 0 ]
    echo "$output"
    [[ $output == *"lost wake-up"* ]]
    [[ $output == *"channel.c:"* ]]
    first=$output
    run make replay CASE=channel/small_burst SEED="$seed"
    [ "$output" = "$first" ]
    [ "$(awk '{ if (length($0) > 80) n++ } END { print n + 0 }' \
        <<<"$(grep -v '^make' <<<"$output")")" -eq 0 ]
}

@test "a deadlock: every thread's place in the student's own lines" {
    planted unlock-missing-on-error
    run make one CASE=channel/close_drains
    [ "$status" -ne 0 ]
    echo "$output"
    [[ $output == *"DEADLOCK"* ]]
    [[ $output == *"pthread_mutex_lock"*"channel.c:"* ]]
    [ "${#lines[@]}" -le 14 ]
}

@test "a crash: the signal and the line" {
    copy_tree "$T"
    cd "$T"
    sed -i 's/^    ch->count++;$/    *(volatile int *)0 = 1;/' \
        stage1-pool/channel.c
    run make one CASE=channel/order
    [ "$status" -ne 0 ]
    echo "$output"
    line=$(grep -n 'volatile int' stage1-pool/channel.c | cut -d: -f1)
    [[ $output == *"SEGV"* ]]
    [[ $output == *"channel.c:$line"* ]]
}

@test "a wrong answer: what was tried, expected, got, and where" {
    planted ring-one-short
    run make one CASE=channel/full
    [ "$status" -ne 0 ]
    [[ $output == *"tried: "* ]]
    [[ $output == *"expected: 0"* ]]
    [[ $output == *"got:      -EAGAIN"* ]]
    [[ $output == *"tests/channel_test.c:"* ]]
}

@test "a case's files: to be looked at when it fails, else gone" {
    planted durable-claimed-too-far
    run make one CASE=log/layout
    echo "$output"
    [[ $output == *"the case's files, are in build/one/log.layout.bare/"* ]]
    [ -n "$(find build/one/log.layout.bare/files -type f)" ]
    patch -s -R -p1 <"$TOP/grading/mutants/durable-claimed-too-far.patch"
    run make one CASE=log/layout
    [[ $output == PASS* ]]
    [ -z "$(find build/one -name files)" ]
}

@test "code that ends the process itself: that is said" {
    copy_tree "$T"
    cd "$T"
    sed -i 's/^    ch->count++;$/    exit(1);/' stage1-pool/channel.c
    run make one CASE=channel/order
    [ "$status" -ne 0 ]
    [[ $output == *"ended with status 1, and no check says why"* ]]
}

@test "a mistake in the channel does not cost the pool's points" {
    submission cascade
    sed -i 's/^    ch->count--;$/    ch->count = 0;/' "$S/stage1-pool/channel.c"
    grade_it
    [ "$(points_of 1.5)" = 15/15 ]
    [ "$(points_of 1.6)" = 15/15 ]
    [ "$(points_of 1.2)" != 10/10 ]
}

@test "what is right only beside the reference's channel is run under tools so" {
    submission cascade2
    sed -i 's/^    ch->count--;$/    ch->count = 0;/' "$S/stage1-pool/channel.c"
    patch -s -p1 -d "$S" <"$TOP/grading/mutants/counter-outside-lock.patch"
    grade_it
    [ "$(awk -F '\t' '$1 == "check" && $3 == "shared/many_submitters" &&
        $4 == "bare" { print $5 }' "$M")" = PASS ]
    awk -F '\t' '$1 == "check" && $3 == "shared/many_submitters" &&
        $4 == "tsan"' "$M" | grep 'FAIL.*earlier module; data race'
}

@test "a file that does not compile costs its own tasks only" {
    submission broken
    echo 'int oops' >>"$S/stage1-pool/channel.c"
    grade_it
    [ "$(points_of 1.1)" = 10/10 ]
    [ "$(points_of 1.2)" = 0/10 ]
    [ "$(points_of 1.5)" = 15/15 ]
    [[ $output == *"error"* ]]
}

@test "compiler warnings cost a point each, three at most, not the build" {
    submission warned
    printf 'static int unused_%d;\n' 1 2 3 4 5 >>"$S/stage1-pool/channel.c"
    grade_it
    [ "$(points_of 1.2)" = 10/10 ]
    [ "$(awk -F '\t' '$1 == "stage" { print $4 - $3 }' "$M")" = 3 ]
}

@test "a constructor that exits with 0 passes nothing" {
    submission liar
    cat >>"$S/stage1-pool/channel.c" <<'C'
#include <stdio.h>
#include <unistd.h>
static void __attribute__((constructor)) early(void)
{
    printf("ok 1\npass order 0000000000000000\n");
    fflush(stdout);
    _exit(0);
}
C
    grade_it --quick
    [ "$(awk -F '\t' '$1 == "check" && $3 ~ /^channel/ && $5 == "PASS"' \
        "$M")" = "" ]
}

@test "a constructor that exits with 0 under the explorer passes nothing" {
    copy_tree "$T"
    cd "$T"
    cat >>stage1-pool/pool_naive.c <<'C'
#include <unistd.h>
void early(void);
__attribute__((constructor)) void early(void)
{
    if (getenv("EXPLORE_TRACE_FD"))
        _exit(0);
}
C
    run make one CASE=naive/small_destroy TOOL=explore
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output != *PASS* ]]
}

# One switch at one place, and then the other thread alone for a hundred steps.
@test "the explorer holds a thread back for long, also behind one that has slept" {
    cat >"$BATS_TEST_TMPDIR/once.c" <<'C'
#include <pthread.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int busy;
static void is_busy(int now)
{
    pthread_mutex_lock(&lock);
    busy = now;
    pthread_mutex_unlock(&lock);
}
static void *worker(void *unused)
{
    for (int i = 0; i < 40; i++) {
        is_busy(1);
        is_busy(0);
    }
    return unused;
}
int main(void)
{
    pthread_t thread;
    int seen = 0;

    usleep(10);
    pthread_create(&thread, NULL, worker, NULL);
    for (int i = 0; i < 30; i++) {
        pthread_mutex_lock(&lock);
        seen += busy;
        pthread_mutex_unlock(&lock);
    }
    pthread_join(thread, NULL);
    return seen == 30;
}
C
    cc -pthread -o "$BATS_TEST_TMPDIR/once" "$BATS_TEST_TMPDIR/once.c"
    make -s -C "$TOP" build/tools/explore build/tools/libexplore.so
    run "$TOP/build/tools/explore" --first 10 --seeds 200 -- \
        "$BATS_TEST_TMPDIR/once"
    echo "$output"
    [[ $output == failed*"check failed"* ]]
}

@test "links, foreign files and huge files are not taken from a submission" {
    submission odd
    ln -sf /etc/passwd "$S/stage1-pool/my_link.h"
    echo 'all:; touch /tmp/owned' >"$S/Makefile"
    head -c 2000000 /dev/zero >"$S/stage1-pool/my_huge.c"
    mkdir -p "$S/grading" "$S/stage1-pool/my dir"
    echo x >"$S/grading/points.tsv"
    echo x >"$S/stage1-pool/my dir/my_x.c"
    grade_it --quick
    tree=$D/tree
    [[ $output == *"no regular file: stage1-pool/my_link.h"* ]]
    [[ $output == *"over 1 MiB: stage1-pool/my_huge.c"* ]]
    [ ! -e "$tree/stage1-pool/my_link.h" ]
    cmp "$tree/Makefile" "$TOP/Makefile"
    cmp "$tree/grading/points.tsv" "$TOP/grading/points.tsv"
    [ "$status" -eq 0 ]
}

@test "a file that includes what is not in its tree counts as not written" {
    submission "Jane Doe's"
    echo '#include "../../../../../stage1-pool/channel.c"' >"$S/stage1-pool/channel.c"
    cat >"$S/stage1-pool/pool.c" <<'END'
#if __has_include("build/tools/../../stage1-pool/pool.c") && defined __OPTIMIZE__
#pragma GCC system_header
#include "build/tools/../../stage1-pool/pool.c"
#endif
END
    grade_it --quick
    echo "$output"
    [[ $output == *"includes what is not in the tree: stage1-pool/channel.c ("* ]]
    [[ $output == *"includes what is not in the tree: stage1-pool/pool.c ("* ]]
    [[ $M == */Jane_Doe_s-* ]]
    [ "$(points_of 1.2)" = 0/"$(points_of 1.2 | cut -d/ -f2)" ]
    [ "$(points_of 1.1)" = "$(points_of 1.1 | cut -d/ -f2)"/"$(points_of 1.1 | cut -d/ -f2)" ]
}

@test "names: what is not taken is said, and a folder too deep" {
    submission names
    for f in my_Ring.c my_a-b.h my_.hidden.c; do
        echo '/* nothing */' >"$S/stage1-pool/$f"
    done
    grade_it --quick
    tree=$D/tree
    [ -f "$tree/stage1-pool/my_Ring.c" ] && [ -f "$tree/stage1-pool/my_a-b.h" ]
    [[ $output == *"not taken, no name for a file of yours: stage1-pool/my_.hidden.c"* ]]
    mkdir "$BATS_TEST_TMPDIR/deep" && mv "$S" "$BATS_TEST_TMPDIR/deep/lab"
    S=$BATS_TEST_TMPDIR/deep
    run "$TOP/grading/submission.sh" "$S" --no-speed --stage 1 --quick
    [[ $output == *"nothing was taken from $S"* ]]
}

@test "what a program leaves behind, in a session of its own, is ended" {
    submission stray
    cat >>"$S/stage1-pool/pool_naive.c" <<END
#include <unistd.h>
__attribute__((constructor)) static void stray(void)
{
    if (fork() == 0 && setsid() >= 0 && fork() == 0)
        execlp("sleep", "sleep", "3$$", (char *)NULL);
}
END
    grade_it --quick
    run pgrep -f "sleep 3$$"
    echo "$output"
    [ -z "$output" ]
}

@test "half a solution that fails now and then is FLAKY, with the count" {
    submission flaky
    cat >>"$S/stage1-pool/channel.c" <<'C'
#include <time.h>
int my_coin(void);
int my_coin(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_nsec / 1000 % 2;
}
C
    # about every other run refuses the options of a channel of 7
    sed -i 's/^    if (capacity == 0 || item_size == 0)$/    int my_coin(void);\n    if (capacity == 0 || item_size == 0 || (capacity == 7 \&\& my_coin()))/' \
        "$S/stage1-pool/channel.c"
    for _ in 1 2 3 4 5 6 7 8; do
        grade_it
        [[ $output == *FLAKY* ]] && break
    done
    [[ $output == *"FLAKY  channel/wrap_around"* ]]
    [[ $output == *" of 3 runs failed"* ]]
}

@test "the three writers: Gradescope's shape, JUnit's, and 80 columns" {
    submission shape
    sed -i 's/-EPIPE/-EINTR/' "$S/stage1-pool/channel.c"
    grade_it
    jq -e '.score >= 0 and .score < .max_score and (.tests | length) > 50
        and ([.tests[] | select(.name and .number and (.score | type) ==
            "number" and (.max_score | type) == "number" and
            (.status == "passed" or .status == "failed") and
            (.tags | type) == "array" and (.output | type) == "string")]
            | length) == (.tests | length)
        and ([.tests[].score] | add) - .score < 0.5
        and (.extra_data.tools.valgrind | startswith("valgrind"))
        and (.leaderboard | type) == "array"' "$D/results.json"
    xmllint --noout "$D/junit.xml"
    [ "$(xmllint --xpath 'count(//testcase)' "$D/junit.xml")" = \
        "$(jq '.tests | length' "$D/results.json")" ]
    awk 'length($0) > 80 { print; bad = 1 } END { exit bad }' "$D/grade.txt"
}

# scored STAGE: the model, when every case passes and the speed lines say what
# stands in $T.speed; the text is in $T.txt.
scored() {
    local warnings=${3-0}
    awk -F '\t' -v OFS='\t' '!/^#/ && NF >= 8 {
        for (i = 1; i <= length($4); i++) {
            t = substr($4, i, 1)
            print $1 ":" (t == "b" ? "bare" : t == "m" ? "memcheck" : \
                t == "h" ? "helgrind" : t == "t" ? "tsan" : "explore"), "PASS"
        } }' "$TOP/grading/cases.tsv" >"$T.verdicts"
    touch "$T.but"          # verdicts instead of those
    awk -F '\t' 'FNR == NR { but[$1]; print; next } !($1 in but)' "$T.but" \
        "$T.verdicts" >"$T.all"
    awk -v stage="$1" -v alive=bmhtx -v quick="${2-}" -v speed=yes -v warned="${4-$1}=$warnings" \
        -f "$TOP/grading/score.awk" "$TOP"/grading/{points,cases}.tsv \
        "$T.all" "$T.speed" >"$T.model"
    awk -v out="$T.out" -v quick="${2-}" -v stage="$1" -f "$TOP/grading/wrap.awk" \
        -f "$TOP/grading/write_text.awk" "$T.model" >"$T.txt"
    cat "$T.txt"
    awk 'length($0) > 80 { print; bad = 1 } END { exit bad }' "$T.txt"
}

@test "a task whose cases wait for another is not called unwritten" {
    : >"$T.speed"
    printf '%s:bare\tNOT-WRITTEN\t%s\n' stores/dispatches 3.5 \
        stores/refusals 3.5 steal/count 3.7 >"$T.but"
    scored 3 quick
    grep -qE '^  3.6 .* 10/12, 2 need 3.5$' "$T.txt"
    grep -qE '^  3.7 .* not written$' "$T.txt"
    sed -i /steal/d "$T.but"
    scored 3
    grep -qE '^  3.6 .* 10/12 ' "$T.txt"
    grep -qE '^ +of its cases 2 need 3.5$' "$T.txt"
    awk -F '\t' '$2 == "3.6" { print $1 ":bare\tNOT-WRITTEN\t3.5" }' \
        "$TOP/grading/cases.tsv" >"$T.but"
    scored 3 quick
    grep -qE '^  3.6 .* not written$' "$T.txt"
}

@test "a warning is shown, and is what comes next" {
    : >"$T.speed"
    mkdir -p "$T.out"
    echo "x.c:1:2: warning: unused variable 'y'" >"$T.out/warnings.txt"
    scored 3 quick 1
    grep -qF "1 compiler warning(s): -1" "$T.txt"
    grep -qF "    x.c:1:2: warning: unused variable 'y'" "$T.txt"
    grep -qx "Next: take out what the compiler warns of" "$T.txt"
    scored 3 quick 1 2A     # of another part's
    run ! grep -q "compiler warning" "$T.txt"
    scored 3 quick
    grep -qx "Next: make grade STAGE=3" "$T.txt"
}

# said ZERO FULL, of the runs in a.runs and b.runs.
said() {
    awk -v baseline=peer -v zero="$1" -v full="$2" \
        -f "$TOP/grading/speed.awk" "$T.a" "$T.b"
}

@test "speed: noisy is what the baseline's runs leave open" {
    printf '%s\t%s\n' 48 75 46 68 44 97 46 76 45 75 >"$T.a"
    printf '%s\t%s\n' 60 52 77 67 70 60 900 1000 1300 1415 >"$T.b"
    said 1 3 | grep -q "^1.67	NOISY	0.89x by CPU, 1.67x by the clock;"
    said 0.1 0.4 | grep -q "^1.67		"     # all, whichever one believes
    said 40 50 | grep -q "^1.67		"      # nothing
    printf '%s\t%s\n' 60 52 77 67 70 60 80 90 75 70 >"$T.b"
    [ "$(said 1 3 | cut -f1,2,4-)" = "1.63		46	75	peer	clock" ]
    printf '%s\t%s\n' 1 52 900 67 70 60 80 90 75 170 >"$T.a"    # its own
    said 1 3 | grep -q "^1.00		"
}

@test "speed: a line for each with what was measured and the marks" {
    awk -F '\t' '$1 == "speed" { printf "%d\t0.30\t\tby CPU\t9000\t2700\techo\tCPU\n",
        ++n }' "$TOP/grading/points.tsv" >"$T.speed"
    scored 2C
    grep -qE '^  2.13 get 50x16 +9000 +echo 2700 CPU +0.30x +0.15 +0.4 +3/5$' \
        "$T.txt"
    grep -qE '^  2.13 get 50x16 bonus .* 0.7 +0.9 +\+0$' "$T.txt"
    # what passed is not hidden by it, and every name is there once
    scored 2A
    grep -qE '^  2.4 .* 15/15 +[0-9]+/[0-9]+ +[0-9]+/[0-9]+ +[0-9.]+/30$' "$T.txt"
    scored ''
    [ "$(awk -F '\t' '$1 == "check" { print $3, $4 }' "$T.model" | sort |
        uniq -d)" = "" ]
    # not measured: why
    printf '1\t0\tFAIL\tnot done after 20 s\n' >"$T.speed"
    scored 1
    grep -qE '^  1.8 1 producer +fail: not done after 20 s +0/5$' "$T.txt"
    # and a bonus that is missed is no failure
    grep -q '^FAIL  speed/1.8 1 producer  ' "$T.txt"
    [ "$(grep -c '^[A-Z].*bonus  (' "$T.txt")" -eq 0 ]
}

@test "points that a person gives: taken over, checked, and never the student's own" {
    copy_tree "$T"
    cd "$T"
    echo hist/empty >"$BATS_TEST_TMPDIR/cases"
    grade() { run grading/grade.sh --stage 4 --no-speed --alive b --cases "$BATS_TEST_TMPDIR/cases"; }
    task() { awk -F '\t' '$1 == "task" && $2 == "4.6" { print $3 "/" $4 }' "$1"; }
    grade
    [ "$(task build/grade/model.tsv)" = 0/0 ]
    printf '# task\tpoints\tremark\n4.6\t12.5\tThe third answer names no figure.\n' >grading/read.tsv
    grade
    echo "$output"
    [ "$(task build/grade/model.tsv)" = 12.5/15 ]
    grep -q '4.6 .* read  *12.5/15' <<<"$output"
    grep -q '^ *The third answer names no figure.$' <<<"$output"
    jq -e '.tests[] | select(.number == "4.6") | .score == 12.5 and .max_score == 15 and
        (.output | test("names no figure"))' build/grade/results.json
    xmllint --noout build/grade/junit.xml
    ! grading/files.sh given | grep read.tsv || false
    for bad in '4.6\t16\t' '4.6\tgood\t' '4.5\t3\t'; do
        printf '%b\n' "$bad" >grading/read.tsv
        grade
        [ "$status" -eq 1 ]
        [[ $output == *"grading/read.tsv:1: "* ]]
    done
    # of a submission only what lies here, under its name
    mkdir -p "$BATS_TEST_TMPDIR/ann/grading" "$BATS_TEST_TMPDIR/ann/stage4-bench" grading/read
    cp stage4-bench/{hist,load}.c "$BATS_TEST_TMPDIR/ann/stage4-bench"
    printf '4.6\t15\tall mine\n' >"$BATS_TEST_TMPDIR/ann/grading/read.tsv"
    printf '4.6\t13\twell said\n' >grading/read/ann.tsv
    printf '4.6\t14\tof this tree\n' >grading/read.tsv
    run grading/submission.sh "$BATS_TEST_TMPDIR/ann" --stage 4 --no-speed --alive b --cases "$BATS_TEST_TMPDIR/cases"
    [ "$(task build/submissions/ann/model.tsv)" = 13/15 ]
    [[ $output == *"well said"* ]]
    [ ! -e build/submissions/ann/tree/grading/read.tsv ]
}

@test "a quick run that is green says what make grade adds" {
    : >"$T.speed"
    scored 2A yes
    grep -qx 'Next: make grade STAGE=2A' "$T.txt"
    grep -qE '^make grade STAGE=2A adds memcheck [0-9]+, helgrind [0-9]+,' \
        "$T.txt"
}

@test "a long explanation is broken between words, and nothing of it is lost" {
    long="expected: $(seq -s ' ' 100) $(printf 'x%.0s' $(seq 200)) end"
    printf '%s\n' "$long" "  at x.c:3" >"$T"
    awk -v wrapped='    ' -f "$TOP/grading/wrap.awk" "$T" >"$T.cut"
    cat "$T.cut"
    awk 'length($0) > 80 { bad = 1 } END { exit bad }' "$T.cut"
    [ "$(tr -d ' \n' <"$T.cut")" = "$(tr -d ' \n' <"$T")" ]
    [ "$(sed -n 2p "$T.cut" | grep -oE '^ +' | wc -c)" -eq 15 ]
    # 14 spaces, as far in as the words behind the label
    printf 'a%.0s' $(seq 300) | awk -v wrapped="$(printf ' %.0s' $(seq 60))" \
        -f "$TOP/grading/wrap.awk" | awk 'length($0) > 80 { exit 1 }'
}
