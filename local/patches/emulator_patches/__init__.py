"""Patches of ministack 1.5.33, one module for each difference from AWS that Tenon depends on."""

from . import conditions, events, logs, loops, monitoring, numbers, queries, server, templates, workers

server.install()
workers.install()
loops.install()
numbers.install()
conditions.install()
events.install()
logs.install()
queries.install()
monitoring.install()
templates.install()
