"""The Helm chart, rendered by Helm itself and checked against the schemas that Kubernetes and KEDA
publish; and beside Compose, whose processes it starts.

Helm runs in a process of its own, as its library brings Go's signal handlers.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import ROOT, compose_file

CHART = ROOT / "deploy/helm/mmml"
COMPOSE: dict[str, dict[str, Any]] = compose_file("docker-compose.yml")["services"]
VERSIONS = ("1.30", "1.37")  # the oldest that Chart.yaml allows, the newest known
_PACKAGES = ("helm_python", "kubernetes_validate", "cloudcoil.models.keda")


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not all(map(_installed, _PACKAGES)), reason="Helm is not installed (make chart)"
)

TRIAL = {
    "redis": {"included": True},
    "secrets": {"firstKey": "mmml_" + "5" * 43, "redisPassword": "letters"},
    "settings": {"MMML_MAX_BODY": "67108864"},
}
PRODUCTION = {
    "image": {"registry": "registry.example/team", "tag": "1", "pullSecrets": [{"name": "login"}]},
    "redis": {"url": "rediss://redis.example:6379/0", "caSecret": "redis-ca"},
    "secrets": {"existing": "mine"},
    "storage": {"url": "s3://bucket/folder", "secret": "cloud"},
    "weights": {"volume": {"nfs": {"server": "files.example", "path": "/weights"}}},
    "serviceAccount": "mmml",
    "ingress": {
        "enabled": True,
        "host": "images.example",
        "className": "nginx",
        "tlsSecret": "images-tls",
    },
    "workers": [
        {"name": "gpu", "settings": {"MMML_MAX_BATCH": "32"}, "drain": 60, "minReplicas": 0},
        {"name": "cpu", "device": "cpu", "gpus": 0, "nodeSelector": {"kind": "cpu"}},
    ],
    "keda": {"enabled": True},
    "networkPolicy": {
        "enabled": True,
        "clientsFrom": [{"namespaceSelector": {}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
    },
}
CASES = {"trial": TRIAL, "production": PRODUCTION}

_RENDER = """
import json, sys
import helm_python
with helm_python.Chart.load(sys.argv[1]) as chart:
    rendered = chart.render(json.load(sys.stdin), name="demo", namespace="images")
json.dump(rendered, sys.stdout)
"""
_LINT = """
import json, sys
import helm_python
json.dump(helm_python.lint(sys.argv[1], json.load(sys.stdin)), sys.stdout, default=str)
"""


def helm(program: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, str(CHART)]
    given = json.dumps(values)
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


@cache
def objects(case: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By kind and the name's part after that of the release."""
    done = helm(_RENDER, CASES[case])
    assert done.returncode == 0, done.stderr
    texts = {n: t for n, t in json.loads(done.stdout).items() if n.endswith(".yaml")}
    found = [made for text in texts.values() for made in yaml.safe_load_all(text) if made]
    named = {(m["kind"], m["metadata"]["name"].removeprefix("demo-mmml-")): m for m in found}
    assert len(named) == len(found), "two objects of one kind and name"
    return named


def pods(case: str) -> dict[str, dict[str, Any]]:
    """Pods' templates by the process that they run."""
    kinds = ("Deployment", "StatefulSet")
    return {n: m["spec"]["template"]["spec"] for (k, n), m in objects(case).items() if k in kinds}


def container(case: str, name: str) -> dict[str, Any]:
    (found,) = pods(case)[name]["containers"]
    return dict(found)


def environment(case: str, name: str) -> dict[str, str]:
    own = {v["name"]: v["value"] for v in container(case, name).get("env", [])}
    return {**objects(case)["ConfigMap", "settings"]["data"], **own}


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_about(case: str) -> None:
    done = helm(_LINT, CASES[case])
    assert done.returncode == 0, done.stderr
    messages = json.loads(done.stdout)["messages"]
    # It wants an icon, and says no more.
    assert [m for m in messages if "icon is recommended" not in str(m)] == [], messages


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_knows_every_field(case: str, version: str) -> None:
    from kubernetes_validate import validate

    made = [m for (kind, _), m in objects(case).items() if kind != "ScaledObject"]
    assert len(made) >= 10
    for one in made:
        validate(one, version, strict=True)


def test_keda_knows_every_field() -> None:
    """Its schema allows fields that it does not know, and drops them."""
    from cloudcoil.models.keda.v1alpha1 import ScaledObject

    made = [m for (kind, _), m in objects("production").items() if kind == "ScaledObject"]
    assert len(made) == 2
    for one in made:
        read = ScaledObject.model_validate(one)
        assert read.model_dump(by_alias=True, exclude_none=True) == one


