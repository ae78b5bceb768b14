"""What /metrics tells Prometheus; docs/serving.md lists the names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily

from advisor.core import Usage
from advisor.serve.service import Service

# Seconds: answers of a few tokens take tens of milliseconds, long ones on a CPU many seconds.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self.responses = Counter(
            "advisor_responses", "Responses by route and HTTP status", ["route", "status"],
            registry=self.registry)
        self.seconds = Histogram(
            "advisor_request_seconds", "Seconds from a chat request to its answer",
            buckets=BUCKETS, registry=self.registry)
        self.tokens = Counter(
            "advisor_tokens", "Tokens read and written", ["kind"], registry=self.registry)
        gauges = {
            "advisor_waiting": ("Requests that wait", lambda: service.desk.waiting),
            "advisor_answering": ("Requests that are being answered", lambda: service.desk.inside),
            "advisor_withdrawn": ("1: what was served may not be used any more",
                                  lambda: bool(service.withdrawn)),
            "advisor_trouble": ("1: the version that should be served could not be opened",
                                lambda: bool(service.trouble)),
        }
        for name, (about, value) in gauges.items():
            Gauge(name, about, registry=self.registry).set_function(value)
        self._service = service
        self.registry.register(_Versions(service))
        ProcessCollector(registry=self.registry)

    def answered(self, usage: Usage, seconds: float) -> None:
        self.seconds.observe(seconds)
        self.tokens.labels("in").inc(usage.tokens_in)
        self.tokens.labels("out").inc(usage.tokens_out)


class _Versions:
    """The version that is served, and how often another took its place."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> list[GaugeMetricFamily]:
        served = self._service.current
        version = GaugeMetricFamily("advisor_version", "The version that is served",
                                    labels=["name", "id"])
        version.add_metric([served.name, served.target.id], 1)
        switches = GaugeMetricFamily("advisor_switches", "Changes of version since the start",
                                     labels=["result"])
        for result, count in self._service.switches.items():
            switches.add_metric([result], count)
        return [version, switches]
