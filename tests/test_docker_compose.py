"""docker-compose.yml and the files that it mounts: what each service may do, and whom it may reach."""

import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import make_env
import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
SHELL = [ROOT / "scripts" / f"{name}.sh" for name in ("database-setup", "adopt-secrets", "postgres-init")]


VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::?-(?P<default>[^}]*)|:\?[^}]*)?\}")


def parsed(values: dict[str, str] | None = None) -> dict[str, Any]:
    """The file as docker compose reads it with these variables, and its own defaults for the others."""

    def filled(node: Any) -> Any:  # noqa: ANN401  # any piece of YAML
        if isinstance(node, dict):
            return {filled(key): filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(value) for value in node]
        if not isinstance(node, str) or not VARIABLE.search(node):
            return node
        text = VARIABLE.sub(lambda found: (values or {}).get(found["name"]) or found["default"] or "", node)
        return {"true": True, "false": False}.get(text, text)

    loaded = filled(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert isinstance(loaded, dict)
    return loaded


SERVICES: dict[str, dict[str, Any]] = parsed()["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_little_but_serve(name: str) -> None:
    """Its image is read-only, it has next to no rights of the system, and what it may take and log is limited."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", ())) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit", "restart"} <= set(service)
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert not {"privileged", "network_mode", "pid", "devices"} & set(service)


@pytest.mark.parametrize("name", ["ml-backend", "consensus", "consensus-api"])
def test_our_own_services_have_no_rights_at_all(name: str) -> None:
    """They run as a user of their own, who needs none."""
    assert "cap_add" not in SERVICES[name]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "database"])
def test_a_service_that_runs_says_how_it_is(name: str) -> None:
    """It has a health check, here or in the image that is built for it."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    image = SERVICES[name].get("build", {}).get("target")
    stage = re.search(rf"^FROM \S+ AS {image}$(.*?)(?=^FROM|\Z)", dockerfile, re.MULTILINE | re.DOTALL)
    assert "healthcheck" in SERVICES[name] or (stage and "HEALTHCHECK" in stage[1])


def test_nothing_is_published_without_tls_but_on_this_machine() -> None:
    """Other machines reach the proxy with TLS alone, which has to be asked for."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"proxy", "proxy-tls", "consensus-api"}
    assert SERVICES["proxy-tls"]["profiles"] == ["tls"]
    assert all(port.startswith("127.0.0.1:") for name in ("proxy", "consensus-api") for port in published[name])


def test_postgresql_is_reached_by_those_that_need_it() -> None:
    """It has a network without a way out, that neither a proxy nor the ML backend is on."""
    on_it = {name for name, service in SERVICES.items() if "database" in service.get("networks", ())}
    assert on_it == {"postgres", "database", "label-studio", "consensus", "consensus-api"}
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert parsed()["networks"]["database"] == {"internal": True}


def test_consensus_has_a_role_of_its_own() -> None:
    """It is given no password of the database's owner."""
    for name in ("consensus", "consensus-api"):
        environment = SERVICES[name]["environment"]
        assert environment["CONSENSUS_DATABASE_URL"] == "postgresql+psycopg2://consensus@postgres:5432/consensus"
        assert "POSTGRES_PASSWORD" not in str(environment)


@pytest.mark.parametrize("network", [make_env.OUR_NETWORK, "192.168.7"])
def test_label_studio_asks_two_private_addresses_and_no_more(network: str) -> None:
    """Those of the backend's proxy and of consensus' service, which ask for credentials, in any network."""
    refused = make_env.refused_networks(network)
    values = {"STACK_NETWORK": network, "LABEL_STUDIO_REFUSED_NETWORKS": refused}
    services = parsed(values if network != make_env.OUR_NETWORK else None)["services"]
    environment = services["label-studio"]["environment"]
    switches = ("ML_BLOCK_LOCAL_IP", "SSRF_PROTECTION_ENABLED", "USE_DEFAULT_BANNED_SUBNETS")
    assert [environment[name] for name in switches] == ["true", "true", "false"]
    assert environment["USER_ADDITIONAL_BANNED_SUBNETS"] == refused
    banned = [ipaddress.ip_network(name) for name in refused.split(",")]
    fixed = {
        name: ipaddress.ip_address(service["networks"]["default"]["ipv4_address"])
        for name, service in services.items()
        if "ipv4_address" in str(service.get("networks"))
    }
    reached = {name for name, address in fixed.items() if not any(address in one for one in banned)}
    assert reached == {"ml-backend-proxy", "consensus-api"}
    before = [ipaddress.ip_network(name) for name in make_env.RESERVED]
    assert sum(one.num_addresses for one in before) - sum(one.num_addresses for one in banned) == len(reached)


def test_the_reserved_networks_are_label_studios() -> None:
    """What Label Studio would refuse by itself is what the list is made from."""
    module = next((ROOT / ".venv-label-studio").glob("lib/*/site-packages/label_studio/core/utils/io.py"), None)
    if module is None:
        pytest.skip("no Label Studio is installed")
    source = module.read_text(encoding="utf-8").partition("default_banned_subnets = [")[2].partition("]")[0]
    assert re.findall(r"^\s*'([^']+)'", source, re.MULTILINE) == make_env.RESERVED


def test_proxies_find_services_by_the_addresses_that_they_have() -> None:
    """What nginx is told of an address is what the service has."""
    for name in ("proxy", "proxy-tls", "ml-backend-proxy"):
        for line in SERVICES[name]["extra_hosts"]:
            host, _, address = line.partition(":")
            assert SERVICES[host]["networks"]["default"]["ipv4_address"] == address


@pytest.mark.parametrize("script", SHELL, ids=lambda script: str(script.name))
def test_scripts_of_the_containers_are_in_plain_shell(script: Path) -> None:
    """They can be run, and a shell understands them."""
    assert script.stat().st_mode & 0o111
    shell = shutil.which("dash") or "/bin/sh"
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0


def test_what_is_mounted_is_there() -> None:
    """Every file and folder of the repository that a service is given exists."""
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert not source.startswith("./") or source == "./certificates" or (ROOT / source).exists()
