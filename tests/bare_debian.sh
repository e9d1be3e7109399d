#!/usr/bin/env bash
# bare_debian.sh -- run a command in a Debian 12 that has next to nothing in it.
#
#   tests/bare_debian.sh [options] DIR root|user|plain 'COMMAND'
#
# as root    root, no sudo in the system
#    user    an ordinary user with passwordless sudo
#    plain   an ordinary user, no sudo in the system
#
# --with LIST     packages (with commas) installed before COMMAND starts
# --worktree      copy the files as they are now, not a clone of the last commit
# --again         keep DIR as the last run left it, copy no tree
#
# The system is made by debootstrap --variant=minbase with git and
# ca-certificates, kept in DIR.tar and unpacked anew into DIR for every run.
# The tree is in ~/lab there. Exit status: that of COMMAND.
#
# SUITE (bookworm) and MIRROR (what this machine's apt uses) may be set.
# Needs root. All mounts live in a mount namespace of this run, so they are
# gone when it ends, whichever way it ends.
set -euo pipefail

say() { printf 'bare_debian: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2; }

# The first source of this machine's apt that has the suite.
mirror() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v suite="$SUITE" '$2 == suite { print $1; exit }'
}

# What apt needs to reach its sources from in there.
copy_apt_configuration() {
    local file
    if [ "$MIRROR" = "$(mirror)" ]; then
        rm -f "$DIR/etc/apt/sources.list"
        cp -a /etc/apt/sources.list /etc/apt/sources.list.d "$DIR/etc/apt/" 2>/dev/null || :
    else
        printf 'deb %s %s main\n' "$MIRROR" "$SUITE" > "$DIR/etc/apt/sources.list"
    fi
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        # not the hooks: they name programs that are not in there
        if [ -f "$file" ] && ! grep -qE 'Invoke|Pre-Install' "$file"; then
            cp "$file" "$DIR/etc/apt/apt.conf.d/"
        fi
    done
    cp -an /etc/apt/keyrings /etc/apt/trusted.gpg.d "$DIR/etc/apt/" 2>/dev/null || :
    cp -an /usr/share/keyrings "$DIR/usr/share/" 2>/dev/null || :
    for file in /etc/resolv.conf /etc/hosts; do
        cp -L --remove-destination "$file" "$DIR$file"
    done
}

