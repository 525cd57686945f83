"""Monitoring resources that the emulator does not know: saved queries, and alarms with metric math.

A deployment creates both, and neither has an effect: the queries are not stored, and the alarms
are never evaluated.
"""

import functools

from ministack.services.cloudformation import provisioners


def install() -> None:
    """Makes CloudFormation accept the resources."""
    provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
        "create": lambda logical_id, *_: (logical_id, {}),
        "update": lambda physical_id, *_: (physical_id, {}),
        "delete": lambda *_: None,
    }
    provisioners._cw_metric_alarm_record = _accepting_math(provisioners._cw_metric_alarm_record)


def _accepting_math(record):
    @functools.wraps(record)
    def record_any(name, properties):
        if "Metrics" not in properties:
            return record(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        # An alarm without a metric is not evaluated.
        return {**record(name, {**plain, "Namespace": "-", "MetricName": "-"}), "Namespace": None, "MetricName": None}

    return record_any
