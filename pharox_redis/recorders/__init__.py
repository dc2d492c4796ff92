"""Metrics of what a program acquires and releases, and of the pools of a storage.

A recorder is told by a manager's callbacks what was acquired and released, by this process:
``prometheus.PrometheusRecorder`` (extra ``prometheus``), ``opentelemetry.OpenTelemetryRecorder``
(extra ``opentelemetry``). ``pools.PoolCollector`` (extra ``prometheus``) reads a storage's figures
when it is scraped: what all processes together did and hold.

This package imports neither library; its modules do.
"""
