"""Cinder's API, scheduler and volume service as one WSGI process, so that an in-memory transport joins them."""

import os
import shlex
import sys

sys.argv = ["cinder-all", "--config-file", "/etc/openstack/cinder.conf"]

from cinder import monkey_patch

monkey_patch.patch(backend="threading")  # before anything else of Cinder: it chooses how services wait

import sqlite_threads  # noqa: F401  for its effect
import os_brick
from oslo_privsep import priv_context

import cinder.cmd.volume  # noqa: F401  registers options that the volume service reads
from cinder import service, utils
from cinder.common import constants
from cinder.wsgi import wsgi

application = wsgi.initialize_application()

priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
os_brick.setup(wsgi.CONF)


class Service(service.Service):
    """Cinder keeps the number of a service's record on the class; two services in one process need one each."""

    def report_state(self):
        service.Service.service_id = self.origin_service_id
        super().report_state()


backend = wsgi.CONF.enabled_backends[0]
SERVICES = [
    Service.create(host=f"{wsgi.CONF.host}@{backend}", service_name=backend, binary=constants.VOLUME_BINARY),
    Service.create(binary="cinder-scheduler"),
]
for each in SERVICES:
    each.start()
os.close(os.open("/run/openstack/cinder.ready", os.O_CREAT | os.O_WRONLY))
