"""compose.yaml: replicas, a cluster and a Redis that fit together, with pinned images and without a secret."""

import re
from typing import Any

import pytest
import yaml

from rag.settings import Settings
from tests.conftest import ROOT

TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
APPS = [service for name, service in SERVICES.items() if name.startswith("app-")]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("qdrant-")}
PROXY = COMPOSE["configs"]["caddyfile"]["content"]
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_SECRET = re.compile(r"TOKEN|KEY|PASSWORD|SECRET")


def filled(value: str, **given: str) -> str:
    """The value as Compose fills it in."""
    return _VARIABLE.sub(lambda found: given.get(found[1], found[3] if found[2] == "-" else "given"), value)


def test_there_are_three_replicas_three_nodes_one_redis_and_one_proxy() -> None:
    assert (len(APPS), len(NODES)) == (3, 3)
    assert set(SERVICES) - {"app-1", "app-2", "app-3"} - set(NODES) == {"redis", "proxy"}


def test_the_replicas_differ_in_nothing_but_their_data() -> None:
    shown = [{key: value for key, value in app.items() if key != "volumes"} for app in APPS]
    assert shown[0] == shown[1] == shown[2]
    data = [volume for app in APPS for volume in app["volumes"] if volume.endswith("/home/user/data")]
    assert len(set(data)) == 3


def test_what_the_replicas_are_given_are_settings_that_the_application_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = APPS[0]["environment"]
    assert {name.lower() for name in environment} <= set(Settings.model_fields)
    for name, value in environment.items():
        monkeypatch.setenv(name, filled(value, REDIS_PASSWORD="a-b_1"))
    settings = Settings.load()
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:a-b_1@redis:6379/0"
    assert settings.qdrant_url == "http://qdrant:6333"
    assert settings.qdrant_replicas == 2 <= len(NODES)
    assert settings.qdrant_shards % len(NODES) == 0, "the nodes hold equally many"


def test_the_nodes_form_one_cluster_that_answers_to_one_name() -> None:
    for name, node in NODES.items():
        assert node["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"
        assert node["networks"]["data"]["aliases"] == ["qdrant"]
        assert f"http://{name}:6335" in node["command"]
        assert ("--bootstrap" in node["command"]) == (name != "qdrant-1")
    assert len({node["volumes"][0] for node in NODES.values()}) == 3


def test_the_database_is_of_the_client_s_version() -> None:
    locked = re.search(r"^qdrant-client==(\d+\.\d+)\.", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    assert all(node["image"].startswith(f"qdrant/qdrant:v{locked[1]}.") for node in NODES.values())


def test_the_proxy_keeps_a_reader_at_one_replica_and_holds_no_stream_back() -> None:
    upstreams = re.search(r"reverse_proxy (.+) \{", PROXY)
    assert upstreams is not None
    assert upstreams[1].split() == ["app-1:7860", "app-2:7860", "app-3:7860"]
    assert "lb_policy client_ip_hash" in PROXY
    assert "flush_interval -1" in PROXY
    assert "health_uri /health" in PROXY
    assert filled(PROXY).count("{") == filled(PROXY).count("}") == 4
    subnet = COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert all(app["environment"]["FORWARDED_ALLOW_IPS"] == subnet for app in APPS)


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert all(set(service["networks"]) == {"data"} for service in [*NODES.values(), SERVICES["redis"]])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_restarted_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+|:local$", service["image"]), service["image"]
    assert service["restart"] == "unless-stopped"
    built_here = service.get("build") == "."
    assert "healthcheck" in service or built_here, "the image built here brings its own"
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).is_dir()


def test_redis_is_bounded_closed_and_kept() -> None:
    command = SERVICES["redis"]["command"]
    for option in ("--requirepass", "--maxmemory", "--maxmemory-policy", "--appendonly"):
        assert option in command


def test_no_secret_stands_in_the_file_and_none_that_is_needed_is_forgotten() -> None:
    required = {found[1] for found in _VARIABLE.finditer(TEXT) if found[2] == "?"}
    assert required == {"ADMIN_TOKEN", "QDRANT_API_KEY", "REDIS_PASSWORD"}
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if _SECRET.search(name):
                assert _VARIABLE.search(value) or name == "DAILY_TOKEN_BUDGET", name
    for name in required:
        assert not re.search(rf"\$\{{{name}(:-|\}})", TEXT), f"{name} may not be empty"
