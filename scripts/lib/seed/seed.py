"""Fills a demo cloud and its hubs' clusters: seed.py < plan.json > world.json

The plan names the hubs: {"users": 10, "hubs": [{"name", "project", "ip", "admin_conf"}]}. For each hub: a JupyterHub with so
many users, whose claims are bound to real Cinder volumes, and two servers. Beside them one volume (or a few) of each kind that a
search for orphans must tell apart. The answer says of every volume what it is ("kind") and which class it belongs to
("class"), and holds the application credentials. Standard library only.
"""

import datetime
import itertools
import json
import random
import secrets
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from clients import Kubernetes, Project, Refused
from plant import plant

NAMESPACE = "jhub"
DRIVER = "cinder.csi.openstack.org"
USERS = """
abigail ahmed.hassan akira.tanaka amelia.wright anders.berg anna.kowalska beatriz bwilson carlos.mendez cchen chloe
daniel.okafor dfischer dpatel elena.petrova emma.johansson ethan.brooks fatima.zahra felix gabriel.rossi grace.kim hana
hnguyen ibrahim.ali ingrid isabel.cruz jack.murphy jdoe jgarcia jonas.weber julia.santos kavya.rao kofi.mensah lara
leo.martin liam.oconnor lily.evans lucia.moreno marcus.hill maria.silva mateo mei.lin mia.schmidt mohammed nadia.ivanova
noah.clark nora olivia.baker omar.farouk oscar.lind paula pavel.novak priya.sharma quinn raj.gupta rosa.jimenez ruth
samuel.cohen sara.lopez sofia.greco sven.olsen tariq thandi.nkosi tom.harris uma.iyer valentina victor.hugo wei.zhang
william.scott xin.li yara.haddad yusuf zoe.adams
""".split()
# Not secret and always the same, so that two runs of the demo look alike; ids are new each time.
dice = random.Random("fleet")


def people():
    """Users' names, each once, as many as anybody wants."""
    names = dice.sample(USERS, len(USERS))
    for number in itertools.count(1):
        yield from (name if number == 1 else f"{name}{number}" for name in names)


def days_ago():
    return round(dice.uniform(30, 300), 3)


def slug(user):
    """A user's name in a claim's name, escaped as KubeSpawner does it."""
    return "".join(c if c.isalnum() else f"-{ord(c):02x}" for c in user)


def claim_metadata(claim, pv, cluster="kubernetes"):
    """What the CSI driver writes on a volume. Kubespray calls every cluster `kubernetes`."""
    return {
        "cinder.csi.openstack.org/cluster": cluster,
        "csi.storage.k8s.io/pv/name": pv,
        "csi.storage.k8s.io/pvc/name": claim,
        "csi.storage.k8s.io/pvc/namespace": NAMESPACE,
    }


