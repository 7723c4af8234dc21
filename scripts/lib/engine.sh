# shellcheck shell=bash
# What the scripts share: telling what goes on, the programs that the machine needs, and the engine.
# Sourced. Wants $root, the project's folder.

state=$root/target/world # all that the scripts write down; scripts/world purge removes it
t0=$EPOCHREALTIME

seconds() { awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }
say() { printf '%7ss  %s\n' "$(seconds)" "$*" >&2; }
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null; }

# need PROGRAM=PACKAGE...: installs what is missing, where this user may.
need() {
  local each missing=()
  for each in "$@"; do command -v "${each%%=*}" > /dev/null || missing+=("${each#*=}"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || fail "please install: ${missing[*]}"
  may_be_root || fail "please install as root: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  mkdir -p "$state/log"
  { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive timeout 600 apt-get \
    -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}"; } > "$state/log/apt.log" 2>&1 || {
    tail -n 5 "$state/log/apt.log" >&2
    fail "apt-get could not install ${missing[*]}; all it said is in $state/log/apt.log"
  }
}

engine_answers() { timeout 10 docker version > /dev/null 2>&1; }

# Sees to it that an engine answers. One that runs is used as it is.
need_engine() {
  need docker=docker.io
  if engine_answers; then return 0; fi
  [ -z "${DOCKER_HOST:-}" ] || fail "no engine answers at DOCKER_HOST=$DOCKER_HOST"
  # An engine that runs but not for this user: starting another would not help.
  [ ! -S /var/run/docker.sock ] || [ -w /var/run/docker.sock ] ||
    fail "no engine answers: $(timeout 10 docker version 2>&1 | tail -n 1) (is this user in the group docker?)"
  may_be_root || fail "no engine answers, and only root can start one"
  need dockerd=docker.io iptables=iptables
  mkdir -p "$state/log"
  local log=$state/log/dockerd.log
  say "starting the Docker engine"
  if [ -d /run/systemd/system ]; then
    as_root systemctl start docker > "$log" 2>&1 || true
  else
    # Without systemd nothing watches a service, so it is simply started; the log and the process are then ours to find.
    # `exec`, so that the process whose id is kept is the engine and not a shell that waits for it.
    { if [ "$(id -u)" = 0 ]; then exec setsid nohup dockerd; else exec sudo -n setsid nohup dockerd; fi; } \
      > "$log" 2>&1 < /dev/null 9>&- &
    echo "$!" > "$state/dockerd.pid"
  fi
  local _ pid
  pid=$(cat "$state/dockerd.pid" 2> /dev/null || true)
  for _ in $(seq 60); do
    if engine_answers; then return 0; fi
    if [ -n "$pid" ] && [ ! -d "/proc/$pid" ]; then break; fi
    sleep 0.5
  done
  tail -n 15 "$log" >&2
  fail "the Docker engine does not start; all it said is in $log"
}

# Ends the engine, but only one that need_engine started.
stop_engine() {
  local pid
  pid=$(cat "$state/dockerd.pid" 2> /dev/null) || return 0
  if grep -qs dockerd "/proc/$pid/cmdline"; then # sudo's own process, for those who are not root, passes the signal on
    say "stopping the Docker engine that was started here"
    as_root kill "$pid"
    for _ in $(seq 60); do
      [ -d "/proc/$pid" ] || break
      sleep 0.5
    done
  fi
  rm -f "$state/dockerd.pid"
}
