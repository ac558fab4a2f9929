"""The service and the plugin in docker-compose.yml."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def service(name: str) -> str:
    """The lines of a service."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"^  ([\w-]+):\n((?:    .*\n|\n|  #.*\n)+)", compose, re.MULTILINE))[name]


def test_label_studio_finds_plugin_and_service() -> None:
    """The file is mounted where Label Studio looks; both have one token; a name has the dot that webhooks need."""
    studio, api = service("label-studio"), service("consensus-api")
    (source, target, mode) = re.findall(r"- \./(\S+consensus_actions\.py):(\S+?):(\w+)$", studio, re.MULTILINE)[0]
    assert (ROOT / source).is_file()
    assert (target, mode) == ("/label-studio/label_studio/data_manager/actions/consensus_actions.py", "ro")
    assert "CONSENSUS_URL: http://consensus-api:9091" in studio
    token = "CONSENSUS_API_TOKEN: ${CONSENSUS_API_TOKEN-}"
    assert (token in studio, token in api) == (True, True)
    assert "- consensus-api.internal" in api
