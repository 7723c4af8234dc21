"""What the scripts of the demo need of HTTP: OpenStack's APIs, and a Kubernetes API server. Standard library only."""

import base64
import http.client
import json
import os
import re
import ssl
import tempfile
import urllib.error
import urllib.request

KEYSTONE = "http://127.0.0.1:5000/v3"
CINDER = "http://127.0.0.1:8776/v3"
NOVA = "http://127.0.0.1:8774/v2.1"


class Refused(Exception):
    """The server answered, and the answer is no."""


def call(method, url, body=None, token=None):
    """One request: the parsed answer and its headers."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "OpenStack-API-Version": "volume 3.70" if url.startswith(CINDER) else "compute 2.90",
    }
    if token:
        headers["X-Auth-Token"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, headers=headers, data=data)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
            return (json.loads(text) if text else {}), answer.headers
    except urllib.error.HTTPError as error:
        raise Refused(f"{method} {url}: HTTP {error.code} {error.read().decode(errors='replace')[:500]}") from None


class Project:
    """A user of one project, with the services' addresses inside the container."""

    def __init__(self, user, password, project):
        domain = {"id": "default"}
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "password": password, "domain": domain}},
        }
        auth = {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}
        body, headers = call("POST", KEYSTONE + "/auth/tokens", {"auth": auth})
        self.token = headers["X-Subject-Token"]
        self.name = project
        self.id = body["token"]["project"]["id"]
        self.user_id = body["token"]["user"]["id"]

    def keystone(self, method, path, body=None):
        return call(method, KEYSTONE + path, body, self.token)[0]

    def cinder(self, method, path, body=None):
        return call(method, f"{CINDER}/{self.id}{path}", body, self.token)[0]

    def nova(self, method, path, body=None):
        return call(method, NOVA + path, body, self.token)[0]


class Kubernetes:
    """One API server, through one connection, with the certificate of an admin.conf as kubeadm writes it."""

    def __init__(self, address, admin_conf):
        def field(name):
            return base64.b64decode(re.search(rf"^ *{name}: (\S+)$", admin_conf, re.M).group(1))

        context = ssl.create_default_context(cadata=field("certificate-authority-data").decode())
        with tempfile.TemporaryDirectory() as folder:  # Python takes a client's key from a file only
            path = os.path.join(folder, "client.pem")
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                file.write(field("client-certificate-data") + field("client-key-data"))
            context.load_cert_chain(path)
        self.connection = http.client.HTTPSConnection(address, 6443, context=context, timeout=60)

    def request(self, method, path, body=None, kind="application/json"):
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"Content-Type": kind, "Accept": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Refused(f"{method} {path}: HTTP {answer.status} {text.decode(errors='replace')[:500]}")
        return json.loads(text)
