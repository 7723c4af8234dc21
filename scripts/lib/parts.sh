# shellcheck shell=bash
# A world: its network, its containers and the files that describe it. Sourced. Wants lib/engine.sh and lib/images.sh.
#
# All that belongs to a world carries the label fleet-world=NAME, and only what carries it is ever stopped or removed.

lock() {
  mkdir -p "$state"
  chmod 700 "$state"
  exec 9> "$state/$1.lock"
  flock -w 600 9 || fail "another scripts/world has been at work on $1 for ten minutes"
}

worlds() {
  { docker ps -a --filter label=fleet-world --format '{{.Label "fleet-world"}}' && docker network ls \
    --filter label=fleet-world --format '{{.Label "fleet-world"}}' && find "$state" -mindepth 2 -maxdepth 2 \
    \( -name world.json -o -name id_ed25519 \) -printf '%h\n' 2> /dev/null | sed 's,.*/,,'; } | sort -u | grep . || true
}

containers() { docker ps -aq --no-trunc --filter "label=fleet-world=$1"; }

remove() {
  local ids each
  mapfile -t ids < <(containers "$1")
  [ ${#ids[@]} -eq 0 ] || docker rm -f -v "${ids[@]}" > /dev/null
  mapfile -t ids < <(docker network ls -q --no-trunc --filter "label=fleet-world=$1")
  for each in ${ids[@]+"${ids[@]}"}; do
    # Other containers may have joined it, a hub's sandbox say: those are somebody's, so they lose the network only.
    docker network inspect -f '{{range $id, $c := .Containers}}{{$id}} {{end}}' "$each" | xargs -n1 -r \
      docker network disconnect -f "$each"
    docker network rm "$each" > /dev/null
  done
  rm -rf "${state:?}/$1"
}

# The MTU of the interface that leads out: a network of containers takes 1500 for granted, and where the host has less,
# large packets get lost without a word.
outer_mtu() {
  local device
  device=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
  cat "/sys/class/net/${device:-lo}/mtu" 2> /dev/null || echo 1500
}

# A /24 that neither the engine nor the host's routes know. Prints its first three numbers.
make_network() {
  local n mtu
  mtu=$(outer_mtu)
  [ "$mtu" -le 1500 ] || mtu=1500
  for n in $(seq 0 255); do
    # In the kernel's table an address is written backwards: 10.213.n.0 is 00nnD50A.
    if grep -qi "$(printf '\t00%02XD50A\t' "$n")" /proc/net/route; then continue; fi
    if docker network create --label "fleet-world=$1" -o com.docker.network.driver.mtu="$mtu" --subnet "10.213.$n.0/24" \
      "fleet-world-$1" > /dev/null 2> "$state/$1/network.log"; then
      rm "$state/$1/network.log"
      echo "10.213.$n"
      return 0
    fi
    grep -q 'Pool overlaps' "$state/$1/network.log" || break
  done
  cat "$state/$1/network.log" >&2
  return 1
}

# openrc FILE PROJECT-OR-'' LINE...: as Horizon hands it out, for you alone
openrc() {
  local file=$1
  shift
  (umask 077 && {
    printf '#!/usr/bin/env bash\n\n'
    printf 'export %s\n' "$@"
  } > "$file")
}

answers_api() { [ "$(curl -sk -m 3 "https://$1:6443/readyz" 2> /dev/null)" = ok ]; }
answers_http() { curl -s -m 3 -o /dev/null "$1" 2> /dev/null; }

# Does all that world.json speaks of run and answer?
answers() {
  local file=$state/$1/world.json ip url
  [ -s "$file" ] || return 1
  for url in $(jq -r '.cloud | .auth_url, "http://\(.ip):8774/", "http://\(.ip):8776/"' "$file"); do
    answers_http "$url" || return 1
  done
  for ip in $(jq -r '.hubs[].ip' "$file"); do answers_api "$ip" || return 1; done
}

# Was it made for these hubs and so many users, and from the images as they are now described?
is_current() { # NAME HUBS USERS
  local file=$state/$1/world.json image used
  [ -s "$file" ] || return 1
  if [ "$(jq -r '[.hubs[] | "\(.name):\(.project)"] | join(" ")' "$file")" != "$(xargs <<< "$2")" ]; then
    say "world $1 has other hubs; making it anew"
    return 1
  fi
  if [ "$(jq -r .users "$file")" != "$3" ]; then
    say "world $1 has another number of users; making it anew"
    return 1
  fi
  for image in cloud master; do
    used=$(docker ps -a --filter "label=fleet-world=$1" --format '{{.Image}}' | grep -m1 "^fleet-world/$image:") || return 1
    if [ "$used" != "fleet-world/$image:$(hash_of "$image")" ]; then
      say "world $1 is of another image $image; making it anew"
      return 1
    fi
  done
}

# Brings a world back that is there but stopped, paused or cut off, after a reboot say. Fails if anything is missing.
revive() {
  local name=$1 file=$state/$1/world.json id ip
  [ -s "$file" ] || return 1
  if answers "$name"; then return 0; fi
  docker network inspect "fleet-world-$name" > /dev/null 2>&1 || return 1
  say "world $name does not answer; starting what stands still"
  while read -r id ip; do
    docker inspect "$id" > /dev/null 2>&1 || return 1
    if [ "$(docker inspect -f '{{.State.Paused}}' "$id")" = true ]; then docker unpause "$id" > /dev/null; fi
    if [ "$(docker inspect -f '{{len .NetworkSettings.Networks}}' "$id")" = 0 ]; then
      docker network connect --ip "$ip" "fleet-world-$name" "$id"
    fi
    docker start "$id" > /dev/null
  done < <(jq -r '.cloud, .hubs[] | "\(.container) \(.ip)"' "$file")
  local _
  for _ in $(seq 60); do
    if answers "$name"; then return 0; fi
    sleep 1
  done
  return 1
}

start_master() { # NAME HUB IP
  docker run -d --init --name "fleet-world-$1-$2" --hostname "$2-1" --network "fleet-world-$1" --ip "$3" \
    --label "fleet-world=$1" --label "fleet-world.hub=$2" --restart no -e AUTHORIZED_KEY="$(cat "$state/$1/id_ed25519.pub")" \
    "fleet-world/master:$(hash_of master)" > /dev/null
}

start_cloud() { # NAME IP
  docker run -d --init --name "fleet-world-$1-cloud" --hostname cloud --network "fleet-world-$1" --ip "$2" \
    --label "fleet-world=$1" --restart no -e PUBLIC_ADDRESS="$2" -v /var/lib/openstack \
    -v "$root/scripts/lib/seed:/usr/local/lib/seed:ro" -e PYTHONDONTWRITEBYTECODE=1 \
    "fleet-world/cloud:$(hash_of cloud)" > /dev/null
}

# What a failing world said last, then away with it: a half-made one is of no use to anybody.
give_up() {
  local id
  for id in $(containers "$1"); do
    echo "--- $(docker inspect -f '{{.Name}}: {{.State.Status}}' "$id")" >&2
    docker logs --tail 5 "$id" >&2 2>&1 || true
    docker exec "$id" bash -c 'tail -qn 4 /var/log/kubernetes/*.log /var/log/openstack/*.out 2> /dev/null' >&2 || true
  done
  remove "$1"
  fail "world $1 did not come up: $2"
}

wait_for_cloud() { # CONTAINER IP
  timeout 240 docker exec "$1" bash -c 'until [ -e /run/openstack/nova.ready ] && [ -e /run/openstack/cinder.ready ]; do
    sleep 0.2; done' || return 1
  local url
  for url in "http://$2:5000/v3" "http://$2:8774/" "http://$2:8776/"; do
    timeout 60 bash -c 'until curl -s -m 5 -o /dev/null "$1"; do sleep 0.2; done' - "$url" || return 1
  done
  say "the cloud answers (Keystone, Cinder, Nova)"
}

wait_for_master() { # HUB IP
  local _
  for _ in $(seq 600); do
    if answers_api "$2"; then
      say "the master of $1 answers"
      return 0
    fi
    sleep 0.2
  done
  return 1
}

raise() { # NAME HUBS USERS
  local name=$1 dir=$state/$1 net hub project ip n=10 each jobs=()
  mkdir -p "$dir"
  chmod 700 "$state" "$dir"
  ssh-keygen -q -t ed25519 -N '' -C "operator@$name" -f "$dir/id_ed25519"
  net=$(make_network "$name") || give_up "$name" "no network could be made"
  say "world $name: network $net.0/24; starting the cloud and $(wc -w <<< "$2") masters"
  local cloud="fleet-world-$name-cloud" hubs=()
  start_cloud "$name" "$net.2" & jobs=($!)
  for each in $2; do
    n=$((n + 1))
    hubs+=("${each%:*} ${each#*:} $net.$n")
    start_master "$name" "${each%:*}" "$net.$n" & jobs+=($!)
  done
  for each in "${jobs[@]}"; do wait "$each" || give_up "$name" "a container could not be started"; done
  wait_for_cloud "$cloud" "$net.2" & jobs=($!)
  for each in "${hubs[@]}"; do
    read -r hub project ip <<< "$each"
    wait_for_master "$hub" "$ip" & jobs+=($!)
  done
  for each in "${jobs[@]}"; do wait "$each" || give_up "$name" "not all parts answered in time"; done

  local described=()
  for each in "${hubs[@]}"; do
    read -r hub project ip <<< "$each"
    docker exec "fleet-world-$name-$hub" sh -c 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub && cat /etc/kubernetes/admin.conf' \
      > "$dir/$hub.tmp" & described+=($!)
  done
  for each in "${described[@]}"; do wait "$each" || give_up "$name" "a master cannot be asked"; done
  for each in "${hubs[@]}"; do
    read -r hub project ip <<< "$each"
    jq -n --arg name "$hub" --arg project "$project" --arg ip "$ip" --arg container "fleet-world-$name-$hub" \
      --rawfile text "$dir/$hub.tmp" '($text | split("\n")) as $lines | {name: $name, project: $project, ip: $ip,
        container: $container, host_key_fingerprint: ($lines[0] | split(" ")[1]), admin_conf: ($lines[1:] | join("\n"))}'
    rm "$dir/$hub.tmp"
  done | (umask 077 && jq -s --argjson users "$3" '{users: $users, hubs: .}' > "$dir/plan.json")
  docker exec -i "$cloud" python3 /usr/local/lib/seed/seed.py < "$dir/plan.json" > "$dir/seed.json" 2> >(
    while IFS= read -r each; do say "$each"; done) || give_up "$name" "it could not be seeded"

  local auth="http://$net.2:5000/v3/"
  local common=("OS_AUTH_URL=$auth" OS_IDENTITY_API_VERSION=3 'OS_REGION_NAME="RegionOne"' OS_INTERFACE=public)
  for each in alpha beta expired; do
    openrc "$dir/openrc-$each.sh" OS_AUTH_TYPE=v3applicationcredential "${common[@]}" \
      "OS_APPLICATION_CREDENTIAL_ID=$(jq -r ".credentials.$each.id" "$dir/seed.json")" \
      "OS_APPLICATION_CREDENTIAL_SECRET=$(jq -r ".credentials.$each.secret" "$dir/seed.json")"
  done
  openrc "$dir/openrc-admin.sh" OS_AUTH_TYPE=password "${common[@]}" OS_USERNAME=admin OS_PASSWORD=admin \
    OS_PROJECT_NAME=admin OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
  # Written last and moved into place: where world.json is, the world is whole.
  jq -n --slurpfile plan "$dir/plan.json" --slurpfile seed "$dir/seed.json" --arg name "$name" --arg net "$net.0/24" \
    --arg cloud "$cloud" --arg ip "$net.2" --arg auth "$auth" '{
      name: $name, network: {name: "fleet-world-\($name)", subnet: $net},
      cloud: {container: $cloud, ip: $ip, auth_url: $auth, region: "RegionOne", projects: $seed[0].projects},
      users: $plan[0].users, hubs: [$plan[0].hubs[] | del(.admin_conf)], volumes: $seed[0].volumes}' > "$dir/world.json.new"
  rm "$dir/plan.json" "$dir/seed.json"
  mv "$dir/world.json.new" "$dir/world.json"
  say "world $name is up: $dir/world.json"
}

status() {
  local file=$state/$1/world.json container ip result=0 what
  [ -s "$file" ] || fail "there is no world $1"
  while read -r what container ip; do
    local state_of answer=no
    state_of=$(docker inspect -f '{{.State.Status}}' "$container" 2> /dev/null) || state_of=missing
    case $what in
      cloud) if answers_http "http://$ip:5000/v3" && answers_http "http://$ip:8774/" && answers_http "http://$ip:8776/"; then answer=yes; fi ;;
      *) if answers_api "$ip"; then answer=yes; fi ;;
    esac
    [ "$answer" = yes ] || result=1
    printf '%-10s %-32s %-15s %-8s answers: %s\n' "$what" "$container" "$ip" "$state_of" "$answer"
  done < <(jq -r '"cloud \(.cloud.container) \(.cloud.ip)", (.hubs[] | "\(.name) \(.container) \(.ip)")' "$file")
  return "$result"
}
