# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the lists are used by who sources this
# Which Debian packages are needed, and getting the missing ones. Sourced.
#
# package:command stands for a package that only brings a command: where the
# command is there already, whoever it came from, nothing is installed (Debian's
# npm refuses to stand beside another nodejs).

BUILD_PACKAGES=(
    build-essential cmake:cmake ninja-build:ninja pkg-config:pkg-config
    libuv1-dev libcurl4-openssl-dev libssl-dev libxml2-dev libzstd-dev
    libxxhash-dev libsqlite3-dev libjansson-dev libcyaml-dev libyaml-dev
    libmicrohttpd-dev libcmocka-dev
)
DEMO_PACKAGES=(
    python3:python3 e2fsprogs:mke2fs openssl:openssl curl:curl
)
BENCH_PACKAGES=(python3:python3 openssl:openssl e2fsprogs:mke2fs)
TEST_PACKAGES=(
    "${DEMO_PACKAGES[@]}" python3-boto3 python3-cryptography
    python3-yaml sqlite3:sqlite3 zstd:zstd nodejs:node npm:npm
    ceph-mon:ceph-mon ceph-osd:ceph-osd radosgw:radosgw ceph-common:ceph
    swift-proxy swift-account swift-container swift-object memcached:memcached
    libs3-2:s3 xva-img:xva-img qemu-utils:qemu-img xfsprogs:mkfs.xfs
    ntfs-3g:mkntfs ntfs-3g-dev
)
LINT_PACKAGES=(
    clang:clang clang-tidy:clang-tidy libclang-rt-14-dev cppcheck:cppcheck
)

packages_missing()
{
    local entry package

    for entry in "$@"; do
        package=${entry%%:*}
        if [ "$package" != "$entry" ] &&
            command -v "${entry#*:}" >/dev/null; then
            continue
        fi
        # shellcheck disable=SC2016 # dpkg's variables, not the shell's
        dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null |
            grep -q '^.i' || echo "$package"
    done
}

# apt_get COMMAND...: as root or through sudo; its talk goes to stderr.
apt_get()
{
    local as_root=()

    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" >&2
}

apt_install()
{
    apt_get install -y --no-install-recommends "$@"
}

# Whether apt's lists know all of these.
apt_knows()
{
    local package

    for package in "$@"; do
        apt-cache show "$package" >/dev/null 2>&1 || return 1
    done
}

need_packages()
{
    local missing how='as root'

    if ! command -v dpkg-query >/dev/null; then
        say "no Debian here: the packages are taken to be there"
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@" | sort -u)
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        how='through sudo'
        if ! command -v sudo >/dev/null; then
            say "not root, and no sudo here. Missing: ${missing[*]}"
            exit 1
        fi
    fi
    say "installing from Debian $how: ${missing[*]}"
    apt_knows "${missing[@]}" || apt_get update
    if ! apt_install "${missing[@]}"; then
        say "once more with fresh lists"
        apt_get update
        apt_install "${missing[@]}"
    fi
}

# The npm packages that tests/interop pins, without their install scripts.
need_npm()
{
    local home=tests/interop

    [ -f $home/package-lock.json ] || return 0
    if ! cmp -s $home/package-lock.json $home/node_modules/.cairn-lock; then
        say "installing from npm: what $home/package-lock.json pins"
        npm ci --prefix $home --ignore-scripts --no-audit --no-fund >&2
        cp $home/package-lock.json $home/node_modules/.cairn-lock
    fi
}
