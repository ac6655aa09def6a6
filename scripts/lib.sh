# What the scripts share: packages and builds. Sourced by bash scripts, with ROOT set.
#
#   need_packages PACKAGE...   installs those that are missing, with apt, as root or through sudo
#   build NAME [OPTION...]     configures build/NAME with cmake and builds it
#
# On Debian 12 libraft-dev comes from the backports suite (docs/decisions/raft.md); its source is
# made from the machine's own apt configuration. Debian 13 and Ubuntu have a new enough one.

# g++ for libsnappy's C++ library, make for the parallel half of link-time optimization.
BUILD_PACKAGES=(
    gcc g++ libc6-dev make cmake ninja-build pkg-config python3 libuv1-dev liburing-dev libraft-dev
    libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev libisal-dev libxxhash-dev
    libmicrohttpd-dev libssl-dev libcmocka-dev librdkafka-dev
)
RUN_PACKAGES=(kcat)
TEST_PACKAGES=(
    kcat python3-kafka python3-lz4 python3-snappy python3-zstandard strace dpkg-dev file e2fsprogs
    mount
)

RAFT_MIN=0.22.1

say() {
    printf '==> %s\n' "$*"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "run this as root, or install sudo: packages are missing"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@"
}

# Those of the packages that are not installed.
missing_packages() {
    local installed
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
        sed -n 's/ installed$//p') || true
    printf '%s\n' "$@" | grep -vxF "$installed" || true
}

raft_installed() {
    dpkg-query -W -f '${Version}' libraft-dev
}

# What apt would install by itself.
raft_candidate() {
    LC_ALL=C apt-cache policy libraft-dev | sed -n 's/^  Candidate: *//p'
}

is_new_enough() {
    [ -n "$1" ] && [ "$1" != "(none)" ] && dpkg --compare-versions "$1" ge "$RAFT_MIN"
}

# Where apt has the release $1 from.
release_uri() {
    LC_ALL=C apt-cache policy base-files |
        awk -v suite="$1/main" '$3 == suite { sub(/\/$/, "", $2); print $2; exit }'
}

# Prints this machine's apt source of the release $1 as one of the suite $1-backports, of the
# "deb822" form or the one-line form.
backports_source() {
    local release=$1 uri file form
    uri=$(release_uri "$release")
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{sources,list}; do
        [ -e "$file" ] || continue
        form=${file##*.}
        awk -v release="$release" -v uri="$uri" -f "$ROOT/scripts/backports-$form.awk" "$file" &&
            return 0
    done
    return 1
}

os_release() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "${!1:-}")
}

add_backports() {
    local release=$1 source kind=list
    source=$(backports_source "$release") ||
        die "apt has no source for $release: add $release-backports, for libraft-dev $RAFT_MIN"
    case $source in Types:*) kind=sources ;; esac
    say "adding $release-backports: /etc/apt/sources.list.d/chronikd-backports.$kind"
    printf '%s\n' "$source" |
        as_root tee "/etc/apt/sources.list.d/chronikd-backports.$kind" >/dev/null
    apt_get update
}

# The newest version of libraft-dev that apt knows, of whatever suite.
raft_offered() {
    LC_ALL=C apt-cache madison libraft-dev | awk '{ print $3 }' | sort -rV | head -n 1
}

install_raft() {
    local release suite=()
    release=$(os_release VERSION_CODENAME)
    if ! is_new_enough "$(raft_candidate)" && [ "$(os_release ID)" = debian ]; then
        is_new_enough "$(raft_offered)" || add_backports "$release"
        suite=(-t "$release-backports")
    fi
    is_new_enough "$(raft_offered)" ||
        die "apt offers libraft-dev $(raft_offered); chronikd needs $RAFT_MIN or later"
    apt_get install --no-install-recommends "${suite[@]}" libraft-dev
}

need_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        say "no dpkg here: taking it that these are installed: $*"
        return
    fi
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} = 0 ] && ! is_new_enough "$(raft_installed)"; then
        missing=(libraft-dev)
    fi
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    apt_get update
    case " ${missing[*]} " in *" libraft-dev "*) install_raft ;; esac
    apt_get install --no-install-recommends "${missing[@]}"
}

# Half a gigabyte of memory per compiler at least.
build_jobs() {
    local cpus memory_kb
    cpus=$(nproc)
    memory_kb=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)
    local fitting=$((memory_kb / 524288))
    [ "$fitting" -ge 1 ] || fitting=1
    echo $((cpus < fitting ? cpus : fitting))
}

build() {
    local name=$1 log=$ROOT/build/$1.log quiet=()
    shift
    mkdir -p "$ROOT/build"
    say "building build/$name"
    [ -t 1 ] || quiet=(-- --quiet)
    cmake -S "$ROOT" -B "$ROOT/build/$name" -G Ninja "$@" >"$log" 2>&1 ||
        { cat "$log"; die "cmake failed"; }
    cmake --build "$ROOT/build/$name" -j "$(build_jobs)" "${quiet[@]}"
}
