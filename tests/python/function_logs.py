"""Prints the messages of a log group that contain a text.

Usage: function_logs.py LOG_GROUP TEXT
"""

import json
import sys

import boto3

log_group, text = sys.argv[1:]
pages = (
    boto3.client("logs")
    .get_paginator("filter_log_events")
    .paginate(logGroupName=log_group, filterPattern=json.dumps(text))
)
print("\n".join(event["message"] for page in pages for event in page["events"] if text in event["message"]))
