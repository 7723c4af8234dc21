# LENGTH FED PROGRAM [ARG...]: runs the script that is the first LENGTH bytes of standard input, by PROGRAM, which its first line
# names, or by sh where that is empty. The rest of the input is the script's where FED is "fed".
# Its file has no name any more when it begins to run, so that nothing is left of it however this ends.
length=$1 fed=$2 program=$3
shift 3
give_up() {
    echo "fleet: $1" >&2
    exit "$2"
}
if [ -n "$program" ] && [ ! -x "$program" ]; then
    give_up "the sandbox has no $program, which the script's first line names" 127
fi
file=$(mktemp /tmp/.fleet-script.XXXXXX) || give_up "the script has no place in the sandbox" 126
trap 'rm -f "$file"' EXIT HUP INT TERM
chmod 700 "$file"
exec 8>"$file" 9<"$file"
rm -f "$file"
trap - EXIT HUP INT TERM
if [ "$fed" = fed ]; then
    # Byte by byte, so that none of what follows is taken.
    dd bs=1 count="$length" >&8 2>/dev/null
else
    cat >&8
    exec </dev/null
fi
exec 8>&-
# A script that was cut off does something else than was meant.
[ "$(wc -c </proc/self/fd/9)" -eq "$length" ] || give_up "the script did not arrive whole, and was not run" 126
[ -z "$program" ] || exec /proc/self/fd/9 "$@"
exec sh /proc/self/fd/9 "$@"
