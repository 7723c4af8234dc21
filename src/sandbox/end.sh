#!/bin/sh
# end RUN: ends every process of one run, wherever it has got to: they are known by the variable that fleet put into the
# run's environment, which children inherit even when they leave their process group or session.
of_run() {
    for file in $(grep -ls "FLEET_RUN=$1" /proc/[0-9]*/environ); do
        pid=${file#/proc/}
        echo "${pid%/environ}"
    done
}
pids=$(of_run "$1")
[ -n "$pids" ] || exit 0
kill -TERM $pids 2>/dev/null
# Two seconds to end in good order, then by force; what was started meanwhile is found again.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.2
    pids=$(of_run "$1")
    [ -n "$pids" ] || exit 0
done
kill -KILL $pids 2>/dev/null
sleep 0.1
pids=$(of_run "$1")
[ -z "$pids" ]
