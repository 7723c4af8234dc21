# Writes a file or a directory to standard output, as an archive.
#
#   $1  yes: directories too
#   $2  the path
set -u
LC_ALL=C
export LC_ALL
unset CDPATH TAR_OPTIONS

say() {
    printf 'fleet: %s\n' "$1" >&2
    exit 1
}

path=$2
while [ "$path" != "${path%/}" ] && [ -n "${path%/}" ]; do
    path=${path%/}
done
[ -e "$path" ] || say "there is no $path"
# Only GNU's tar has to be asked for the format that busybox writes.
if tar --version 2>/dev/null | grep -q GNU; then gnu=--format=gnu; else gnu=; fi
if [ -d "$path" ]; then
    [ "$1" = yes ] || say "$path is a directory: --recursive copies it"
    cd -P -- "$path" || exit 1
    exec tar $gnu -cf - .
fi
[ "$path" = "$2" ] || say "$path is no directory"
[ -f "$path" ] || say "$path is neither a file nor a directory"
[ -r "$path" ] || say "$path cannot be read: permission denied"
dir=${path%/*}
cd -P -- "${dir:-/}" || exit 1
exec tar $gnu -chf - "./${path##*/}"
