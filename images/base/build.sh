#!/usr/bin/env bash
# Makes the image debian:bookworm-slim on a machine that cannot pull it.
#
#   images/base/build.sh IMAGE...      (every IMAGE names the same result)
#
# The official image is itself nothing but Debian's packages with the documentation left out, so the same thing is put
# together here from the mirrors that this machine already installs from. No mirror is named in this file: apt is asked
# which ones it is set up with, whatever the form of its configuration. The Dockerfiles beside this folder say
# `FROM debian:bookworm-slim` and do not know the difference.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: $0 IMAGE..." >&2; exit 2; }
fail() { echo "images/base: $*" >&2; exit 1; }

command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
[ "$(id -u)" = 0 ] || fail "only root can make the root file system"

# apt knows a mirror's origin once its index has been fetched; a fresh machine may not have done that yet.
sources() { apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
  awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label && $3 == "main" && $4 ~ /^https?:/ { print $4; exit }'; }
main=$(sources Debian)
[ -n "$main" ] || { apt-get update -qq; main=$(sources Debian); }
security=$(sources Debian-Security)
[ -n "$main" ] || fail "this machine installs from no Debian mirror, so debian:bookworm-slim cannot be made here.
On Ubuntu and elsewhere the machine must be able to pull it: check 'docker pull debian:bookworm-slim'."
[ -n "$security" ] || echo "images/base: no security mirror is set up on this machine; the image goes without" >&2

work=$(mktemp -d /var/tmp/fleet-base.XXXXXX)
trap 'rm -rf "$work"' EXIT
root=$work/root extra=$work/extra
mkdir -p "$extra"/etc/dpkg/dpkg.cfg.d "$extra"/etc/apt/apt.conf.d "$extra"/etc/apt/sources.list.d "$extra"/usr/sbin

# What makes the image slim, now and for every package that a Dockerfile installs later.
cat > "$extra/etc/dpkg/dpkg.cfg.d/docker" <<'X'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
force-unsafe-io
X
cat > "$extra/etc/apt/apt.conf.d/docker-clean" <<'X'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
X
# A package must not start its daemon while it is installed into an image.
printf '#!/bin/sh\nexit 101\n' > "$extra/usr/sbin/policy-rc.d"
chmod 755 "$extra/usr/sbin/policy-rc.d"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
stanza() { printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$1" "$2" "$keyring"; }
lines=("deb $main bookworm main" "deb $main bookworm-updates main")
stanza "$main" "bookworm bookworm-updates" > "$extra/etc/apt/sources.list.d/debian.sources"
if [ -n "$security" ]; then
  lines+=("deb $security bookworm-security main")
  stanza "$security" bookworm-security >> "$extra/etc/apt/sources.list.d/debian.sources"
fi

include=usr-is-merged,debian-archive-keyring,tzdata
case $main$security in *https:*) include+=,ca-certificates ;; esac
options=()
while read -r kind glob; do options+=("--dpkgopt=$kind=$glob"); done \
  < <(grep '^path-' "$extra/etc/dpkg/dpkg.cfg.d/docker")
# The hook makes /bin and /lib links before the first package arrives; without it apt takes in usrmerge and all of perl.
mmdebstrap --quiet --variant=apt --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="$include" \
  --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io "${options[@]}" bookworm "$root" "${lines[@]}"

rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap \
  "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old \
  "$root"/var/log/*.log "$root"/var/log/apt "$root"/etc/hostname "$root"/etc/resolv.conf
mkdir -p "$root"/var/lib/apt/lists/partial "$root"/var/cache/apt/archives/partial "$root"/var/log/apt
: > "$root/etc/machine-id"
cp -a "$extra/." "$root/"

id=$(tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' \
  --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -)
for image in "$@"; do docker tag "$id" "$image"; done
