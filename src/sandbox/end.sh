#!/bin/sh
# end VARIABLE=VALUE [now]: ends every process of one run, wherever it has got to; with `now` by force at once. They are known by the variable that fleet put
# into the run's environment, which children inherit even when they leave their process group or session; those that were given
# another environment (`env -i`) by their parent or session.

# Id, parent and session of every process that has not ended.
table() {
    for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        pid=${line%% *}
        # What follows the command's name, which may have blanks and parentheses in it: state, parent, group, session.
        set -- ${line##*) }
        case $1 in
            Z | X) ;;
            *) echo "$pid $2 $4" ;;
        esac
    done 2>/dev/null
}

# of_run RUN [PID...]: the processes of a run, and those of PID... that are still there: what a process that has ended
# had started does not show where it came from any more.
of_run() {
    all=$(table)
    known=" "
    for file in $(grep -ls "$1" /proc/[0-9]*/environ); do
        pid=${file#/proc/}
        known="$known${pid%/environ} "
    done
    shift
    for pid; do
        known="$known$pid "
    done
    before=
    while [ "$known" != "$before" ]; do
        before=$known
        while read -r pid parent session; do
            case $known in
                *" $pid "*) ;;
                *" $parent "* | *" $session "*) known="$known$pid " ;;
            esac
        done <<END
$all
END
    done
    while read -r pid _; do
        case $known in
            *" $pid "*) echo "$pid" ;;
        esac
    done <<END
$all
END
}

run=$1
pids=$(of_run "$run")
[ -n "$pids" ] || exit 0
if [ "${2-}" != now ]; then
    kill -TERM $pids 2>/dev/null
    # Two seconds to end in good order, then by force; what was started meanwhile is found again.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.2
        pids=$(of_run "$run" $pids)
        [ -n "$pids" ] || exit 0
    done
fi
kill -KILL $pids 2>/dev/null
sleep 0.1
pids=$(of_run "$run" $pids)
[ -z "$pids" ]
