"""Nova's API, conductor, scheduler and compute (on the fake hypervisor), and Placement, as one WSGI process."""

import json
import os
import shlex
import sys
import threading
import traceback

os.environ["OS_NOVA_CONFIG_DIR"] = "/etc/openstack"
os.environ["OS_NOVA_CONFIG_FILES"] = sys.prefix + "/etc/nova/api-paste.ini;nova.conf"
os.environ["OS_PLACEMENT_CONFIG_DIR"] = "/etc/openstack"
sys.argv = ["nova-all"]

from nova import monkey_patch

monkey_patch.patch(backend="threading")  # before anything else of Nova: it chooses how services wait

import sqlite_threads  # noqa: F401  for its effect
from placement.wsgi import api as placement  # before Nova, because the last one to set up logging wins

import os_brick
import os_vif
from oslo_privsep import priv_context

import nova.conf
from nova import objects, service, utils
from nova.api.openstack import wsgi_app

api = wsgi_app.init_application("osapi_compute", "nova-api-os-compute")
priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
os_brick.setup(nova.conf.CONF)
os_vif.initialize()
objects.register_all()

EMPTY = {
    "agents", "extensions", "floatingips", "images", "networks", "ports", "security-group-rules", "security-groups",
    "subnets",
}


def nothing(env, start):
    """A Neutron and a Glance that have nothing: enough for servers without a network that boot from a volume."""
    what = env["PATH_INFO"].rstrip("/").rsplit("/", 1)[-1]
    version = {"/neutron": "v2.0", "/glance": "v2.9"}[env["SCRIPT_NAME"]]
    if env["PATH_INFO"] in ("", "/"):
        link = {"rel": "self", "href": f"http://{env['HTTP_HOST']}{env['SCRIPT_NAME']}/{version.removesuffix('.9')}/"}
        status, body = "200 OK", {"versions": [{"id": version, "status": "CURRENT", "links": [link]}]}
    elif env["REQUEST_METHOD"] == "GET" and what in EMPTY:
        status, body = "200 OK", {what.replace("-", "_"): []}
    else:
        status, body = "404 Not Found", {"NeutronError": {"type": "NotFound", "message": what, "detail": ""}}
    body = json.dumps(body).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


BESIDE = {"placement": placement.application, "neutron": nothing, "glance": nothing}


def application(env, start):
    first, _, rest = env["PATH_INFO"].lstrip("/").partition("/")
    if first in BESIDE:
        env["SCRIPT_NAME"] = env.get("SCRIPT_NAME", "") + "/" + first
        env["PATH_INFO"] = "/" + rest if rest else ""
        return BESIDE[first](env, start)
    return api(env, start)


SERVICES = []


def start_services():
    """On a thread: compute asks Placement while it starts, which answers only once this module is loaded."""
    try:
        for name in ("conductor", "scheduler", "compute"):
            each = service.Service.create(binary="nova-" + name, topic=name)
            each.start()
            SERVICES.append(each)
        os.close(os.open("/run/openstack/nova.ready", os.O_CREAT | os.O_WRONLY))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the supervisor starts the process again


threading.Thread(target=start_services, daemon=True).start()
