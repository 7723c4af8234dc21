#!/bin/sh
# The sandbox's first process under init: holds the SSH tunnel to the master, so that it outlives every fleet process
# and comes back with the sandbox. It forwards the cluster's API server to 127.0.0.1:6443 for commands in the sandbox,
# and to a Unix socket in the hub's state directory for fleet itself.
#
# Given in the environment: IP, FLEET_SSH_USER, FLEET_SSH_PORT, FLEET_SSH_KEY; where the way leads by a jump host, FLEET_JUMP_HOST,
# _USER, _PORT and _KEY; where an agent has the keys, SSH_AUTH_SOCK. Mounted: /run/fleet, with known_hosts and known_hosts_jump. In a
# container of the old scripts fleet starts it as another process, and says with FLEET_SOCKET, FLEET_KNOWN_HOSTS and
# FLEET_JUMP_KNOWN_HOSTS where these are.
#
#   tunnel        holds the tunnel until it is told to end
#   tunnel end    ends the one that runs, and waits until it has ended; status 1 where none runs
set -u
mine=/tmp/.fleet-tunnel.pid
if [ $# -gt 0 ]; then
    pid=$(cat "$mine" 2>/dev/null) || exit 1
    # The number may be another process's by now.
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = tunnel ] || exit 1
    kill -TERM "$pid"
    # It takes its socket away last: one that is started meanwhile would lose its own.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ -e "/proc/$pid" ] || exit 0
        sleep 0.2
    done
    exit 2
fi
# What is said goes into the container's log, where that is fleet's to write.
[ -z "${FLEET_SOCKET-}" ] || exec >/tmp/.fleet-tunnel.log 2>&1
echo $$ >"$mine"
socket=${FLEET_SOCKET:-/run/fleet/api.sock}
known_hosts=${FLEET_KNOWN_HOSTS:-/run/fleet/known_hosts}
port="-L 127.0.0.1:6443:127.0.0.1:6443"
# What holds for both hosts. ServerAlive: one that hangs is noticed within 15 s. BatchMode: never wait for an answer that nobody gives.
# The system's and the user's own configuration stay out: they must not redirect a hub's tunnel.
FLEET_SSH_OPTIONS="-F /dev/null -T -o BatchMode=yes -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -o StrictHostKeyChecking=yes
 -o GlobalKnownHostsFile=/dev/null -o CheckHostIP=no"
# The keys of an agent that fleet.toml names do as well as the file's; otherwise only the file's is meant.
case ${SSH_AUTH_SOCK-} in
    /run/fleet-agent/*) ;;
    *) FLEET_SSH_OPTIONS="$FLEET_SSH_OPTIONS -o IdentitiesOnly=yes" ;;
esac
patience=4
by=
if [ -n "${FLEET_JUMP_HOST-}" ]; then
    # This includes what the jump host takes, whose own limit tells which of the two it was.
    patience=6
    by=" by way of $FLEET_JUMP_USER@$FLEET_JUMP_HOST"
    : "${FLEET_JUMP_KNOWN_HOSTS:=/run/fleet/known_hosts_jump}"
    export FLEET_JUMP_KNOWN_HOSTS FLEET_SSH_OPTIONS
    # ssh starts this by a shell, with the environment that it has itself. ERROR: no banner, which would look like a reason.
    way='ssh $FLEET_SSH_OPTIONS -o ConnectTimeout=4 -o LogLevel=ERROR -o UserKnownHostsFile="$FLEET_JUMP_KNOWN_HOSTS"'
    way="$way"' -i "$FLEET_JUMP_KEY" -p "$FLEET_JUMP_PORT" -W "[%h]:%p" "$FLEET_JUMP_USER@$FLEET_JUMP_HOST"'
    set -- -o "ProxyCommand=$way 2>/tmp/.fleet-tunnel-jump"
    SHELL=/bin/sh
    export SHELL
fi
ssh=
told=
delay=1
# s: a master that is back is used again within this, an attempt that began just before (ConnectTimeout), and one connection
longest=2

say() {
    # A master that is away for a weekend says the same every few seconds: once is enough.
    [ "$1" = "$told" ] && return
    told=$1
    echo "$(date -u +%FT%TZ) tunnel: $1"
}

# What ssh says last, below its banners, is the reason.
last_words() {
    tr -d '\r' <"$1" | grep -v '^@*$' | tail -n 2 | tr '\n' ' '
}

stop() {
    [ -n "$ssh" ] && kill "$ssh" 2>/dev/null
    rm -f "$socket"
    exit 0
}
trap stop TERM INT HUP

# Somebody wants a new connection now: the master's key was pinned anew, say.
again() {
    delay=1
    told=
    [ -n "$ssh" ] && kill "$ssh" 2>/dev/null
}
trap again USR1

# Where many sandboxes are started at once, fleet lets their tunnels go when all run: this pipe ends then, or when fleet does.
hold=/run/fleet/hold
if [ -z "${FLEET_SOCKET-}" ] && [ -p "$hold" ]; then
    timeout 10 cat "$hold" >/dev/null 2>&1 &
    wait $!
    # One that a killed fleet left holds back the first tunnel that finds it, and no later one.
    rm -f "$hold"
fi

while :; do
    rm -f "$socket"
    began=$(date +%s)
    : >/tmp/.fleet-tunnel-jump
    ssh $FLEET_SSH_OPTIONS -N "$@" \
        -o ExitOnForwardFailure=yes \
        -o ConnectTimeout="$patience" \
        -o UserKnownHostsFile="$known_hosts" \
        -o StreamLocalBindUnlink=yes \
        -o StreamLocalBindMask=0177 \
        -o LogLevel=ERROR \
        -i "$FLEET_SSH_KEY" \
        -p "$FLEET_SSH_PORT" \
        $port \
        -L "$socket:127.0.0.1:6443" \
        "$FLEET_SSH_USER@$IP" </dev/null >/tmp/.fleet-tunnel 2>&1 &
    ssh=$!
    wait "$ssh"
    status=$?
    # A signal ends the waiting, and not yet ssh, which has the port as long as it is there.
    while kill -0 "$ssh" 2>/dev/null; do
        wait "$ssh"
        status=$?
    done
    ssh=
    lasted=$(($(date +%s) - began))
    # Where the way ended at the jump host, the master's ssh only says that it ended.
    why=$(last_words /tmp/.fleet-tunnel)
    jump=$(last_words /tmp/.fleet-tunnel-jump)
    [ -z "$jump" ] || why="at the jump host: $jump"
    say "ssh to $FLEET_SSH_USER@$IP$by ended with status $status: ${why:-no reason given}"
    # In a container that fleet did not make, an operator's own tunnel may have the port: then it is theirs.
    case ${FLEET_SOCKET:+$why} in
        *"cannot listen to port: 6443"*) port= ;;
    esac
    if [ "$lasted" -ge 30 ]; then
        delay=1
        told=
    fi
    # Many that were cut off at once must not come back at once each time: somewhere in the last second, where sleep knows of parts.
    part=$(od -An -N1 -tu1 /dev/urandom 2>/dev/null)
    { sleep "$((delay - 1)).$((${part:-0} % 10))" 2>/dev/null || sleep "$delay"; } &
    wait $!
    delay=$((delay * 2))
    [ "$delay" -le "$longest" ] || delay=$longest
done
