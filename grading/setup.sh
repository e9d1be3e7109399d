#!/bin/sh
# setup.sh -- install what the lab needs, on Debian 12 or later (or Ubuntu).
#
#   sh grading/setup.sh [--all]      --all: the extras too (peers, chromium, Slurm, ...)
#
#   --list, --dry-run    print the names of the packages; say what would be done
#   --user               without root: unpack below your home directory
#                        (chromium and Slurm are left out)
#   --save DIR           only download, with every dependency, into DIR
#   --offline DIR        install from DIR, without network (also with --user)
#
# Does nothing when everything is there. Asks nothing. No service is started.
# shellcheck disable=SC1091,SC2086,SC2016 # lists of words; code for others to expand
set -eu

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# gcc brings the sanitizers' runtimes (libgcc-N-dev). The base system's mawk
# will do: our scripts use no {n} in patterns, and %.0f for large numbers.
BASE='gcc libc6-dev make binutils valgrind libc6-dbg elfutils shellcheck
bats bats-support bats-assert jq libxml2-utils libglib2.0-dev libxxhash-dev
liblmdb-dev pkg-config gnuplot-nox bubblewrap util-linux patch procps git
ca-certificates'
EXTRAS='libfiu-dev fiu-utils strace clang libclang-rt-dev
libleveldb-dev libsqlite3-dev redis-server redis-tools libhiredis-dev python3-redis memcached
parallel similarity-tester chromium slurm-wlm'
NEED_ROOT='chromium slurm-wlm'
SERVICES='redis-server memcached munge slurmctld slurmd sysstat'

check_system() {
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    case "${ID:-} ${VERSION_ID:-}" in 'debian '[1-9] | 'debian 1'[01]) ID=old ID_LIKE= ;; esac
    case " ${ID:-} ${ID_LIKE:-} " in
    *' debian '* | *' ubuntu '*) command -v apt-get > /dev/null && return ;;
    esac
    cat >&2 <<'END'
setup: this is not Debian 12 or later, so nothing is installed here. Needed:
  gcc 10 (with -fsanitize=thread and address), make 4.2, binutils, pkg-config,
  valgrind 3.19 with the C library's debug symbols, eu-stack (elfutils), jq,
  bats 1.5 with bats-support and bats-assert, xmllint, shellcheck 0.8, bwrap 0.8,
  headers of GLib 2.66 and xxHash 0.8, gnuplot 5, git, util-linux, ps, bash 5, awk.
Or use the container in .devcontainer/.
END
    exit 1
}

installed() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p'
}

# without WORDS LIST: the words that are not in the list.
without() {
    list=" $(printf '%s' "$2" | tr '\n' ' ') "
    for word in $1; do
        case $list in *" $word "*) ;; *) printf '%s ' "$word" ;; esac
    done
}

