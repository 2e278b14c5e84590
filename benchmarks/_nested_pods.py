"""Events of watching the pods of a Kubernetes cluster, as its API server writes them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from benchmarks._workload import compact

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
APPS = (
    *("checkout", "catalogue", "payments", "session-cache", "search-indexer", "mail-relay", "gateway"),
    *("ledger", "recommendations", "image-resizer", "fraud-scoring", "audit-log"),
)
NAMESPACES = ("default", "shop", "shop-staging", "platform", "monitoring")
SIDECARS = (
    ("istio-proxy", "docker.io/istio/proxyv2:1.24.1", 15090, "http-envoy-prom"),
    ("otel-agent", "otel/opentelemetry-collector-contrib:0.116.1", 4317, "otlp-grpc"),
)
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes random names of."""
CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def pods(source: random.Random) -> Iterator[bytes]:
    """Endless events: of ten, two are a pod's first, one its last, and seven changes."""
    now = START
    version = 918_400_000
    fleet = [_Pod(source, now - timedelta(seconds=source.randrange(10**6))) for _ in range(400)]
    while True:
        now += timedelta(milliseconds=source.randrange(1, 400))
        version += source.randrange(1, 9)
        which = source.randrange(len(fleet))
        draw = source.random()
        if draw < 0.2:
            fleet[which] = _Pod(source, now)
        kind = "ADDED" if draw < 0.2 else "DELETED" if draw < 0.3 else "MODIFIED"
        yield compact({"type": kind, "object": fleet[which].at(now, version, kind)})


