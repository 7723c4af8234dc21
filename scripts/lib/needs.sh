# shellcheck shell=bash
# What building and testing need on this machine, installed where it is missing. Sourced by scripts/*.

# The oldest Rust that builds fleet: rust-version in Cargo.toml.
RUST_NEEDED=1.91

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# have_packages PACKAGE...: whether Debian's or Ubuntu's packages are installed.
have_packages() {
    # shellcheck disable=SC2016 # dpkg-query's own placeholders
    [ "$(dpkg-query -W -f='${db:Status-Abbrev}\n' "$@" 2>/dev/null | grep -c '^ii')" = $# ]
}

# need_packages PACKAGE...: installs those that are missing.
need_packages() {
    have_packages "$@" && return
    command -v apt-get >/dev/null || {
        echo "this machine has no apt-get; install the equivalents of: $*" >&2
        return 1
    }
    echo "installing: $*" >&2
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends \
        "$@" >/dev/null
}

# A C compiler, and OpenSSL's headers for libssh2; curl and jq for the demo and the tests; procps, because the engine's
# `docker top` runs ps on this machine; iproute2 for the network of a second engine in a test. (`script`, for terminals in
# tests, is in bsdutils, which every Debian has.)
need_build_tools() {
    need_packages build-essential ca-certificates curl iproute2 jq libssl-dev openssh-client pkg-config procps
}

# A registry of images, for the tests of `fleet up --pull`. Only its program: as a package it would start a service.
need_registry() {
    export FLEET_TEST_REGISTRY=$PWD/target/registry/usr/bin/docker-registry
    [ -x "$FLEET_TEST_REGISTRY" ] && return
    echo "fetching: docker-registry" >&2
    mkdir -p target/registry
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
    (cd target/registry && apt-get -qq download docker-registry && dpkg-deb -x docker-registry_*.deb . && rm docker-registry_*.deb)
}

# kubectl, for the tests of `fleet kubeconfig`: whichever one there is, else Debian's.
need_kubectl() {
    command -v kubectl >/dev/null || need_packages kubernetes-client
}

# tmux, for the tests of `fleet shell` with several hubs.
need_tmux() {
    command -v tmux >/dev/null || need_packages tmux
}

# The shells that completions are tried in, and what reads man pages.
need_readers() {
    need_packages fish groff zsh
}

rust_is_new_enough() {
    local version
    version=$(cargo --version 2>/dev/null | awk '{print $2}')
    [ -n "$version" ] && printf '%s\n' "$RUST_NEEDED" "$version" | sort -VC
}

# Rust, from rustup: what Debian and Ubuntu ship is older than what fleet's libraries ask for.
need_rust() {
    if [ -e "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
    rust_is_new_enough && return
    if ! command -v rustup >/dev/null && apt-cache show rustup >/dev/null 2>&1; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install rustup >/dev/null
    fi
    if command -v rustup >/dev/null; then
        rustup toolchain install stable --profile minimal --component clippy,rustfmt
        rustup default stable
    else
        curl --proto '=https' --tlsv1.2 --connect-timeout 20 --max-time 600 -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal --component clippy,rustfmt
        . "$HOME/.cargo/env"
    fi
    rust_is_new_enough || {
        echo "fleet needs Rust $RUST_NEEDED or newer; cargo here is: $(cargo --version 2>&1)" >&2
        return 1
    }
}