class Hub:
    def __init__(self, plan, users):
        self.name = plan["name"]
        self.project = plan["project"]
        self.ip = plan["ip"]
        self.users = users
        self.api = Kubernetes(plan["ip"], plan["admin_conf"])
        self.node = f"{self.name}-k8s-node-nf-1"
        # (claim's name, its user or None, GiB); sizes as courses ask for them
        self.claims = [("hub-db-dir", None, 1)] + [
            (f"claim-{slug(user)}", user, (10, 10, 5, 10, 1)[n % 5]) for n, user in enumerate(users)
        ]
        self.uid = {}

    def make_cluster(self):
        """All but the PVs: those need the ids of the claims and of the volumes."""
        core, apps = "/api/v1", "/apis/storage.k8s.io/v1"
        self.api.request("POST", core + "/namespaces", {"metadata": {"name": NAMESPACE}})
        self.api.request("POST", apps + "/storageclasses", {
            "metadata": {"name": "default", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": DRIVER, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
            "parameters": {"availability": "nova"}, "allowVolumeExpansion": True,
        })
        for claim, user, size in self.claims:
            self.claim(claim, user, size)
        names = [f"{self.name}-1", self.node, f"{self.name}-k8s-node-nf-2"]
        for n, name in enumerate(names):
            self.make_node(name, f"{self.ip}" if n == 0 else f"10.0.{dice.randint(0, 200)}.{10 + n}", master=n == 0)
        self.pod("hub-7d9c5b8f6d-x2k4v", "hub", names[1])
        self.pod("proxy-5f6b9c7d84-m8q2z", "proxy", names[2])
        for user in self.users[:2]:
            self.pod(f"jupyter-{slug(user)}", "singleuser-server", self.node)

    def claim(self, name, user, size, volume=None):
        labels = {"app": "jupyterhub", "chart": "jupyterhub-2.0.0", "heritage": "jupyterhub"}
        annotations = {}
        if user:
            labels |= {"component": "singleuser-storage", "hub.jupyter.org/username": slug(user)}
            annotations = {"hub.jupyter.org/username": user}
        else:
            labels |= {"component": "hub", "heritage": "Helm", "release": "jhub"}
        spec = {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "default",
            "resources": {"requests": {"storage": f"{size}Gi"}},
        }
        if volume:
            spec["volumeName"] = volume
        made = self.api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", {
            "metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": spec,
        })
        self.uid[name] = made["metadata"]["uid"]

    def make_node(self, name, address, master):
        role = "control-plane" if master else "worker"
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {
            "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now,
            "message": "kubelet is posting ready status", "lastTransitionTime": now,
        }
        size = {"cpu": "8", "memory": "30Gi", "pods": "110"}
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        labels["node-role.kubernetes.io/" + role] = ""
        self.api.request("POST", "/api/v1/nodes", {
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": [{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]} if master else {},
            "status": {
                "conditions": [ready], "capacity": size, "allocatable": size,
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
                "nodeInfo": {
                    "kubeletVersion": "v1.20.2", "kubeProxyVersion": "v1.20.2", "operatingSystem": "linux",
                    "architecture": "amd64", "osImage": "Ubuntu 20.04.6 LTS", "kernelVersion": "5.4.0-137-generic",
                    "containerRuntimeVersion": "containerd://1.4.4", "machineID": uuid.uuid4().hex,
                    "systemUUID": str(uuid.uuid4()), "bootID": str(uuid.uuid4()),
                },
            },
        })

    def pod(self, name, component, node):
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        labels = {"app": "jupyterhub", "component": component, "release": "jhub"}
        self.api.request("POST", path, {
            "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": component.split("-")[0], "image": "jupyterhub"}]},
        })
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        container = {
            "name": component.split("-")[0], "image": "jupyterhub", "imageID": "", "ready": True, "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        }
        self.api.request("PATCH", f"{path}/{name}/status", {"status": {
            "phase": "Running", "startTime": now, "containerStatuses": [container],
            "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now}
                           for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
        }}, "application/strategic-merge-patch+json")

    def pv(self, name, source, size, claim, uid, policy="Delete"):
        self.api.request("POST", "/api/v1/persistentvolumes", {
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
            "spec": {
                "capacity": {"storage": f"{size}Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "default",
                "persistentVolumeReclaimPolicy": policy, **source,
                "claimRef": {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": NAMESPACE,
                             "name": claim, "uid": uid},
            },
        })

    def wait_until_bound(self):
        for _ in range(300):
            items = self.api.request("GET", "/api/v1/persistentvolumeclaims")["items"]
            waiting = [item["metadata"]["name"] for item in items if item["status"].get("phase") != "Bound"]
            if not waiting:
                return
            time.sleep(0.1)
        sys.exit(f"{self.name}: claims are not bound: {waiting}")


def csi(volume):
    return {"csi": {"driver": DRIVER, "fsType": "ext4", "volumeHandle": volume}}


class World:
    def __init__(self, plan):
        users = people()
        self.hubs = [Hub(each, [next(users) for _ in range(plan["users"])]) for each in plan["hubs"]]
        self.gone = [next(users) for _ in range(12)]  # who once had a server, and left a volume behind
        self.volumes = []

    def add(self, project, kind, expected, name=None, size=10, hub=None, claim=None, metadata=None, days=None, **more):
        """Notes a volume to be planted. Without a name it is called as the CSI driver calls one."""
        volume = dict(
            id=str(uuid.uuid4()), name=f"pvc-{uuid.uuid4()}" if name is None else name, project=project, kind=kind,
            size=size, hub=hub, claim=claim, days=days_ago() if days is None else days, metadata=metadata or {}, **more,
        )
        volume["class"] = expected
        self.volumes.append(volume)
        return volume

    def of_claims(self):
        """The volumes of all claims, and what makes each one's PV."""
        for hub in self.hubs:
            for claim, _, size in hub.claims:
                name = "pvc-" + hub.uid[claim]
                volume = self.add(hub.project, "claim", "in use", name, size, hub.name, claim,
                                  claim_metadata(claim, name))
                yield hub.pv, (name, csi(volume["id"]), size, claim, hub.uid[claim])
            for n in ("1", "k8s-node-nf-1"):
                self.add(hub.project, "boot", "unmanaged", "", 20, hub.name, days=200, bootable=True, description="",
                         server=f"{hub.name}-{n}")

    def orphan(self, project, kind="orphan", expected="orphan", **more):
        """A volume made for somebody's claim that is gone."""
        claim = f"claim-{slug(dice.choice(self.gone))}"
        volume = self.add(project, kind, expected, **more)
        volume["metadata"] = claim_metadata(claim, volume["name"]) | volume["metadata"]
        return volume

    def planted(self):
        """One of each kind that a search for orphans has to tell apart; yields what makes the PVs among them."""
        for size in (10, 10, 5, 20):
            self.orphan("alpha", size=size)
        for size in (1, 10):  # made by a driver that was told to write no metadata
            self.add("alpha", "orphan", "orphan", size=size)
        self.orphan("beta", size=10)
        self.orphan("beta", size=50)
        self.add("beta", "orphan", "orphan", size=1)
        self.orphan("alpha", "legacy-orphan", name=f"kubernetes-dynamic-pvc-{uuid.uuid4()}", size=5)
        twin = f"pvc-{uuid.uuid4()}"
        self.orphan("alpha", "twin-orphan", name=twin, size=2)
        self.orphan("alpha", "twin-orphan", name=twin, size=3)

        self.orphan("alpha", "young", "young", days=0)
        self.orphan("alpha", "snapshot", "snapshots")
        self.orphan("alpha", "error", "error")
        self.orphan("alpha", "keep", "kept", metadata={"fleet.keep": "true"})
        foreign = self.orphan("alpha", "foreign", "foreign")
        foreign["metadata"]["cinder.csi.openstack.org/cluster"] = "somebody-elses"
        self.add("alpha", "unmanaged", "unmanaged", "data-backup", 100, description="monthly copy of the home folders")

        mine = [hub for hub in self.hubs if hub.project == "alpha"]
        if not mine:
            return
        first, last = mine[0], mine[-1]
        self.orphan("alpha", "attached", "attached", server=first.node)

        # Retain: somebody wanted to have this one after its claim was deleted.
        claim, gone = f"claim-{slug(self.gone[0])}", str(uuid.uuid4())
        name = f"pvc-{gone}"
        volume = self.add("alpha", "released", "released", name, 10, first.name, claim, claim_metadata(claim, name))
        yield first.pv, (name, csi(volume["id"]), 10, claim, gone, "Retain")

        # Taken over into a PV that was written by hand: only the id leads from one to the other.
        claim = f"claim-{slug(self.gone[1])}"
        volume = self.add("alpha", "renamed", "in use", None, 5, last.name, claim)
        volume["metadata"] = claim_metadata(claim, volume["name"])
        name = f"restored-{slug(self.gone[1])}"
        last.claim(claim, self.gone[1], 5, name)
        yield last.pv, (name, csi(volume["id"]), 5, claim, last.uid[claim])

        # From before the CSI driver: the in-tree kind of PV, and the name that it gave.
        claim = f"claim-{slug(self.gone[2])}"
        first.claim(claim, self.gone[2], 10)
        volume = self.add("alpha", "legacy", "in use", f"kubernetes-dynamic-pvc-{first.uid[claim]}", 10, first.name, claim)
        name = f"pvc-{first.uid[claim]}"
        yield first.pv, (name, {"cinder": {"volumeID": volume["id"], "fsType": "ext4"}}, 10, claim, first.uid[claim])

        # Two volumes of one name. The PV holds the id of one; the other is kept too, because the PV has its name.
        claim = f"claim-{slug(self.gone[3])}"
        last.claim(claim, self.gone[3], 10)
        name = f"pvc-{last.uid[claim]}"
        volume = self.add("alpha", "same-name-used", "in use", name, 10, last.name, claim, claim_metadata(claim, name))
        self.add("alpha", "same-name-other", "in use", name, 10, last.name, claim, claim_metadata(claim, name))
        yield last.pv, (name, csi(volume["id"]), 10, claim, last.uid[claim])


def make_server(project, name, flavor, disks):
    """A server without a network that boots from the first disk; the others are attached as it starts."""
    mapping = [
        {"uuid": disk["id"], "source_type": "volume", "destination_type": "volume", "boot_index": -1 if n else 0,
         "delete_on_termination": False}
        for n, disk in enumerate(disks)
    ]
    request = {"server": {
        "name": name, "flavorRef": flavor, "networks": "none", "block_device_mapping_v2": mapping,
    }}
    # A busy machine makes the scheduler miss the one compute host that has only just started: then once more.
    for _ in range(3):
        made = project.nova("POST", "/servers", request)["server"]["id"]
        server = settled(project, made)
        if server["status"] == "ACTIVE":
            return
        print(f"server {name} is {server['status']}: {server.get('fault', {}).get('message')}", file=sys.stderr, flush=True)
        project.nova("DELETE", "/servers/" + made)
        wait_until_free(project, disks)
    sys.exit(f"server {name} could not be made")


def settled(project, server):
    """A server once it is made or cannot be made; as it is after two minutes."""
    for _ in range(120):
        found = project.nova("GET", "/servers/" + server)["server"]
        if found["status"] in ("ACTIVE", "ERROR"):
            break
        time.sleep(1)
    return found


def wait_until_free(project, disks):
    for disk in disks:
        for _ in range(60):
            if project.cinder("GET", "/volumes/" + disk["id"])["volume"]["status"] == "available":
                break
            time.sleep(0.5)


def credential(project, name, **more):
    """An application credential as Horizon makes one, with a secret of the demo's own."""
    body = dict(more, name=name, secret=secrets.token_urlsafe(64))
    made = project.keystone("POST", f"/users/{project.user_id}/application_credentials", {"application_credential": body})
    return {"id": made["application_credential"]["id"], "secret": body["secret"]}


def main():
    started = time.monotonic()

    def say(what):
        print(f"seed: {time.monotonic() - started:5.1f}s {what}", file=sys.stderr, flush=True)

    world = World(json.load(sys.stdin))
    pool = ThreadPoolExecutor(8)
    clusters = [pool.submit(hub.make_cluster) for hub in world.hubs]
    projects = {name: Project(f"{name}-operator", f"{name}-operator", name) for name in ("alpha", "beta")}
    admin = Project("admin", "admin", "admin")
    credentials = {name: credential(project, f"fleet-{name}") for name, project in projects.items()}
    # Keystone takes no day in the past, so this one expires while the rest is being made.
    # A machine that is busy with twenty masters may be past that moment before Keystone looks.
    for seconds in (2, 10, 60):
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        try:
            credentials["expired"] = credential(projects["alpha"], "fleet-expired", expires_at=end.strftime("%Y-%m-%dT%H:%M:%S"))
            break
        except Refused:
            if seconds == 60:
                raise
    flavor = admin.nova("POST", "/flavors", {"flavor": {"name": "m3.quad", "ram": 15360, "vcpus": 4, "disk": 0}})
    for cluster in clusters:
        cluster.result()
    say("clusters have nodes, pods and claims")

    volumes_of_pvs = [*world.of_claims(), *world.planted()]
    for name, project in projects.items():
        plant(project, [volume for volume in world.volumes if volume["project"] == name])
    say(f"{len(world.volumes)} volumes planted")

    by_kind = {volume["kind"]: volume for volume in world.volumes}
    work = []
    for hub in world.hubs:  # one connection per hub, so one thread per hub
        mine = [arguments for method, arguments in volumes_of_pvs if method.__self__ is hub]
        work.append(pool.submit(lambda hub=hub, mine=mine: [hub.pv(*arguments) for arguments in mine] + [hub.wait_until_bound()]))
        for server in (f"{hub.name}-1", hub.node):
            disks = [volume for volume in world.volumes if volume.get("server") == server]
            disks.sort(key=lambda volume: volume["kind"] != "boot")
            if server == hub.node:  # the volumes of the users who are logged in
                logged_in = [f"claim-{slug(user)}" for user in hub.users[:2]]
                disks += [v for v in world.volumes if v["hub"] == hub.name and v["kind"] == "claim" and v["claim"] in logged_in]
            for disk in disks:
                disk["server"] = server
            work.append(pool.submit(make_server, projects[hub.project], server, flavor["flavor"]["id"], disks))
    snapshot = {"volume_id": by_kind["snapshot"]["id"], "name": "before-the-upgrade"}
    work.append(pool.submit(projects["alpha"].cinder, "POST", "/snapshots", {"snapshot": snapshot}))
    reset = {"os-reset_status": {"status": "error"}}
    work.append(pool.submit(admin.cinder, "POST", f"/volumes/{by_kind['error']['id']}/action", reset))
    for each in work:
        each.result()
    say("claims are bound, servers run")
    time.sleep(max(0, (end - datetime.datetime.now(datetime.timezone.utc)).total_seconds()))

    fields = ("id", "name", "project", "kind", "class", "size", "hub", "claim", "server")
    json.dump({
        "projects": {name: project.id for name, project in projects.items()} | {"admin": admin.id},
        "credentials": credentials,
        "volumes": [{key: volume[key] for key in fields if volume.get(key) is not None} for volume in world.volumes],
    }, sys.stdout)


if __name__ == "__main__":
    main()