def _text(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Pod:
    """What stays the same of a pod, and its state at a time."""

    def __init__(self, source: random.Random, created: datetime) -> None:
        self._source = source
        self._created = created
        app = source.choice(APPS)
        self._app = app
        replica_set = f"{app}-{self._letters(10)}"
        self._uid = self._identity()
        self._name = f"{replica_set}-{self._letters(5)}"
        self._namespace = source.choice(NAMESPACES)
        self._node = f"ip-10-0-{source.randrange(256)}-{source.randrange(256)}.eu-central-1.compute.internal"
        self._address = f"10.{source.randrange(256)}.{source.randrange(256)}.{source.randrange(1, 255)}"
        version = f"{source.randrange(1, 9)}.{source.randrange(30)}.{source.randrange(10)}"
        self._labels = {
            "app.kubernetes.io/instance": f"{app}-prod",
            "app.kubernetes.io/name": app,
            "app.kubernetes.io/version": version,
            "pod-template-hash": replica_set[-10:],
            **({"team": source.choice(("core", "growth", "infra"))} if source.random() < 0.6 else {}),
            **({"topology.kubernetes.io/zone": "eu-central-1b"} if source.random() < 0.3 else {}),
        }
        self._annotations = {
            "checksum/config": f"{source.getrandbits(256):064x}",
            "kubectl.kubernetes.io/restartedAt": _text(created),
            "prometheus.io/port": "9090",
            "prometheus.io/scrape": "true",
        }
        if source.random() < 0.25:
            limits = '{"limits":{"cpu":"2"},"requests":{"memory":"1Gi"}}'
            self._annotations["policy.example.com/last-applied"] = limits
        self._owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": replica_set,
            "uid": self._identity(),
            "controller": True,
        }
        image = f"registry.example.com/{self._namespace}/{app}:v{version}"
        self._containers = [self._container(app, image, 8080, "http")]
        for sidecar in source.sample(SIDECARS, source.choice((0, 1, 1, 2))):
            self._containers.append(self._container(*sidecar))
        self._restarts = source.choice((0, 0, 0, 0, 1, 3, 17))

    def _letters(self, length: int) -> str:
        return "".join(self._source.choices(LETTERS, k=length))

    def _identity(self) -> str:
        return str(uuid.UUID(int=self._source.getrandbits(128), version=4))

    def _container(self, name: str, image: str, port: int, port_name: str) -> dict[str, Any]:
        source = self._source
        variables = [
            {"name": "LOG_LEVEL", "value": source.choice(("info", "debug"))},
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel-collector.monitoring:4317"},
            {"name": f"{name.upper().replace('-', '_')}_POOL_SIZE", "value": str(source.randrange(4, 64))},
            # Its value is of a field of the pod.
            {"name": "POD_IP"},
        ]
        requests = {"cpu": f"{source.randrange(1, 20) * 50}m", "memory": f"{source.randrange(1, 33) * 64}Mi"}
        return {
            "name": name,
            "image": image,
            "resources": {"limits": {"memory": requests["memory"]}, "requests": requests},
            **({"args": [f"--listen=:{port}", '--log-format="json"']} if source.random() < 0.5 else {}),
            "ports": [
                {"containerPort": port, "name": port_name, "protocol": "TCP"},
                {"containerPort": port + 1, "name": "metrics", "protocol": "TCP"},
            ][: source.choice((1, 1, 2))],
            "env": variables[: source.randrange(1, 5)],
            "volumeMounts": [
                {"name": "config", "mountPath": f"/etc/{name}", "readOnly": True},
                {"name": "api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
            ],
            "imagePullPolicy": "IfNotPresent",
        }

    def at(self, now: datetime, version: int, kind: str) -> dict[str, Any]:
        """The object of an event."""
        source = self._source
        metadata: dict[str, Any] = {
            "name": self._name,
            "namespace": self._namespace,
            "uid": self._uid,
            "resourceVersion": str(version),
            "creationTimestamp": _text(self._created),
            "generateName": self._name[:-5],
            "labels": self._labels,
            "annotations": self._annotations,
            "ownerReferences": [self._owner],
        }
        if kind == "DELETED":
            metadata["deletionTimestamp"] = _text(now)
        spec = {
            "containers": self._containers,
            "volumes": [
                {"name": "config", "configMap": {"name": f"{self._app}-config", "defaultMode": 420}},
                {
                    "name": "api-access",
                    "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
                },
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "serviceAccountName": self._app,
            "nodeName": self._node,
            "schedulerName": "default-scheduler",
            "priority": 0,
        }
        if kind == "ADDED":
            status: dict[str, Any] = {"phase": "Pending", "qosClass": "Burstable"}
        else:
            ready = kind == "MODIFIED" and source.random() < 0.8
            status = {
                "phase": "Running",
                "conditions": [self._condition(name, ready) for name in CONDITIONS],
                "hostIP": self._node[3:].partition(".")[0].replace("-", "."),
                "podIP": self._address,
                "startTime": _text(self._created),
                "containerStatuses": [self._container_status(each, ready) for each in self._containers],
                "qosClass": "Burstable",
            }
        out = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status}
        return out

    def _condition(self, name: str, ready: bool) -> dict[str, Any]:
        late = name in ("Ready", "ContainersReady")
        condition: dict[str, Any] = {"type": name, "status": "True" if ready or not late else "False"}
        condition["lastProbeTime"] = None
        condition["lastTransitionTime"] = _text(self._created + timedelta(seconds=40 if late else 2))
        if late and not ready:
            condition["reason"] = "ContainersNotReady"
            condition["message"] = f"containers with unready status: [{self._app}]"
        return condition

    def _container_status(self, container: dict[str, Any], ready: bool) -> dict[str, Any]:
        source = self._source
        started = _text(self._created + timedelta(seconds=9))
        state: dict[str, Any]
        if ready:
            state = {"running": {"startedAt": started}}
        elif source.random() < 0.5:
            state = {
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": "back-off 5m0s restarting failed container",
                }
            }
        else:
            state = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": started}}
            state["terminated"]["finishedAt"] = _text(self._created + timedelta(minutes=7))
        digest = f"{source.getrandbits(256):064x}"
        return {
            "name": container["name"],
            "state": state,
            "ready": ready,
            "restartCount": self._restarts,
            "image": container["image"],
            "imageID": f"{container['image'].rpartition(':')[0]}@sha256:{digest}",
            "containerID": f"containerd://{digest[::-1]}",
            "started": ready,
        }
