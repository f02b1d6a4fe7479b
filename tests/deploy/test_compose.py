"""The containers, as far as they can be held without an engine."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from config.settings import ENV_PREFIX, Settings, load_settings
from contracts.names import DEFAULT_NAMESPACE, TASK_QUEUE, SearchAttribute

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.temporal.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def filled(value: str, environment: Mapping[str, str]) -> str:
    """``value`` with ``${NAME:-default}`` and ``$$`` put in, as Compose does."""

    def put_in(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match["name"]) or match["default"]

    return re.sub(r"\$\$|\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}", put_in, value)


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec/compose-spec.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


def test_the_schema_would_notice_a_slip() -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec/compose-spec.json").read_text())
    broken = {**COMPOSE, "services": {**SERVICES, "worker": {**SERVICES["worker"], "comand": ["worker"]}}}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validators.validator_for(schema)(schema).validate(broken)


def test_every_image_has_its_version() -> None:
    images = [service["image"] for service in SERVICES.values()] + re.findall(
        r"^FROM (\S+)", DOCKERFILE, re.M
    )
    assert images
    for image in images:
        assert re.search(r":\d+\.\d+[\w.-]*$", image), image
        assert "latest" not in image


def test_no_port_is_open_to_others() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_service_is_waited_for_until_it_is_healthy_or_done() -> None:
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name], name
            else:
                assert wanted["condition"] == "service_completed_successfully"
                assert SERVICES[name]["restart"].startswith("on-failure"), name


def test_data_lies_in_named_volumes() -> None:
    named = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if not mount.startswith(".")
    }
    assert named == set(COMPOSE["volumes"])


def test_what_is_mounted_from_the_repository_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            if mount.startswith("."):
                assert (ROOT / mount.split(":")[0]).exists(), mount


@pytest.mark.parametrize("service", ["worker", "migrate"])
def test_the_environment_is_one_that_our_settings_understand(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"DATABASE_PASSWORD": "s3cret"}
    environment = {name: filled(value, given) for name, value in SERVICES[service]["environment"].items()}
    mounts = dict(mount.split(":")[1::-1] for mount in SERVICES[service]["volumes"])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COMFYCHAIN_CONFIG", str(ROOT / mounts[environment["COMFYCHAIN_CONFIG"]]))

    settings = load_settings()

    ours = {name.removeprefix(ENV_PREFIX).lower() for name in environment if name.startswith(ENV_PREFIX)}
    assert ours - {"config"} <= set(Settings.model_fields)
    assert settings.database_url == "postgresql+asyncpg://comfychain:s3cret@database:5432/comfychain"
    assert settings.temporal_address == "temporal:7233"
    assert settings.data_dir == Path("/data")
    assert str(settings.data_dir) in mounts
    assert [server.name for server in settings.servers] == ["here"]


def test_hosts_in_addresses_are_services() -> None:
    environment = SERVICES["worker"]["environment"]
    assert environment["COMFYCHAIN_TEMPORAL_ADDRESS"].split(":")[0] in SERVICES
    [database] = re.findall(r"@([a-z-]+):5432/", environment["COMFYCHAIN_DATABASE_URL"])
    assert database in SERVICES
    assert SERVICES["temporal"]["environment"]["POSTGRES_SEEDS"] in SERVICES


def test_the_image_is_built_from_locked_requirements_and_runs_without_rights() -> None:
    assert "pip install --require-hashes -r requirements/runtime.txt" in DOCKERFILE
    assert re.search(r"^USER (?!0\b|root)\d+", DOCKERFILE, re.M)
    assert SERVICES["worker"]["cap_drop"] == ["ALL"]


def test_the_image_gets_every_package_of_ours() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages <= kept
    assert {"pyproject.toml", "requirements", "LICENSE", "README.md"} <= kept
    for script in re.findall(r"/opt/comfychain/(\S+)", " ".join(SERVICES["worker"]["healthcheck"]["test"])):
        assert script in kept
        assert os.access(ROOT / script, os.X_OK)


def test_the_namespace_is_made_with_our_search_attributes() -> None:
    script = (ROOT / "deploy/temporal/namespace.sh").read_text()
    registered = set(re.findall(r"^register (\w+)", script, re.M))
    assert registered == set(SearchAttribute)
    assert SERVICES["temporal-namespace"]["environment"]["TEMPORAL_NAMESPACE"] == DEFAULT_NAMESPACE


@pytest.mark.parametrize(
    "script", ["check-python", "healthy-worker", "temporal/schema.sh", "temporal/namespace.sh"]
)
def test_a_script_is_one_that_a_plain_shell_reads(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / "deploy" / script)], check=True)


def test_the_worker_is_asked_for_on_its_own_queue() -> None:
    assert f"--task-queue {TASK_QUEUE} " in (ROOT / "deploy" / "healthy-worker").read_text()
