"""Fills a bootstrapped Keystone: service users, the catalog, projects alpha and beta with a member each.

Run while the image is built. Standard library only, because each call of the openstack command costs a second.
"""

import json
import sys
import time
import urllib.error
import urllib.request

KEYSTONE = "http://127.0.0.1:5000/v3"


def call(method, path, body=None, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["X-Auth-Token"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(KEYSTONE + path, method=method, headers=headers, data=data)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return (json.loads(text) if text else {}), answer.headers
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: HTTP {error.code} {error.read().decode()}")


def wait_for_keystone():
    for _ in range(600):
        try:
            urllib.request.urlopen(KEYSTONE, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("Keystone does not answer")


wait_for_keystone()
password = {"user": {"name": "admin", "password": "admin", "domain": {"id": "default"}}}
scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
auth = {"identity": {"methods": ["password"], "password": password}, "scope": scope}
token = call("POST", "/auth/tokens", {"auth": auth})[1]["X-Subject-Token"]


def make(kind, path, **fields):
    return call("POST", path, {kind: fields}, token)[0][kind]["id"]


roles = {role["name"]: role["id"] for role in call("GET", "/roles", token=token)[0]["roles"]}
if "service" not in roles:
    roles["service"] = make("role", "/roles", name="service")


def grant(user, project, role):
    call("PUT", f"/projects/{project}/users/{user}/roles/{roles[role]}", token=token)


service = make("project", "/projects", name="service", domain_id="default")
for name in ("cinder", "nova"):
    user = make("user", "/users", name=name, password="service", domain_id="default")
    grant(user, service, "service")
    grant(user, service, "admin")
for name, kind, path in (
    ("cinderv3", "volumev3", ":8776/v3/%(project_id)s"),
    ("cinder", "block-storage", ":8776/v3/%(project_id)s"),
    ("nova", "compute", ":8774/v2.1"),
    # The openstack command asks for these even where it needs nothing of them.
    ("glance", "image", ":8774/glance"),
    ("neutron", "network", ":8774/neutron"),
):
    record = make("service", "/services", name=name, type=kind)
    for interface, host in (("public", "@cloud@"), ("internal", "127.0.0.1"), ("admin", "127.0.0.1")):
        url = "http://" + host + path
        make("endpoint", "/endpoints", service_id=record, region_id="RegionOne", interface=interface, url=url)
for name in ("alpha", "beta"):
    project = make("project", "/projects", name=name, domain_id="default", description=f"The demo's project {name}")
    user = make("user", "/users", name=f"{name}-operator", password=f"{name}-operator", domain_id="default")
    grant(user, project, "member")
