"""What ``/metrics`` says of this moment, read from the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.errors import SuiteError
from consensus.assist.audits import stored_audits
from consensus.serving.service import Service


@dataclass(frozen=True, eq=False)
class Gauges(Collector):
    """Whether the store can be read, the last run of each project, how much waits for review, and audits."""

    service: Service

    def collect(self) -> Iterator[Metric]:
        """Read the store; where it cannot be read, that is all there is to say."""
        up = GaugeMetricFamily("consensus_store_up", "Whether the store can be read")
        run = GaugeMetricFamily(
            "consensus_last_run_timestamp_seconds", "When the last run of a project began", labels=["project"]
        )
        whole = GaugeMetricFamily(
            "consensus_last_run_finished", "Whether Label Studio holds what the last run found", labels=["project"]
        )
        waiting = GaugeMetricFamily(
            "consensus_review_waiting", "What waits for review", labels=["project", "queue"]
        )
        precision = GaugeMetricFamily(
            "consensus_audit_precision",
            "Share of a batch's blind audits that was right",
            labels=["project", "batch"],
        )
        below = GaugeMetricFamily(
            "consensus_audit_below_target",
            "Whether a batch is less precise than was asked for",
            labels=["project", "batch"],
        )
        try:
            with self.service.store.snapshot() as snapshot:
                runs, queues = snapshot.pages.latest_runs(), snapshot.pages.queue_counts()
                audited = {row["project"]: stored_audits(snapshot, row["project"]) for row in runs}
        except SuiteError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        for row in runs:
            project, began = str(row["project"]), row["started_at"]
            moment = began if began.tzinfo else began.replace(tzinfo=UTC)
            run.add_metric([project], moment.timestamp())
            whole.add_metric([project], row["finished_at"] is not None)
        for row in queues:
            waiting.add_metric([str(row["project"]), row["queue"]], row["waiting"])
        for number, batches in audited.items():
            for each in batches:
                if not each.label and each.precision is not None:
                    precision.add_metric([str(number), each.batch], each.precision)
                    below.add_metric([str(number), each.batch], each.is_below)
        yield from (up, run, whole, waiting, precision, below)
