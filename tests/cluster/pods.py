"""Pods for tests: a web server that says who it is and who asks, and a pod to ask from."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing
from typing import Any

from testcluster import Cluster
from testcluster.api import Object, conditions

SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = json.dumps({"pod": os.environ["POD"], "client": self.client_address[0]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
CLIENT = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
"""


def server_pod(name: str, app: str = "web") -> Object:
    """A pod that serves HTTP on port 8080."""
    return _pod(
        name,
        app,
        {
            "command": [sys.executable, "-u", "-c", SERVER],
            "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        },
    )


def client_pod(name: str = "client") -> Object:
    """A pod that does nothing, to ask from."""
    return _pod(name, "client", {"command": ["sleep", "infinity"]})


def service(name: str, app: str = "web", **spec: Any) -> Object:
    """A Service on port 80 of the pods of an app."""
    ports = [{"port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": ports, **spec},
    }


def wait_ready(cluster: Cluster, namespace: str, *names: str) -> dict[str, str]:
    """Wait until the pods are ready; their addresses by name."""
    paths = {name: f"/api/v1/namespaces/{namespace}/pods/{name}" for name in names}

    def addresses() -> dict[str, str] | None:
        pods = {name: cluster.get(path) for name, path in paths.items()}
        if all(conditions(pod).get("Ready") == "True" for pod in pods.values()):
            return {name: pod["status"]["podIP"] for name, pod in pods.items()}
        return None

    return cluster.wait_for(f"pods {', '.join(names)} to be ready", addresses)


def ask(host: str, port: int = 80) -> dict[str, str]:
    """What a server says to us, who are on the node."""
    with closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
        connection.request("GET", "/")
        answer: dict[str, str] = json.load(connection.getresponse())
    return answer


def ask_from(cluster: Cluster, namespace: str, pod: str, url: str) -> dict[str, str]:
    """What a server says to a pod."""
    answer: dict[str, str] = json.loads(
        cluster.kubectl("--namespace", namespace, "exec", pod, "--", sys.executable, "-c", CLIENT, url)
    )
    return answer


def _pod(name: str, app: str, container: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "containers": [{"name": "main", "image": "local/python", **container}],
            "terminationGracePeriodSeconds": 0,
        },
    }
