"""The alarms and what Prometheus scrapes: everything that they name is there."""

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
SOURCES = [
    ROOT / name
    for name in (
        "consensus/serving/metrics.py",
        "consensus/serving/gauges.py",
        "consensus/commands/schedule_metrics.py",
        "ml_backend/metrics.py",
        "ml_backend/serving/gauges.py",
    )
]
KIND = re.compile(
    r'\b(Counter|Histogram|Gauge|GaugeMetricFamily)\(\s*"(\w+)",\s*"[^"]*"(?:,\s*(?:labels=)?(\[[^]]*\]))?'
)
SUFFIXES = {"Counter": ("_total",), "Histogram": ("_bucket", "_sum", "_count")}


def series() -> dict[str, set[str]]:
    """The names of the time series that the programs show, and their labels."""
    shown = {}
    for source in SOURCES:
        for kind, name, labels in KIND.findall(source.read_text(encoding="utf-8")):
            for suffix in SUFFIXES.get(kind, ("",)):
                shown[f"{name}{suffix}"] = set(re.findall(r'"(\w+)"', labels))
    return shown


def rules() -> list[dict[str, object]]:
    """All alarms."""
    groups = yaml.safe_load((ROOT / "config/alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_metric_of_an_alarm_exists() -> None:
    """With the labels that the alarm chooses by or shows."""
    shown = series()
    assert len(shown) > 20
    for rule in rules():
        expression = str(rule["expr"])
        for name, chosen in re.findall(r"\b((?:consensus|ml_backend)_\w+)(?:\{([^}]*)\})?", expression):
            assert name in shown, rule["alert"]
            assert set(re.findall(r"(\w+)=", chosen)) <= shown[name]
        named = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
        metrics = re.findall(r"\b(?:consensus|ml_backend)_\w+", expression)
        assert set(named) <= ({"job"} if "up{" in expression else set.union(*(shown[name] for name in metrics)))


def test_each_alarm_says_what_to_do() -> None:
    """Its summary is a sentence; alarms of one name are one."""
    assert len({str(rule["alert"]) for rule in rules()}) == len(rules())
    assert all("summary" in str(rule["annotations"]) for rule in rules())


def test_what_is_scraped_is_in_the_stack() -> None:
    """Every target is a service of docker compose, and the alarm for one that is down names all jobs."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    jobs = yaml.safe_load((ROOT / "config/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = [target for job in jobs for each in job["static_configs"] for target in each["targets"]]
    assert {target.partition(":")[0] for target in targets} <= set(services)
    down = next(str(rule["expr"]) for rule in rules() if rule["alert"] == "ServiceDown")
    assert sorted(re.findall(r"[\w-]+-[\w-]+", down)) == sorted(job["job_name"] for job in jobs)
    assert services["consensus"]["environment"]["CONSENSUS_METRICS_ADDRESS"] == "0.0.0.0:9092"


def test_logs_can_be_kept_of_every_service() -> None:
    """The file that is put beside the compose file leaves none out."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    kept = yaml.safe_load((ROOT / "config/keep-logs.yml").read_text(encoding="utf-8"))["services"]
    assert set(kept) == set(services)
    assert {service["logging"]["driver"] for service in kept.values()} == {"journald"}
