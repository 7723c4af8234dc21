#!/bin/sh
# run COMMAND [ARG...]: runs a command with what an operator has in the sandbox: the openrc sourced.
# An openrc is bash as OpenStack writes it, so bash reads it where the image has one.
# It is sourced with standard input closed, so that one that asks for a password ends instead of waiting; what it
# prints goes to standard error, so that it never gets into the command's output.
if [ -z "${BASH_VERSION-}" ] && command -v bash >/dev/null 2>&1; then
    exec bash "$0" "$@"
fi
# In a container that fleet did not make, nothing says where they are.
: "${OPENRC:=$HOME/bin/openrc.sh}" "${KUBECONFIG:=$HOME/.kube/config}"
export OPENRC KUBECONFIG
if [ -r "$OPENRC" ]; then
    . "$OPENRC" </dev/null 1>&2
else
    echo "fleet: cannot read $OPENRC in the sandbox" >&2
fi
exec "$@"