def test_without_keda_the_values_say_how_many_workers_there_are() -> None:
    assert objects("trial")["Deployment", "worker-gpu"]["spec"]["replicas"] == 1
    assert "replicas" not in objects("production")["Deployment", "worker-gpu"]["spec"]
    spec = objects("production")["ScaledObject", "worker-cpu"]["spec"]
    assert spec["scaleTargetRef"] == {"name": "demo-mmml-worker-cpu"}
    assert objects("production")["ScaledObject", "worker-gpu"]["spec"]["minReplicaCount"] == 0


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_confined(case: str) -> None:
    """As the Pod Security Standard "restricted" asks, and more."""
    for name, pod in pods(case).items():
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"] > 0) == (True, True), name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        own = container(case, name)
        assert own["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert own["resources"]["limits"]["memory"]
        assert own["livenessProbe"]
        assert own["startupProbe"]


def test_processes_are_those_of_compose() -> None:
    for name, service in (("gateway", "gateway"), ("reconciler", "reconciler"), ("redis", "redis")):
        own, theirs = container("trial", name), COMPOSE[service]
        assert own["image"].partition(":")[0] == theirs["image"]
        assert own.get("command") == theirs.get("command")
    worker = container("trial", "worker-gpu")
    assert worker["image"].partition(":")[0] == COMPOSE["worker"]["image"]
    assert "command" not in worker
    assert "command" not in COMPOSE["worker"]
    ports = {p["name"]: p["containerPort"] for p in container("trial", "gateway")["ports"]}
    assert COMPOSE["gateway"]["ports"][0].endswith(f":{ports['http']}")
    assert container("production", "worker-gpu")["image"] == "registry.example/team/mmml-worker:1"


@pytest.mark.parametrize("name", ["gateway", "reconciler", "worker-gpu"])
def test_folders_and_settings_are_those_of_compose(name: str) -> None:
    service = COMPOSE[name.partition("-")[0]]
    folders = {volume.split(":")[-1] for volume in service["volumes"] if not volume.endswith("ro")}
    folders |= {volume.split(":")[-2] for volume in service["volumes"] if volume.endswith("ro")}
    mounted = {mount["mountPath"] for mount in container("trial", name)["volumeMounts"]}
    assert mounted == folders | {"/tmp", "/run/secrets"}
    own = environment("trial", name)
    theirs = {k: str(v) for k, v in service["environment"].items() if v != ""}
    written = {k for k, v in theirs.items() if "$" not in v} - {"MMML_REDIS_URL"}
    assert {k: own[k] for k in written} == {k: theirs[k] for k in written}
    assert set(theirs) <= set(own)


def test_secrets_reach_only_those_who_need_them() -> None:
    for name, pod in pods("trial").items():
        (secret,) = [v["secret"] for v in pod["volumes"] if v["name"] == "secrets"]
        keys = {item["key"] for item in secret["items"]}
        assert keys == {"redis_password"} | ({"first_key"} if name == "gateway" else set())
    secret = objects("trial")["Secret", "secrets"]["stringData"]
    others = [m for (kind, _), m in objects("trial").items() if kind != "Secret"]
    assert secret["first_key"] not in json.dumps(others)
    assert ("Secret", "secrets") not in objects("production")


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_waits_longer_than_the_processes_drain(case: str) -> None:
    for name, pod in pods(case).items():
        own = environment(case, name) if name != "redis" else {}
        grace = float(own.get("MMML_DRAIN", own.get("MMML_GRACE", 0)))
        assert pod["terminationGracePeriodSeconds"] >= grace + 10


def test_a_gpu_is_asked_for_only_where_there_is_one() -> None:
    assert container("production", "worker-gpu")["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in container("production", "worker-cpu")["resources"]["limits"]
    assert environment("production", "worker-cpu")["MMML_DEVICE"] == "cpu"
    assert environment("production", "worker-gpu")["MMML_MAX_BATCH"] == "32"


def test_pictures_need_a_claim_only_where_they_lie_in_a_folder() -> None:
    claim = objects("trial")["PersistentVolumeClaim", "pictures"]["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"]
    assert not [kind for kind, _ in objects("production") if kind == "PersistentVolumeClaim"]
    cloud = {"secretRef": {"name": "cloud"}}
    assert cloud in container("production", "worker-gpu")["envFrom"]


def test_every_process_may_lose_one_pod_at_a_time() -> None:
    budgets = {name for kind, name in objects("production") if kind == "PodDisruptionBudget"}
    assert budgets == set(pods("production"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "redis.url is missing"),
        ({"redis": {"url": "redis://h"}}, "secrets.firstKey is missing"),
        ({"redis": {"included": True}, "secrets": {"firstKey": "x"}}, "secrets.redisPassword is"),
        ({**TRIAL, "settings": {"MMML_MAX_BODI": "1"}}, "MMML_MAX_BODI"),
        ({**TRIAL, "settings": {"MMML_FIRST_KEY": "x"}}, "MMML_FIRST_KEY"),
        ({**TRIAL, "settings": {"MMML_MAX_BODY": 67108864}}, "want string"),
        ({**TRIAL, "werker": {}}, "additional properties 'werker' not allowed"),
        ({**TRIAL, "storage": {"url": "memory://"}}, "does not match pattern"),
    ],
)
def test_what_is_missing_or_misspelt_is_said(values: dict[str, Any], says: str) -> None:
    done = helm(_RENDER, values)
    assert done.returncode != 0
    assert says in done.stderr
