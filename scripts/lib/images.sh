# shellcheck shell=bash
# The images. Each is tagged with a hash of all that goes into it, so that what is already there is not built again.
# Sourced. Wants lib/engine.sh.

# Where what came from. Only the operators' sandbox is something to be seen outside of the demo.
repository() { if [ "$1" = sandbox ]; then echo fleet/sandbox; else echo "fleet-world/$1"; fi; }

# hash NAME: of the image's folder, its build arguments, and the image it is made from
hash_of() {
  {
    (cd "$root/images/$1" && find . -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
    case $1 in
      master) hash_of kubernetes ;;
      sandbox) echo "${HELM_URL:-} ${HELM_SHA256:-}" ;;
    esac
  } | sha256sum | cut -c1-12
}

have() { docker image inspect "$@" > /dev/null 2>&1; }

# The official image where it can be had; the same put together from Debian's packages where not.
build_base() {
  if have debian:bookworm-slim; then return 0; fi
  say "base: pulling debian:bookworm-slim"
  if timeout 120 docker pull -q debian:bookworm-slim > "$state/log/base.log" 2>&1; then return 0; fi
  say "base: no registry can be reached; making it from Debian's packages"
  need mmdebstrap=mmdebstrap
  # The second name tells purge that it was made here.
  as_root timeout 600 "$root/images/base/build.sh" debian:bookworm-slim fleet-world/base:latest > "$state/log/base.log" 2>&1 || {
    tail -n 15 "$state/log/base.log" >&2
    fail "debian:bookworm-slim could be neither pulled nor made; all that was said is in $state/log/base.log"
  }
  say "base: made"
}

# build NAME [docker build's options]
build() {
  local name=$1 image began=$SECONDS log=$state/log/$1.log context
  shift
  image=$(repository "$name")
  if have "$image:$tag_suffix"; then return 0; fi
  say "$name: building"
  context=$(mktemp -d "$state/context.XXXXXX")
  cp -a "$root/images/$name/." "$context/"
  # For networks whose HTTPS is not signed by the public authorities; the Dockerfiles do without where it is missing.
  if [ "$name" = cloud ] && [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp -L /etc/ssl/certs/ca-certificates.crt "$context/"
  fi
  local each args=()
  for each in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!each:-}" ] || args+=(--build-arg "$each")
  done
  if ! timeout 1800 docker build --force-rm "${args[@]}" "$@" -t "$image:$tag_suffix" -t "$image:latest" "$context" \
    > "$log" 2>&1; then
    rm -rf "$context"
    tail -n 25 "$log" >&2
    fail "image $name could not be built; all that was said is in $log"
  fi
  rm -rf "$context"
  say "$name: built in $((SECONDS - began)) s"
}

build_named() {
  local tag_suffix kubernetes
  tag_suffix=$(hash_of "$1")
  case $1 in
    master) kubernetes=$(hash_of kubernetes) && build master --build-arg "KUBERNETES=fleet-world/kubernetes:$kubernetes" ;;
    sandbox) build sandbox --build-arg "HELM_URL=${HELM_URL:-}" --build-arg "HELM_SHA256=${HELM_SHA256:-}" ;;
    *) build "$1" ;;
  esac
}

# Everything that is missing. The compilation of Kubernetes keeps the cores busy, the others mostly wait for the network
# and the disk, so they go on side by side.
build_images() {
  local name missing=() all=(kubernetes master cloud sandbox) tags=()
  for name in "${all[@]}"; do tags+=("$(repository "$name"):$(hash_of "$name")"); done
  if have "${tags[@]}"; then
    for name in "${all[@]}"; do # a change that was taken back: the tag `latest` is still on the other one
      local tag
      tag=$(repository "$name"):$(hash_of "$name")
      docker tag "$tag" "${tag%:*}:latest"
    done
    return 0
  fi
  mkdir -p "$state/log"
  build_base
  build_named kubernetes & local long=$!
  local result=0
  { build_named sandbox && build_named cloud; } || result=1
  wait "$long" || result=1
  [ "$result" = 0 ] && build_named master || result=1
  # The stage that compiled; its layers are of no use once the image is there.
  docker image prune -f --filter label=fleet-world-stage > /dev/null 2>&1 || true
  return "$result"
}

purge_images() {
  local ids base
  base=$(docker image inspect -f '{{.Id}}' fleet-world/base:latest 2> /dev/null) || base=
  mapfile -t ids < <(docker images --format '{{.Repository}}:{{.Tag}}' | grep -E '^(fleet-world/|fleet/sandbox:)' | grep -v '^fleet-world/base:')
  [ ${#ids[@]} -eq 0 ] || docker rmi "${ids[@]}" > /dev/null || say "images that are in use stay"
  docker image prune -f --filter label=fleet-world-stage > /dev/null
  if [ -n "$base" ]; then
    if [ "$(docker image inspect -f '{{.Id}}' debian:bookworm-slim 2> /dev/null)" = "$base" ]; then
      docker rmi debian:bookworm-slim > /dev/null
    fi
    docker rmi fleet-world/base:latest > /dev/null
  fi
}