bootstrap() {
    say "debootstrap $SUITE from $MIRROR"
    local log=$DIR.log
    debootstrap --variant=minbase --include=git,ca-certificates \
        "$SUITE" "$DIR" "$MIRROR" > "$log" 2>&1 ||
        { tail -5 "$log" >&2; die "debootstrap failed, see $log"; }
    rm -f "$log"
    # like the image of a container: no package lists, no downloaded files
    rm -rf "$DIR"/var/cache/apt/archives/*.deb "$DIR"/var/lib/apt/lists/*
    touch "$DIR/$MARK"
    tar -C "$DIR" -cf "$DIR.tar.part" .
    mv "$DIR.tar.part" "$DIR.tar"
}

fresh_system() {
    if [ -e "$DIR" ]; then
        [ -e "$DIR/$MARK" ] || [ -z "$(ls -A "$DIR")" ] ||
            die "$DIR is in use and was not made by me"
        rm -rf --one-file-system "$DIR"
    fi
    mkdir -p "$DIR"
    if [ -f "$DIR.tar" ]; then
        tar -C "$DIR" -xpf "$DIR.tar"
    else
        bootstrap
    fi
    copy_apt_configuration
}

# A small /dev; /proc of this run's own processes; /sys as it is.
mount_all() {
    local node
    mount --bind "$DIR" "$DIR"
    mount -t tmpfs -o mode=755 tmpfs "$DIR/dev"
    for node in null zero full random urandom tty; do
        touch "$DIR/dev/$node"
        mount --bind "/dev/$node" "$DIR/dev/$node"
    done
    mkdir "$DIR/dev/pts" "$DIR/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$DIR/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$DIR/dev/shm"
    ln -s pts/ptmx "$DIR/dev/ptmx"
    ln -s /proc/self/fd "$DIR/dev/fd"
    ln -s fd/0 "$DIR/dev/stdin"
    ln -s fd/1 "$DIR/dev/stdout"
    ln -s fd/2 "$DIR/dev/stderr"
    mount -t proc proc "$DIR/proc"
    mount --rbind /sys "$DIR/sys"
}

# environment USER: a clean one, but for the proxies of this machine.
environment() {
    local who=$1 home=/root variable
    [ "$who" = root ] || home=/home/$who
    set=(HOME="$home" USER="$who" LOGNAME="$who" SHELL=/bin/bash
        PATH=/usr/local/bin:/usr/bin:/bin TERM="${TERM:-dumb}" LANG=C.UTF-8)
    [ "$who" = root ] && set+=(PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin)
    for variable in http_proxy https_proxy no_proxy; do
        [ -z "${!variable:-}" ] || set+=("$variable=${!variable}")
    done
}

# inside USER COMMAND...
inside() {
    local -a set
    environment "$1"
    chroot "$DIR" runuser -u "$1" -- env -i "${set[@]}" "${@:2}"
}

# The same for good: the system becomes the root of this mount namespace. In a
# mere chroot the kernel allows no user namespaces, and so no bwrap.
go_inside() {
    local -a set
    environment "$1"
    cd "$DIR"
    mkdir -p mnt/host
    pivot_root . mnt/host
    # shellcheck disable=SC2016
    exec chroot . /bin/bash -c 'umount -l /mnt/host && exec runuser -u "$0" -- env -i "$@"' \
        "$1" "${set[@]}" "${@:2}"
}

install_packages() {
    say "installing $*"
    inside root sh -c 'apt-get -qq update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "$@" > /dev/null 2>&1 &&
        rm -rf /var/lib/apt/lists/* && apt-get clean' sh "$@" || die "could not install $*"
}

make_user() {
    inside root useradd -m -s /bin/bash student
    if [ "$WHO" = user ]; then
        install_packages sudo
        echo 'student ALL=(ALL) NOPASSWD: ALL' > "$DIR/etc/sudoers.d/student"
        chmod 440 "$DIR/etc/sudoers.d/student"
    fi
}

copy_tree() {
    local lab=$1
    if [ "$WORKTREE" ]; then
        mkdir -p "$lab"
        tar -C "$TREE" --exclude=./build --exclude=./.git -cf - . | tar -C "$lab" -xf -
    else
        git clone -q --no-hardlinks "$TREE" "$lab"
    fi
    chown -R --reference="$lab/.." "$lab"
}

# Second half, in namespaces of its own.
run() {
    local account=student home packages
    [ "$WHO" != root ] || account=root
    home=/home/$account
    [ "$WHO" != root ] || home=/root
    [ "$AGAIN" ] || fresh_system
    mount_all
    if [ -z "$AGAIN" ]; then
        [ "$WHO" = root ] || make_user
        IFS=, read -ra packages <<< "$WITH"
        [ -z "$WITH" ] || install_packages "${packages[@]}"
        copy_tree "$DIR$home/lab"
    fi
    go_inside "$account" /bin/bash -c "cd ~/lab || exit
$COMMAND"
}

MARK=.made-by-bare_debian
SUITE=${SUITE:-bookworm}
TREE=$(cd "$(dirname "$0")/.." && pwd)

if [ "${1:-}" = --inside ]; then
    run # with the variables that the first half exported
    exit
fi

WITH='' WORKTREE='' AGAIN=''
while [ $# -gt 0 ]; do
    case $1 in
    --with) WITH=${2:?}; shift ;;
    --worktree) WORKTREE=1 ;;
    --again) AGAIN=1 ;;
    -*) usage ;;
    *) break ;;
    esac
    shift
done
[ $# -eq 3 ] || usage
DIR=$1 WHO=$2 COMMAND=$3
case $WHO in root | user | plain) ;; *) usage ;; esac
[ "$(id -u)" = 0 ] || die "needs root"
for tool in debootstrap unshare chroot; do
    command -v "$tool" > /dev/null || die "needs $tool"
done
case $DIR in /*) ;; *) DIR=$PWD/$DIR ;; esac
[ -z "$AGAIN" ] || [ -e "$DIR/$MARK" ] || die "--again: nothing in $DIR"
MIRROR=${MIRROR:-$(mirror)}
[ "$MIRROR" ] || die "no source with $SUITE in this machine's apt: set MIRROR"
export DIR WHO COMMAND MIRROR SUITE WITH WORKTREE AGAIN
# setpriv: when this shell is killed, all of it goes with it
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child bash "$0" --inside
