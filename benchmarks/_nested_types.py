"""The types of the nested workloads, as a user of msgspec writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

# Bluesky's Jetstream


class Commit(Struct):
    rev: str
    operation: Literal["create", "update", "delete"]
    collection: str
    rkey: str
    # As JSON text, which is the column that the rivals make: dict[str, Any] would be a map.
    record: dict[Any, Any] | None = None
    cid: str | None = None


class Identity(Struct):
    did: str
    seq: int
    time: datetime
    handle: str | None = None


class Account(Struct):
    active: bool
    did: str
    seq: int
    time: datetime
    status: str | None = None


class CommitEvent(Struct, tag_field="kind", tag="commit"):
    did: str
    time_us: int
    commit: Commit


class IdentityEvent(Struct, tag_field="kind", tag="identity"):
    did: str
    time_us: int
    identity: Identity


class AccountEvent(Struct, tag_field="kind", tag="account"):
    did: str
    time_us: int
    account: Account


JetstreamEvent: TypeAlias = CommitEvent | IdentityEvent | AccountEvent

# Binance's order book


class DepthUpdate(Struct, tag_field="e", tag="depthUpdate"):
    E: int
    s: str
    U: int
    u: int
    b: list[list[str]]
    a: list[list[str]]


# Watching pods of Kubernetes


class OwnerReference(Struct, rename="camel"):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(Struct, rename="camel"):
    name: str
    namespace: str
    uid: str
    resource_version: str
    creation_timestamp: datetime
    generate_name: str | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []


class ContainerPort(Struct, rename="camel"):
    container_port: int
    name: str | None = None
    protocol: str | None = None


class EnvVar(Struct):
    name: str
    value: str | None = None


class Resources(Struct):
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}


class VolumeMount(Struct, rename="camel"):
    name: str
    mount_path: str
    read_only: bool = False


class Container(Struct, rename="camel"):
    name: str
    image: str
    resources: Resources
    args: list[str] = []
    ports: list[ContainerPort] = []
    env: list[EnvVar] = []
    volume_mounts: list[VolumeMount] = []
    image_pull_policy: str | None = None


class PodSpec(Struct, rename="camel"):
    containers: list[Container]
    # Of a volume there are thirty kinds.
    volumes: list[dict[Any, Any]] = []
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    service_account_name: str | None = None
    node_name: str | None = None
    scheduler_name: str | None = None
    priority: int | None = None


class Condition(Struct, rename="camel"):
    type: str
    status: Literal["True", "False", "Unknown"]
    last_transition_time: datetime
    last_probe_time: datetime | None = None
    reason: str | None = None
    message: str | None = None


class Running(Struct, rename="camel"):
    started_at: datetime


class Waiting(Struct):
    reason: str
    message: str | None = None


class Terminated(Struct, rename="camel"):
    exit_code: int
    reason: str
    started_at: datetime
    finished_at: datetime


class ContainerState(Struct):
    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, rename="camel"):
    name: str
    state: ContainerState
    ready: bool
    restart_count: int
    image: str
    image_id: str = field(name="imageID")
    container_id: str | None = field(name="containerID", default=None)
    started: bool | None = None


class PodStatus(Struct, rename="camel"):
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
    conditions: list[Condition] = []
    host_ip: str | None = field(name="hostIP", default=None)
    pod_ip: str | None = field(name="podIP", default=None)
    start_time: datetime | None = None
    container_statuses: list[ContainerStatus] = []
    qos_class: str | None = None


class Pod(Struct, rename="camel"):
    kind: str
    api_version: str
    metadata: ObjectMeta
    spec: PodSpec
    status: PodStatus


class WatchEvent(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Pod


# Alpaca's trades and quotes, several in a message


class Trade(Struct, tag_field="T", tag="t"):
    i: int
    S: str
    x: str
    p: float
    s: int
    t: datetime
    c: list[str]
    z: str


class Quote(Struct, tag_field="T", tag="q"):
    S: str
    bx: str
    bp: float
    bs: int
    ax: str
    ap: float
    as_: int = field(name="as")
    t: datetime
    c: list[str]
    z: str


MarketEvents: TypeAlias = list[Trade | Quote]