# apt-get with the settings of this run, kept in a file: no quoting to get wrong.
setting() { printf '%s "%s";\n' "$1" "$2" >> "$WORK/apt.conf"; }
apt_get() {
    $SUDO env APT_CONFIG="$WORK/apt.conf" DEBIAN_FRONTEND=noninteractive LC_ALL=C \
        apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# What of WANT apt knows no version of.
unknown() {
    without "$WANT" "$(APT_CONFIG=$WORK/apt.conf LC_ALL=C apt-cache policy $WANT |
        awk '/^[^ ]*:$/ { name = substr($1, 1, length($1) - 1) }
             /^  Candidate: [^(]/ { print name }')"
}

# Package lists: the system's, or our own where those cannot be written.
update() {
    [ "$MODE" = root ] || [ "$OFFLINE" ] || setting Dir::State::lists "$WORK/lists"
    apt_get update || say "apt-get update met errors; going on with what it got"
}

# Make the .deb files in a folder the only source of packages.
use_folder() {
    mkdir "$WORK/repo"
    for deb in "$OFFLINE"/*.deb; do
        [ -e "$deb" ] || die "no .deb files in $OFFLINE"
        ln -s "$deb" "$WORK/repo/"
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" \
            "$(($(wc -c < "$deb")))" "$(sha256sum < "$deb" | cut -d' ' -f1)"
    done > "$WORK/repo/Packages"
    echo "deb [trusted=yes] copy:$WORK/repo ./" > "$WORK/sources.list"
    setting Dir::Etc::sourcelist "$WORK/sources.list"
    setting Dir::Etc::sourceparts "$WORK/none"
    setting Dir::State::lists "$WORK/lists"
    setting APT::Sandbox::User root
    update > /dev/null
}

# Drop from WANT the extras that cannot be had; stop for anything else.
check_known() {
    lost=$(unknown)
    if [ "$lost" ] && [ -z "$OFFLINE" ]; then update && lost=$(unknown); fi
    [ "$lost" ] || return 0
    [ -z "$(without "$lost" "$EXTRAS")" ] || die "no such package in ${OFFLINE:-the sources of apt}: $lost"
    say "not to be had here, left out: $lost"
    WANT=$(without "$WANT" "$lost")
}

# Install WANT; once more with new lists, for these may be stale.
install() {
    set -- install -y --no-remove --no-install-recommends "$@" $WANT
    apt_get "$@" && return
    [ -z "$OFFLINE" ] || die "apt-get failed: are the files in $OFFLINE for this system?"
    update
    apt_get "$@" || die "apt-get failed, see above"
}

# While policy-rc.d says 101, packages start no services. Ours knows its own
# mark, so that one left behind by a power cut does not stay for ever.
root_mode() {
    check_known
    before=$(installed) policy=/usr/sbin/policy-rc.d mark='# by setup.sh of the lab'
    if [ ! -e $policy ] || grep -qxF "$mark" $policy; then
        HELD=$policy
        printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | $SUDO tee $policy > /dev/null
        $SUDO chmod 755 $policy
    fi
    install
    for service in $(without "$SERVICES" "$before"); do # nor at the next boot
        [ ! -e "/etc/init.d/$service" ] || $SUDO update-rc.d "$service" disable || :
    done
    say "done. Next: make doctor"
}

download() {
    setting Dir::Cache "$WORK/cache"
    setting Debug::NoLocking true
    check_known
    install --download-only
}

save_mode() {
    : > "$WORK/status" # as if nothing were installed: every dependency
    setting Dir::State::status "$WORK/status"
    download
    mkdir -p "$SAVE"
    for deb in "$WORK"/cache/archives/*.deb; do
        mv "$deb" "$SAVE/$(basename "$deb" | sed 's/%3a/./')" # a URI would read %3a as a colon
    done
    say "$(du -sh "$SAVE" | cut -f1) in $SAVE; then there: sh grading/setup.sh --offline DIR"
}

# Unpack what was downloaded and the system lacks; make it find itself there.
user_mode() {
    # valgrind needs the debug symbols of just the C library that runs here
    dpkg-query -W -f 'Package: libc6-dbg libc6-dev libc-dev-bin\nPin: version ${Version}\nPin-Priority: 1001\n' \
        libc6 > "$WORK/preferences"
    setting Dir::Etc::preferences "$WORK/preferences"
    download
    lib=usr/lib/$(uname -m)-linux-gnu have=$(installed)
    mkdir -p "$ROOT/usr/bin" "$ROOT/usr/sbin" "$ROOT/usr/lib64" "$ROOT/$lib" "$LAB/bin"
    for dir in bin sbin lib lib64; do ln -sfn usr/$dir "$ROOT/$dir"; done
    for deb in "$WORK"/cache/archives/*.deb; do
        name=$(dpkg-deb -f "$deb" Package)
        [ "$(without "$name" "$have")" ] || continue # never a second C library
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$ROOT" --keep-directory-symlink
        echo "$name" >> "$LAB/packages"
    done
    find "$ROOT" -xtype l | while read -r link; do # the target may be the system's, or ours
        target=$(readlink "$link")
        case $target in /*) target=$ROOT$target ;; *) target=${link%/*}/$target target=${target#"$ROOT"} ;; esac
        [ ! -e "$target" ] || ln -sfn "$target" "$link"
    done
    find "$ROOT/$lib/pkgconfig" "$ROOT/usr/share/pkgconfig" -name '*.pc' \
        -exec sed -i "s#=/usr#=$ROOT/usr#" {} + 2> /dev/null || :
    [ ! -e "$ROOT/$lib/libc.so" ] || sed -i "s# /usr/lib/# $ROOT/usr/lib/#" "$ROOT/$lib/libc.so"
    if [ -e "$ROOT/usr/bin/valgrind.bin" ]; then
        mkdir -p "$LAB/debug/$lib" # where valgrind looks by the names in .gnu_debuglink
        ln -sf "$ROOT"/usr/lib/debug/.build-id/*/*.debug "$LAB/debug/$lib/"
        printf '#!/bin/sh\nexec "%s" --extra-debuginfo-path="%s" "$@"\n' \
            "$ROOT/usr/bin/valgrind.bin" "$LAB/debug" > "$LAB/bin/valgrind"
        chmod 755 "$LAB/bin/valgrind"
    fi
    environment
    say "done. make reads $LAB/env.mk; in a shell: . $LAB/env.sh"
}

# path NAME DIR...: put those that exist before what the variable holds.
path() {
    name=$1 value='' && shift
    for dir; do [ ! -e "$dir" ] || value=$value:$dir; done
    [ -z "$value" ] || printf 'export %s := %s$(if $(%s),:$(%s))\n' \
        "$name" "${value#:}" "$name" "$name" >> "$LAB/env.mk"
}

# Read by the Makefile; once only, for a make started by make inherits it all.
environment() {
    printf 'ifndef PARALLELISM_LAB\nexport PARALLELISM_LAB := %s\n' "$LAB" > "$LAB/env.mk"
    path PATH "$LAB/bin" "$ROOT/usr/bin" "$ROOT/usr/sbin"
    for name in LD_LIBRARY_PATH LD_RUN_PATH LIBRARY_PATH; do path $name "$ROOT/$lib"; done
    path C_INCLUDE_PATH "$ROOT/usr/include" "$ROOT/usr/include/${lib##*/}"
    path PKG_CONFIG_PATH "$ROOT/$lib/pkgconfig" "$ROOT/usr/share/pkgconfig"
    path BATS_LIB_PATH "$ROOT/usr/lib/bats" /usr/lib/bats
    [ ! -e "$LAB/bin/valgrind" ] || echo "export VALGRIND_LIB := $ROOT/usr/libexec/valgrind" >> "$LAB/env.mk"
    [ ! -e "$ROOT/usr/bin/git" ] || echo "export GIT_EXEC_PATH := $ROOT/usr/lib/git-core" >> "$LAB/env.mk"
    path PERL5LIB "$ROOT/usr/share/perl5" "$ROOT"/usr/share/perl/5.?? "$ROOT/$lib"/perl/5.??
    sed -n 's/^export \(.*\) := \(.*\)\$(if.*/export \1="\2${\1:+:$\1}"/p; t
        s/^export \(.*\) := \(.*\)/export \1="\2"/p' "$LAB/env.mk" > "$LAB/env.sh"
    echo endif >> "$LAB/env.mk"
}

LAB=${XDG_DATA_HOME:-${HOME:-/root}/.local/share}/parallelism-lab
ROOT=$LAB/root
MODE=root WHAT=install ALL='' LIST='' DRY='' SAVE='' OFFLINE=''
while [ $# -gt 0 ]; do
    case $1 in
    --all) ALL=yes ;;
    --list) LIST=yes ;;
    --dry-run) DRY=yes ;;
    --user) MODE=user WHAT="unpack below $ROOT" ;;
    --save) MODE=save SAVE=${2:?needs a folder} WHAT="download into $2" && shift ;;
    --offline) OFFLINE=$(cd "${2:?needs a folder}" && pwd) && shift ;;
    *) sed -n '2,/^# shellcheck/{/shellcheck/!s/^# \{0,1\}//p}' "$0" && [ "$1" = --help ]; exit ;;
    esac
    shift
done
WANT="$BASE ${ALL:+$EXTRAS}"
if [ "$LIST" ]; then printf '%s\n' $WANT; exit; fi
check_system
case $MODE in
root) WANT=$(without "$WANT" "$(installed)") ;;
user) WANT=$(without "$WANT" "$(installed) $NEED_ROOT $(cat "$LAB/packages" 2> /dev/null || :)") ;;
esac
if [ -z "$WANT" ]; then say "everything is there"; exit; fi
say "to $WHAT: $WANT"
[ -z "$DRY" ] || exit 0

SUDO=''
if [ "$MODE" = root ] && [ "$(id -u)" != 0 ]; then
    SUDO='sudo -n' # asks for no password, unless somebody is there
    [ ! -t 0 ] || SUDO=sudo
    $SUDO true 2> /dev/null || die "this needs root. Without it: sh grading/setup.sh --user"
fi
WORK=$(mktemp -d) HELD=''
trap '$SUDO rm -rf "$WORK" $HELD' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$WORK" && : > "$WORK/apt.conf"
mkdir -p "$WORK/cache/archives/partial" "$WORK/lists/partial"
[ -z "$OFFLINE" ] || use_folder
"${MODE}_mode"
