"""What ``/metrics`` says of this moment, read from the files that all workers share."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ml_backend.model_registry import ModelRegistry
from ml_backend.training.training_requests import TrainingRequests


@dataclass(frozen=True)
class Gauges(Collector):
    """The version that answers for each trained project, and the trainings that wait.

    A project has one line, whatever it was trained to before: the page grows with the projects alone.
    """

    registry: ModelRegistry
    requests: TrainingRequests

    def collect(self) -> Iterator[Metric]:
        """Read the files."""
        model = GaugeMetricFamily(
            "ml_backend_model_info", "The version that answers for a project", labels=["project", "version"]
        )
        versions = GaugeMetricFamily(
            "ml_backend_versions",
            "Versions of a project that are kept, by whether they took over or were held back",
            labels=["project", "result"],
        )
        for project_id in self.registry.projects():
            project, version = str(project_id), self.registry.current_version(project_id)
            if version is not None:
                model.add_metric([project, version], 1)
            records = self.registry.records(project_id)
            versions.add_metric([project, "promoted"], sum(record.took_over for record in records))
            versions.add_metric([project, "held_back"], sum(bool(record.held_back) for record in records))
        yield model
        yield versions
        waiting, running = self.requests.counts()
        yield GaugeMetricFamily("ml_backend_trainings_waiting", "Projects that wait for a training", value=waiting)
        yield GaugeMetricFamily("ml_backend_trainings_running", "Projects in training", value=running)
