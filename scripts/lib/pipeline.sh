# shellcheck shell=bash
# What operators do by hand today to find and delete orphaned volumes, as their runbook has it, kept as it is so that it
# can be measured beside fleet. Two things are narrower than there: `docker ps` is held to the containers of one fleet, since
# other containers run on this machine too, and scratch files go to a directory of their own.
#
#   PIPELINE_FLEET   the fleet's name      PIPELINE_TMP   the scratch directory
#   PIPELINE_PROJECT_CONTAINERS   one container for each OpenStack project: the runbook is walked through once for each

hub_containers() {
    docker ps -q --filter "label=fleet.name=$PIPELINE_FLEET"
}

# Obtain PVCs that are in use
pipeline_claims() {
    hub_containers | xargs -I {} -n1 docker exec -t {} bash -c \
        'kubectl get pvc -A | tail -n +2' |
        awk '{print $4}' | sort | tr -d "[:blank:]" >"$PIPELINE_TMP/pvc.out"
}

# Obtain all the OpenStack volumes, and the set difference
pipeline_orphans() {
    pipeline_claims
    : >"$PIPELINE_TMP/all.out"
    for container in $PIPELINE_PROJECT_CONTAINERS; do
        # shellcheck disable=SC2016
        docker exec -t "$container" bash -c 'source ~/.bashrc && openstack volume list' | grep pvc |
            awk -F'|' '{print $3}' >>"$PIPELINE_TMP/all.out"
    done
    sort "$PIPELINE_TMP/all.out" | tr -d "[:blank:]" >"$PIPELINE_TMP/pvc-total.out"
    comm -23 "$PIPELINE_TMP/pvc-total.out" "$PIPELINE_TMP/pvc.out" >"$PIPELINE_TMP/pvc-orphaned.out"
}

# Delete orphaned volumes: the runbook's loop, run inside a container, over the names in a file
pipeline_delete() { # CONTAINER FILE
    docker cp "$2" "$1:/tmp/pvc-orphaned.out" >/dev/null
    # shellcheck disable=SC2016
    docker exec "$1" bash -c 'source ~/.bashrc
        while IFS= read -r volume_name; do
            volume_id=$(openstack volume show "$volume_name" -f value -c id)
            openstack volume delete "$volume_id"
        done </tmp/pvc-orphaned.out'
}
