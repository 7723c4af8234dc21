# Puts what comes on standard input, an archive, into its place: all of it, or nothing.
#
#   $1  the name of a directory of this run's own, in the directory that it goes to
#   $2  where to: a directory that is there, or the name that one file or directory is to have
#   $3  dir: $2 has to be a directory
#   $4...  f NAME or d NAME: the files and directories that come
#
# In the archive they are in in/, and after them comes a file called end: what was cut off on the way has none.
set -u
LC_ALL=C
export LC_ALL
unset CDPATH TAR_OPTIONS
umask 077

say() {
    printf 'fleet: %s\n' "$1" >&2
    exit "${2:-1}"
}

own=$1 to=$2 kind=$3
shift 3
if [ -d "$to" ]; then
    dir=$to as=
else
    [ "$kind" != dir ] || say "there is no directory $to"
    [ $# = 2 ] || say "there is no directory $to, and several files do not get one name"
    dir=${to%/*} as=${to##*/}
    [ -n "$dir" ] || dir=/
    [ -d "$dir" ] || say "there is no directory $dir"
fi
cd -P -- "$dir" || exit 1
here=$(pwd -P)
[ "$here" != / ] || here=

# check KIND DIRECTORY NAME: whether something may be put there
check() {
    it=$2/$3
    shown=$here/${it#./}
    into=${shown%/*}
    if [ "$1" = d ]; then
        if [ -L "$it" ] || { [ -e "$it" ] && [ ! -d "$it" ]; }; then
            say "$shown is there, and no directory"
        fi
    elif [ -d "$it" ] && [ ! -L "$it" ]; then
        say "$shown is a directory"
    elif [ -e "$it" ] && [ ! -f "$it" ] && [ ! -L "$it" ]; then
        say "$shown is a device, or something else that is no file"
    fi
    # What is mounted has its own place in this list.
    if [ "$1" = f ] && [ -e "$it" ]; then
        while read -r _ _ _ _ mounted _; do
            [ "$mounted" != "$shown" ] || say "$shown is mounted into the sandbox" 4
        done </proc/self/mountinfo
    fi
    [ -w "$2" ] || say "nothing can be written into $into: it is read-only, or another's"
}

# walk WHAT FROM INTO: checks or moves all that is in a directory. Directories that are there on both sides become one.
# In a process of its own, so that its variables are.
walk() (
    for one in "$2"/* "$2"/.[!.]* "$2"/..?*; do
        [ -e "$one" ] || continue
        name=${one##*/}
        it=$3/$name
        if [ -d "$one" ] && [ -d "$it" ] && [ ! -L "$it" ]; then
            if [ "$1" = check ] && [ "$(stat -c %d "$3")" != "$(stat -c %d "$it")" ]; then
                say "$here/${it#./} is another file system: copy what goes there by itself"
            fi
            walk "$1" "$one" "$it" || exit
        elif [ "$1" = check ]; then
            if [ -d "$one" ]; then check d "$3" "$name"; else check f "$3" "$name"; fi
        else
            mv -f -- "$one" "$3/" || exit
        fi
    done
)

# What can be said now is said before anything comes.
while [ $# -gt 1 ]; do
    check "$1" . "${as:-$2}"
    shift 2
done

trap 'rm -rf -- "./$own"' EXIT
trap 'exit 1' HUP INT TERM PIPE
mkdir -- "./$own" && mkdir -- "./$own/out" || exit 1
tar -xopf - -C "./$own" || exit 1
[ -f "./$own/end" ] || exit 3
from=./$own/in
if [ -n "$as" ]; then
    for one in "$from"/* "$from"/.[!.]* "$from"/..?*; do
        [ ! -e "$one" ] || mv -- "$one" "./$own/out/$as" || exit 1
    done
    from=./$own/out
fi
walk check "$from" . || exit
# The content is on the disk before it has its name. An old sync takes no names, and writes everything.
find "$from" -type f -exec sync {} + 2>/dev/null || sync
walk move "$from" . || exit
sync . 2>/dev/null || sync
