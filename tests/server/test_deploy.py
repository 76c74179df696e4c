"""Files that start a cluster, by the schemas of those who read them."""

import json
import re
import shlex
from importlib import resources
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from upscale_bridge.cli import _parser

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
CLUSTER = list(yaml.safe_load_all((DEPLOY / "kubernetes/cluster.yaml").read_text("utf-8")))
SCALER = list(yaml.safe_load_all((DEPLOY / "kubernetes/scaler.yaml").read_text("utf-8")))
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))


def commands():
    """Return every command of ours that the files start."""
    found = [
        service["command"]
        for service in COMPOSE["services"].values()
        if "upscale-bridge" in str(service.get("command"))
    ]
    found = [shlex.split(one) for one in found]
    for one in CLUSTER:
        for container in one["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            found.append([*container["command"], *container.get("args", ())])
    return found


def test_compose_file_meets_its_schema():
    vendored = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(vendored.read_text("utf-8")))
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])


def test_only_what_listens_is_asked_over_http_whether_it_lives():
    """A container whose check fails counts as dead, and the image's own check asks a listener."""
    for service in COMPOSE["services"].values():
        if shlex.split(service.get("command", ""))[:2] == ["upscale-bridge", "worker"]:
            assert service["healthcheck"] == {"disable": True}
    for one in CLUSTER:
        for container in one["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            probes = {"livenessProbe", "readinessProbe"} & set(container)
            assert bool(probes) == ("serve" in container["command"])


@pytest.mark.parametrize("manifest", CLUSTER, ids=lambda one: one["metadata"]["name"])
def test_manifests_meet_the_schemas_of_kubernetes(manifest):
    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_manifests_fit_each_other():
    by_kind = {}
    for one in CLUSTER:
        by_kind.setdefault(one["kind"], []).append(one)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in by_kind["Deployment"]]
    for one in by_kind["Deployment"]:
        pod = one["spec"]["template"]
        assert one["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
        names = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == names
    for one in by_kind["Service"]:
        assert one["spec"]["selector"] in labels
    (scaled,) = [one for one in SCALER if one["kind"] == "ScaledObject"]
    named = {one["metadata"]["name"] for one in by_kind["Deployment"]}
    assert scaled["spec"]["scaleTargetRef"]["name"] in named


def test_scaler_meets_the_schema_of_keda():
    from cloudcoil.models.keda import v1alpha1

    for one in SCALER:
        model = getattr(v1alpha1, one["kind"])
        found = model.model_validate(one).model_dump(by_alias=True, exclude_none=True, mode="json")
        assert kept(one, found) == []


def test_query_of_the_scaler_is_one_that_the_store_answers(databases):
    from upscale_bridge.server.cluster.database import Store
    from upscale_bridge.server.cluster.queue import ClusterQueue

    (scaled,) = [one for one in SCALER if one["kind"] == "ScaledObject"]
    store = Store(databases.url("postgresql"))
    ClusterQueue(store)
    with store.transaction(reading=True):
        query = scaled["spec"]["triggers"][0]["metadata"]["query"]
        assert store.execute(query).scalar_one() == 0
    store.close()


def test_dashboard_meets_the_schema_of_grafana():
    found = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    assert kept(DASHBOARD, found) == []


def test_dashboard_asks_for_metrics_that_there_are(server):
    from upscale_bridge.server.metrics import Metrics
    from upscale_bridge.server.queue import WorkerFacts

    server.queue.workers = lambda: [WorkerFacts("box", "cuda:0", "1", (), "", 0.0, 5.0, 3, 1)]
    metrics = Metrics(server.queue)
    metrics.note("/v3/x", 200, 0.1)
    told = metrics.text().decode()
    assert 'upscale_bridge_worker_busy_seconds_total{device="cuda:0",machine="box"} 5.0' in told
    asked = set(re.findall(r"upscale_bridge_\w+", json.dumps(DASHBOARD)))
    assert len(asked) >= 8
    for name in asked:
        assert re.search(rf"^{name}(\{{|\s)", told, re.MULTILINE), name


def test_commands_are_understood():
    found = commands()
    assert {one[1] for one in found} == {"serve", "worker"}
    for program, *arguments in found:
        assert program == "upscale-bridge"
        _parser().parse_args(arguments)


def test_example_of_the_environment_names_what_the_commands_read():
    lines = (DEPLOY / "cluster.env.example").read_text("utf-8").splitlines()
    names = {line.partition("=")[0] for line in lines if not line.startswith("#")}
    assert {f"UPSCALE_BRIDGE_{part}" for part in ("BROKER", "STORE", "FILES")} < names


def kept(wanted, found, path=""):
    """Return what of `wanted` is not in `found`: what a schema does not know is lost on the way."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [path]
        return [one for key in wanted for one in kept(wanted[key], found.get(key), f"{path}/{key}")]
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return [path]
        pairs = enumerate(zip(wanted, found, strict=True))
        return [one for index, (a, b) in pairs for one in kept(a, b, f"{path}/{index}")]
    return [] if wanted == found else [path]
