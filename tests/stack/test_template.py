"""The behaviour of AWS that the local AWS does not model, held on the transformed template."""

import json
import re
from typing import Any

import pytest
from paths import ROOT
from template import Resource, Template, listed, logical_id

pytestmark = pytest.mark.alone

# Types whose resources take tags. SAM gives the API its tags in its OpenAPI body.
TAGGED = {
    "AWS::CloudWatch::Alarm",
    "AWS::DynamoDB::Table",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Stage",
}
# Types that take no tags, or take those of the stack only.
UNTAGGED = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    "AWS::IAM::ManagedPolicy",
    "AWS::KMS::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::QueryDefinition",
    "AWS::SNS::Subscription",
}
# Metrics that AWS documents, and those that the functions write, by namespace.
PUBLISHED = {
    "AWS/ApiGateway": {"4xx", "5xx", "Count", "IntegrationLatency", "Latency"},
    "AWS/DynamoDB": {"ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"},
    "AWS/Lambda": {"Duration", "Errors", "Invocations", "IteratorAge", "RecursiveInvocationsDropped", "Throttles"},
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    "Tenon": set(re.findall(r"^    (\w+),$", (ROOT / "shared/src/metrics.rs").read_text(), re.MULTILINE)),
}
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def test_a_function_that_can_reach_itself_through_queues_is_allowed_to_loop(template: Template) -> None:
    triggers = template.triggers()
    reaches = {
        function: {
            triggered
            for statement in template.statements(function)
            if any(action.startswith("sqs:SendMessage") for action in listed(statement["Action"]))
            for queue in listed(statement["Resource"])
            for triggered in triggers.get(logical_id(queue), [])
        }
        for function in template.functions()
    }

    def cycle(function: str) -> bool:
        seen, waiting = set(), set(reaches[function])
        while waiting:
            found = waiting.pop()
            seen.add(found)
            waiting |= reaches[found] - seen
        return function in seen

    looping = {function for function in reaches if cycle(function)}
    assert looping == {"Drain", "Replay"}
    for name, function in template.functions().items():
        # In some regions Lambda detects no loops and may not know the property.
        allow = {"Fn::If": ["DetectsLoops", "Allow", {"Ref": "AWS::NoValue"}]}
        assert function.get("RecursiveLoop") == (allow if name in looping else None), name


def test_an_alarm_rings_when_lambda_stops_a_loop(template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    watching = [alarm for alarm in alarms if alarm.get("MetricName") == "RecursiveInvocationsDropped"]
    assert {logical_id(alarm["Dimensions"][0]["Value"]) for alarm in watching} == {"Drain", "Replay"}
    assert all(alarm["Threshold"] == 0 for alarm in watching)


def test_no_log_level_drops_metrics(template: Template) -> None:
    # Lambda takes a line without a level, such as a metric, for INFO.
    for name, function in template.functions().items():
        assert function["LoggingConfig"]["ApplicationLogLevel"] == "INFO", name
        assert function["Environment"]["Variables"]["LOG_LEVEL"] == {"Ref": "LogLevel"}, name


def test_all_functions_log_into_one_group_that_goes_with_the_stack(template: Template) -> None:
    assert all(
        logical_id(function["LoggingConfig"]["LogGroup"]) == "Logs" for function in template.functions().values()
    )
    for name, group in template.of_type("AWS::Logs::LogGroup").items():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name
        assert "DeletionPolicy" not in template.resources[name], name
    assert set(template.of_type("AWS::Logs::LogGroup")) == {"Logs", "AccessLogs"}


def test_the_access_log_is_json_without_credentials(template: Template) -> None:
    [stage] = template.of_type("AWS::ApiGatewayV2::Stage").values()
    settings = stage["AccessLogSettings"]
    assert logical_id(settings["DestinationArn"]) == "AccessLogs"
    logged = json.loads(settings["Format"])
    assert {"requestId", "routeKey", "status", "environment", "keyId", "userId", "authorizerError"} <= set(logged)
    # Variables of HTTP APIs that name no header, path, query string or part of a credential.
    variables = re.findall(r"\$context\.([\w.]+)", settings["Format"])
    assert len(variables) == len(logged)
    assert not {
        name
        for name in variables
        if re.search("header|path|query|authorizer.(?!error|environment|keyId|userId)|httpMethod", name)
    }


def test_every_route_is_throttled_and_public_routes_more(template: Template) -> None:
    [stage] = template.of_type("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    # API Gateway's own default for an account: one environment records 5,000 errors a second.
    assert template.parameters["RequestsPerSecond"]["Default"] == 10_000
    paths = template.resources["Api"]["Properties"]["Body"]["paths"]
    routes = {f"{method.upper()} {path}": route for path, methods in paths.items() for method, route in methods.items()}
    public = {name for name, route in routes.items() if route["security"] == [{"NONE": []}]}
    pages = {"GET /console", "GET /modal", "GET /tenon.js", "GET /tenon.global.js"}
    assert public == pages | {"GET /openapi.json", "GET /.well-known/jwks.json", "POST /tickets"}
    special = stage["RouteSettings"]

    def rate(condition: str, parameter: str, default: int) -> dict[str, Any]:
        assert template.parameters[parameter]["Default"] == default
        return {"Fn::If": [condition, {"Ref": parameter}, default]}

    # These call the endpoints and accounts of customers.
    calling = {"POST /destinations", "PATCH /destinations/{destinationId}", "POST /destinations/{destinationId}/test"}
    assert set(special) == public | calling
    assert set(special) <= set(routes), "API Gateway refuses settings of a route that is not there"
    # The type of these settings is JSON: the default is a number, not the text of a parameter.
    for name in public:
        assert special[name]["ThrottlingRateLimit"] == rate("HasPublicRate", "PublicRequestsPerSecond", 100)
    tested = special["POST /destinations/{destinationId}/test"]["ThrottlingRateLimit"]
    assert tested == rate("HasTestRate", "TestRequestsPerSecond", 5)
    for name, settings in {**special, "default": stage["DefaultRouteSettings"]}.items():
        assert settings["DetailedMetricsEnabled"] == {"Fn::If": ["HasDetailedMetrics", True, False]}, name
    assert template.parameters["DetailedMetrics"]["Default"] == "false"


def test_concurrency_can_be_bounded_for_a_small_account(template: Template) -> None:
    mappings = template.of_type("AWS::Lambda::EventSourceMapping")
    bounds = {
        name: mapping["ScalingConfig"]["MaximumConcurrency"]["Ref"]
        for name, mapping in mappings.items()
        if "ScalingConfig" in mapping
    }
    assert bounds == {
        "DeliverWebhooksSource": "WebhookConcurrency",
        "DrainSource": "DrainConcurrency",
        "ReplaySource": "ReplayConcurrency",
    }
    streams = {
        name: mapping for name, mapping in mappings.items() if "StreamArn" in json.dumps(mapping["EventSourceArn"])
    }
    assert set(streams) == {"ForwardErrorsSource", "UserJobsSource", "EraseLogsSource"}
    for name, mapping in streams.items():
        assert mapping["ParallelizationFactor"] == {"Ref": "StreamParallelization"}, name
    for parameter in bounds.values():
        assert template.parameters[parameter]["MinValue"] == 2, "the least that SQS event source mappings take"
    reserved = {
        name: function["ReservedConcurrentExecutions"]
        for name, function in template.functions().items()
        if "ReservedConcurrentExecutions" in function
    }
    assert set(reserved) == {"Authorizer", "DestinationsTest"}
    for value in reserved.values():
        condition, _, otherwise = value["Fn::If"]
        assert otherwise == {"Ref": "AWS::NoValue"}, condition
    for parameter in ("AuthorizerReservedConcurrency", "TestReservedConcurrency"):
        assert template.parameters[parameter]["Default"] == 0


def test_the_authorizer_gives_up_before_api_gateway_does(template: Template) -> None:
    assert template.functions()["Authorizer"]["Timeout"] <= 9


def test_a_queue_waits_six_times_as_long_as_its_function_runs(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    triggered = {queue: functions for queue, functions in template.triggers().items() if queue in queues}
    assert set(triggered) == {"Webhooks", "Drains", "Replays"}
    for queue, [function] in triggered.items():
        assert queues[queue]["VisibilityTimeout"] >= 6 * template.functions()[function]["Timeout"], queue
        assert queues[queue]["RedrivePolicy"]["maxReceiveCount"] == 50, queue


def test_a_stream_has_at_most_two_consumers(template: Template) -> None:
    # More than two readers of a DynamoDB stream's shard are throttled.
    streams = {
        source: functions
        for source, functions in template.triggers().items()
        if source in template.of_type("AWS::DynamoDB::Table")
    }
    assert set(streams) == {"Directory", "Errors"}
    for table, functions in streams.items():
        assert len(functions) <= 2, table


def test_what_a_stack_holds_outlives_it_but_not_a_failed_first_deployment(template: Template) -> None:
    for name in template.of_type("AWS::KMS::Key"):
        assert template.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate", name
    for name, table in template.of_type("AWS::DynamoDB::Table").items():
        # A protected table cannot be deleted, so that a rollback that tried to would fail.
        assert template.resources[name]["DeletionPolicy"] == "Retain", name
        assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}, name


def test_a_function_takes_at_most_nine_lines() -> None:
    lines = (ROOT / "template.yaml").read_text().splitlines()
    functions = [number for number, line in enumerate(lines) if "Type: AWS::Serverless::Function" in line]
    assert len(functions) > 50
    for start in functions:
        # The logical id and the type share a line; an empty line ends the block.
        block = lines[start : lines.index("", start)]
        assert re.match(r"  \w+: \{", block[0]), block[0]
        assert len(block) <= 9, block[0]


def test_every_resource_that_takes_tags_names_its_stack(template: Template) -> None:
    assert {resource["Type"] for resource in template.resources.values()} == TAGGED | UNTAGGED
    for kind in TAGGED:
        for name, resource in template.of_type(kind).items():
            tags = resource["Tags"]
            value = (
                tags["Stack"] if isinstance(tags, dict) else next(tag["Value"] for tag in tags if tag["Key"] == "Stack")
            )
            assert value == {"Ref": "AWS::StackName"}, name


def test_the_indexes_have_what_later_filters_need(template: Template) -> None:
    indexes = {
        index["IndexName"]: index
        for index in template.of_type("AWS::DynamoDB::Table")["Errors"]["GlobalSecondaryIndexes"]
    }
    projected = {name: set(index["Projection"]["NonKeyAttributes"]) for name, index in indexes.items()}
    assert {"integrationId", "eventType", "fingerprint"} <= projected["by-environment"]
    assert {"integrationId", "fingerprint"} <= projected["by-user"]


def test_tables_with_indexes_are_created_one_after_the_other(template: Template) -> None:
    # Required by CloudFormation's documentation of `AWS::DynamoDB::Table`.
    tables = template.of_type("AWS::DynamoDB::Table")
    indexed = [name for name, table in tables.items() if table.get("GlobalSecondaryIndexes")]
    assert len(indexed) > 1
    before = [listed(template.resources[name].get("DependsOn", [])) for name in indexed]
    assert all(indexed[index] in later for index, later in enumerate(before[1:]))


def test_the_errors_table_can_be_warmed_and_is_not_by_default(template: Template) -> None:
    errors = template.of_type("AWS::DynamoDB::Table")["Errors"]
    for warmed in (errors, *errors["GlobalSecondaryIndexes"]):
        assert warmed["WarmThroughput"]["Fn::If"][0] == "IsWarmed"
    assert template.parameters["WarmWritesPerSecond"]["Default"] == 0


def test_the_template_names_no_partition() -> None:
    # SAM writes the partition of the region that it runs in.
    assert not re.search(r"arn:aws[-:]|amazonaws\.com/", (ROOT / "template.yaml").read_text())


def test_every_permission_on_a_table_is_limited_to_partitions(template: Template) -> None:
    tables = set(template.of_type("AWS::DynamoDB::Table"))
    for function in template.functions():
        for statement in template.statements(function):
            actions, resources = listed(statement["Action"]), listed(statement["Resource"])
            if any(resource == {"Fn::GetAtt": [table, "Arn"]} for resource in resources for table in tables):
                condition = statement.get("Condition", {})
                patterns = condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
                assert patterns, (function, statement)
                # A pattern that matches every entity of an environment limits nothing.
                assert not {"*", "env#*"} & set(patterns), function
            # Actions that LeadingKeys does not limit.
            assert not {"dynamodb:*", "dynamodb:Scan", "dynamodb:PartiQLSelect"} & set(actions), function


def test_a_function_that_may_only_read_a_table_holds_stores_that_only_read(template: Template) -> None:
    tables = template.of_type("AWS::DynamoDB::Table")
    generic = re.compile(r"^pub struct (\w+)<A: Access = ReadWrite>", re.MULTILINE)
    stores = {name for path in ROOT.glob("shared/src/store/*.rs") for name in generic.findall(path.read_text())}
    states = {name for path in ROOT.glob("functions/src/**/*.rs") for name in generic.findall(path.read_text())}
    assert stores >= {"Users", "Errors"}
    reading = re.compile(r"^pub struct (\w+)(?: \{[^}]*|\([^)]*)<ReadOnly>", re.MULTILINE)
    readers = {name for path in ROOT.glob("shared/src/store/*.rs") for name in reading.findall(path.read_text())}
    # States that share a name with none, and whose stores all read.
    fields = re.compile(rf"\b(?:{'|'.join(sorted(stores | states))})\b(<ReadOnly>)?")
    for path in ROOT.glob("functions/src/**/*.rs"):
        for name, body in re.findall(r"^pub struct (\w+State) \{([^}]*)\}", path.read_text(), re.MULTILINE):
            if fields.search(body) and all(fields.findall(body)):
                readers.add(name)
    of_table = {"Errors": {"Errors", "Deliveries"}}
    of_table["Directory"] = (stores | states) - of_table["Errors"]
    checked = set()
    for function, properties in template.functions().items():
        granted: dict[str, set[str]] = {}
        for statement in template.statements(function):
            for table in {logical_id(resource) for resource in listed(statement["Resource"])} & set(tables):
                granted.setdefault(table, set()).update(listed(statement["Action"]))
        name = properties["Code"]["S3Key"].strip("/").rpartition("/")[2]
        code = source_of(name) if granted else ""
        own = set(re.findall(r"struct (\w+)", code))
        for table, actions in granted.items():
            if {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"} & actions:
                continue
            # Types, but no constructors or patterns, which a parenthesis or a brace follows.
            names = "|".join(sorted(of_table[table] - own))
            access = re.findall(rf"\b(?:{names})\b(?!\s*[({{]|::)(<ReadOnly>)?", code)
            access += re.findall(rf"\b({'|'.join(sorted(readers - own))})\b", code)
            assert access, f"{name} may read {table}, and its file names no store of it"
            assert all(access), f"{name} may only read {table}: its stores must be `<ReadOnly>`"
            checked.add((name, table))
    assert {("users_get", "Directory"), ("errors_get", "Errors")} <= checked and len(checked) > 20


def source_of(function: str) -> str:
    """Returns the code that a binary serves, without imports, comments and extractors."""
    binary = (ROOT / "functions/src/bin" / f"{function}.rs").read_text()
    served = re.search(r"\bfunctions::([\w:]+)::\w+", binary)
    assert served, f"{function} serves no handler"
    path = ROOT / "functions/src" / served[1].replace("::", "/")
    code = (path.with_suffix(".rs") if path.with_suffix(".rs").exists() else path / "mod.rs").read_text()
    code = re.sub(r"//.*", "", code)
    code = re.sub(r"^(pub )?use [^;]*;", "", code, flags=re.MULTILINE)
    # The extractor has the name of the states.
    return re.sub(r"\b(extract::)?State\(.*?\): (extract::)?State<", "state: <", code)


def test_a_stream_of_errors_is_never_given_up_before_it_expires(template: Template) -> None:
    mappings = template.of_type("AWS::Lambda::EventSourceMapping")
    errors = mappings["ForwardErrorsSource"]
    assert errors["MaximumRetryAttempts"] == -1
    assert errors["BisectBatchOnFunctionError"] is True
    assert errors["MaximumRecordAgeInSeconds"] < 24 * 60 * 60, "a stream keeps records for 24 hours"
    assert logical_id(errors["DestinationConfig"]["OnFailure"]["Destination"]) == "ForwardFailures"
    for name, mapping in mappings.items():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name


def test_lambdas_own_log_level_is_a_parameter(template: Template) -> None:
    for name, function in template.functions().items():
        assert function["LoggingConfig"]["SystemLogLevel"] == {"Ref": "SystemLogLevel"}, name
        assert function["LoggingConfig"]["LogFormat"] == "JSON", name
    # INFO and below write a report for each invocation, which costs log storage.
    assert template.parameters["SystemLogLevel"]["Default"] == "WARN"


def alarms(template: Template) -> dict[str, Resource]:
    """Returns the properties of all alarms, by logical id."""
    return template.of_type("AWS::CloudWatch::Alarm")


def watched(alarm: Resource) -> list[Resource]:
    """Returns the metrics that an alarm reads."""
    if "Metrics" not in alarm:
        return [alarm]
    return [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]


def functions_watched(template: Template, name: str, metric: str) -> set[str]:
    """Returns the functions whose metric an alarm reads."""
    metrics = watched(alarms(template)[name])
    assert all((found["Namespace"], found["MetricName"]) == ("AWS/Lambda", metric) for found in metrics), name
    return {logical_id(dimension["Value"]) for found in metrics for dimension in found["Dimensions"]}


def background_functions(template: Template) -> set[str]:
    """Returns the functions that a queue, a stream or a schedule triggers."""
    rules = template.of_type("AWS::Events::Rule").values()
    scheduled = {logical_id(target["Arn"]) for rule in rules for target in rule["Targets"]}
    return scheduled.union(*template.triggers().values())


def test_every_alarm_watches_metrics_that_are_published_and_notifies(template: Template) -> None:
    actions = [
        {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]},
        {"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmEmails"}, {"Ref": "AWS::NoValue"}]},
    ]
    for name, alarm in alarms(template).items():
        assert alarm["AlarmName"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
        assert alarm["AlarmActions"] == alarm["OKActions"] == actions, name
        for metric in watched(alarm):
            assert metric["MetricName"] in PUBLISHED[metric["Namespace"]], name
            for dimension in metric["Dimensions"]:
                value = dimension["Value"]
                assert (
                    value == {"Ref": "AWS::StackName"}
                    or logical_id(value) in template.resources
                    or dimension["Name"] == "GlobalSecondaryIndexName"
                ), name


def test_a_new_stack_without_data_fires_no_alarm(template: Template) -> None:
    for name, alarm in alarms(template).items():
        assert alarm["TreatMissingData"] == "notBreaching", name
        # Nothing happens in a new stack, so that only values above a threshold may fire.
        assert name == "ScheduleStopped" or alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_an_alarm_fires_if_a_function_misses_its_schedule_of_five_minutes(template: Template) -> None:
    rules = template.of_type("AWS::Events::Rule").values()
    scheduled = {
        logical_id(rule["Targets"][0]["Arn"]) for rule in rules if rule.get("ScheduleExpression") == "rate(5 minutes)"
    }
    assert scheduled == {"Sweep", "UserJobs", "EraseLogs"}
    alarm = alarms(template)["ScheduleStopped"]
    metrics = [query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query]
    invocations = [stat["Metric"] for stat in metrics if stat["Metric"]["MetricName"] == "Invocations"]
    assert {logical_id(metric["Dimensions"][0]["Value"]) for metric in invocations} == scheduled
    # Each has time for its first run.
    assert {stat["Period"] for stat in metrics} == {5 * 60}
    assert alarm["EvaluationPeriods"] == 3


def test_metric_math_returns_one_series_from_at_most_ten_metrics(template: Template) -> None:
    for name, alarm in alarms(template).items():
        if "Metrics" not in alarm:
            continue
        [result] = [query for query in alarm["Metrics"] if query.get("ReturnData", True)]
        assert len(watched(alarm)) <= 10, f"{name}: the maximum of an alarm"
        inputs = {query["Id"] for query in alarm["Metrics"]} - {result["Id"]}
        assert len(inputs) == len(alarm["Metrics"]) - 1, f"{name}: an id is used twice"
        expressions = " ".join(query.get("Expression", "") for query in alarm["Metrics"])
        assert set(re.findall(r"\b[a-z]\w*\b", expressions)) == inputs or expressions.strip() == "SUM(METRICS())", name
        assert all(re.fullmatch(r"[a-z]\w*", id) for id in inputs), f"{name}: CloudWatch accepts no other ids"


def test_one_failed_request_fires_no_alarm_of_the_api(template: Template) -> None:
    assert re.match(r"IF\(failed >= 5, ", alarms(template)["ApiErrors"]["Metrics"][0]["Expression"])
    assert re.match(r"IF\(requests >= 1000, ", alarms(template)["ApiLatency"]["Metrics"][0]["Expression"])


def test_an_alarm_fires_when_a_background_function_fails_or_is_throttled(template: Template) -> None:
    background = background_functions(template)
    assert {"Drain", "ForwardErrors", "SigningKeysRotate"} < background
    failing = [functions_watched(template, name, "Errors") for name in ("BackgroundErrors", "RotationErrors")]
    assert set.union(*failing) == background
    assert functions_watched(template, "Throttles", "Throttles") == background | {"Authorizer"}
    assert functions_watched(template, "AuthorizerErrors", "Errors") == {"Authorizer"}


def test_an_alarm_fires_when_a_table_or_an_index_is_throttled(template: Template) -> None:
    for name, table in template.of_type("AWS::DynamoDB::Table").items():
        indexes = {index["IndexName"] for index in table["GlobalSecondaryIndexes"]}
        expected = {
            (metric, json.dumps([{"Ref": name}, *index]))
            for metric in ("ReadThrottleEvents", "WriteThrottleEvents")
            for index in [[], *([index] for index in indexes)]
        }
        found = {
            (metric["MetricName"], json.dumps([dimension["Value"] for dimension in metric["Dimensions"]]))
            for metric in watched(alarms(template)[f"{name}TableThrottles"])
            if metric["Namespace"] == "AWS/DynamoDB"
        }
        assert found == expected, name


def test_an_alarm_ends_when_dynamodb_reports_nothing_any_longer(template: Template) -> None:
    """CloudWatch ignores missing data of DynamoDB, regardless of `TreatMissingData`."""
    found = set()
    for name, alarm in alarms(template).items():
        queries = {query["Id"]: query for query in alarm.get("Metrics", [])}
        namespaces = {
            id: query["MetricStat"]["Metric"]["Namespace"] for id, query in queries.items() if "MetricStat" in query
        }
        assert "Metrics" in alarm or alarm["Namespace"] != "AWS/DynamoDB", name
        reported = {id for id, namespace in namespaces.items() if namespace == "AWS/DynamoDB"}
        if not reported:
            continue
        found.add(name)
        expressions = [query["Expression"] for query in queries.values() if "Expression" in query]
        sums = re.findall(r"SUM\(\[(.*?), zero\]\)", " ".join(expressions))
        assert reported <= {id for summed in sums for id in summed.split(", ")}, name
        elsewhere = re.sub(r"SUM\(\[.*?\]\)", "", " ".join(expressions))
        assert not reported & set(re.findall(r"\w+", elsewhere)), name
        assert queries["zero"]["Expression"] == "0 * waiting"
        # A queue that Lambda polls reports every minute.
        assert namespaces["waiting"] == "AWS/SQS"
    assert found == {"DirectoryTableThrottles", "ErrorsTableThrottles", "ForwarderStopped"}


def test_every_alarm_has_a_runbook(template: Template) -> None:
    headings = {name for line in re.findall("^### (.*)$", OPERATIONS, re.MULTILINE) for name in line.split(" and ")}
    rows = set(re.findall(r"^\| `(\w+)` \|", OPERATIONS, re.MULTILINE))
    for name in alarms(template):
        assert name in headings, f"docs/operations.md has no section {name}"
        assert name in rows, f"docs/operations.md lists no alarm {name}"


def test_every_parameter_is_documented_with_its_default(template: Template) -> None:
    section = OPERATIONS.partition("### Parameters")[2].partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    assert set(rows) == set(template.parameters)
    for name, parameter in template.parameters.items():
        default = str(parameter["Default"])
        # An empty default stands for a value that the row describes.
        assert rows[name].strip("`") == default if default else "`" not in rows[name], name


def test_the_quotas_name_what_a_stack_uses(template: Template) -> None:
    section = OPERATIONS.partition("## Quotas")[2].partition("\n## ")[0]
    used = dict(re.findall(r"^\| ([^|]+) \|[^|]+\| (\d+) \|$", section, re.MULTILINE))
    [api] = template.of_type("AWS::ApiGatewayV2::Api").values()
    assert used == {
        "API Gateway: routes of an API": str(sum(len(methods) for methods in api["Body"]["paths"].values())),
        "IAM: roles of an account": str(len(template.of_type("AWS::IAM::Role"))),
        "EventBridge: rules of a bus": str(len(template.of_type("AWS::Events::Rule"))),
        "CloudWatch: alarms": str(len(template.of_type("AWS::CloudWatch::Alarm"))),
        "CloudFormation: resources of a stack": str(len(template.resources)),
    }
    assert f"each of the {used['API Gateway: routes of an API']} routes" in OPERATIONS


def test_the_dashboard_shows_existing_metrics_and_all_alarms(template: Template) -> None:
    [dashboard] = template.of_type("AWS::CloudWatch::Dashboard").values()
    # Each reference becomes the logical id that it names.
    body = re.sub(r"\$\{([\w:]+)(?:\.\w+)?\}", r"\1", dashboard["DashboardBody"]["Fn::Sub"])
    widgets = json.loads(body)["widgets"]
    [overview] = [widget for widget in widgets if widget["type"] == "alarm"]
    assert set(overview["properties"]["alarms"]) == set(alarms(template))
    indexes = {
        (name, index["IndexName"])
        for name, table in template.of_type("AWS::DynamoDB::Table").items()
        for index in table["GlobalSecondaryIndexes"]
    }
    for widget in widgets:
        title, metrics = widget["properties"]["title"], widget["properties"].get("metrics", [])
        assert metrics or widget is overview, title
        for namespace, metric, *rest in metrics:
            options = rest.pop() if isinstance(rest[-1], dict) else {}
            assert "stat" in {**widget["properties"], **options}, title
            assert metric in PUBLISHED[namespace], f"{title}: {metric}"
            dimensions = dict(zip(rest[::2], rest[1::2], strict=True))
            if index := dimensions.pop("GlobalSecondaryIndexName", None):
                assert (dimensions["TableName"], index) in indexes, title
            [(dimension, resource)] = dimensions.items()
            kind = {
                "ApiId": "AWS::ApiGatewayV2::Api",
                "FunctionName": "AWS::Lambda::Function",
                "QueueName": "AWS::SQS::Queue",
                "TableName": "AWS::DynamoDB::Table",
            }.get(dimension)
            assert resource in (template.of_type(kind) if kind else {"AWS::StackName"}), f"{title}: {resource}"


def test_saved_queries_read_a_log_group_of_the_stack_and_are_documented(template: Template) -> None:
    saved = template.of_type("AWS::Logs::QueryDefinition").values()
    assert len(saved) == 7
    for query in saved:
        [group] = query["LogGroupNames"]
        assert logical_id(group) in {"Logs", "AccessLogs"}
        assert query["Name"]["Fn::Sub"].startswith("${AWS::StackName}/")
        name = query["Name"]["Fn::Sub"].removeprefix("${AWS::StackName}")
        assert f"| `<stack>{name}` |" in OPERATIONS, f"docs/operations.md does not list {name}"


def test_a_permissions_boundary_applies_to_every_role(template: Template) -> None:
    boundary = {"Fn::If": ["HasPermissionsBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    roles = template.of_type("AWS::IAM::Role")
    assert len(roles) == len(template.functions())
    assert all(role["PermissionsBoundary"] == boundary for role in roles.values())


def test_a_role_may_write_traces_only_while_tracing_is_active(template: Template) -> None:
    traced = Template.transformed(Tracing="Active")
    for name in template.functions():
        assert "TracingConfig" not in template.functions()[name], name
        assert traced.functions()[name]["TracingConfig"] == {"Mode": {"Ref": "Tracing"}}, name
        added = [
            {
                str(policy).rpartition("/")[2]
                for policy in found.resources[f"{name}Role"]["Properties"]["ManagedPolicyArns"]
            }
            for found in (template, traced)
        ]
        assert added[1] - added[0] == {"AWSXrayWriteOnlyAccess"}, name


def test_the_own_url_of_the_api_can_be_disabled(template: Template) -> None:
    [server] = template.resources["Api"]["Properties"]["Body"]["servers"]
    settings = server["x-amazon-apigateway-endpoint-configuration"]
    # API Gateway takes booleans, and parameters are text.
    assert settings == {"disableExecuteApiEndpoint": {"Fn::If": ["DisablesExecuteApiEndpoint", True, False]}}


def test_a_preflight_allows_what_browsers_need(template: Template) -> None:
    cors = template.resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == ["*"]
    # Tokens travel in the Authorization header: there are no cookies.
    assert not cors.get("allowCredentials")
    assert {"authorization", "content-type", "idempotency-key", "if-match"} <= set(cors["allowHeaders"])
    paths = template.resources["Api"]["Properties"]["Body"]["paths"].values()
    assert {method.upper() for methods in paths for method in methods} <= set(cors["allowMethods"])


def test_a_key_waits_for_the_functions_whose_roles_its_policy_names(template: Template) -> None:
    keys = template.of_type("AWS::KMS::Key")
    assert len(keys) == 3
    for name in keys:
        key = template.resources[name]
        roles = set(re.findall(r'"(\w+)Role"', json.dumps(key["Properties"]["KeyPolicy"])))
        assert roles, name
        assert set(listed(key["DependsOn"])) >= roles, name


def test_the_first_rotation_waits_for_the_key_that_it_uses(template: Template) -> None:
    # A rule may fire when it is created.
    assert template.resources["SigningKeysRotation"]["DependsOn"] == "SigningKeyAlias"
    [target] = template.resources["SigningKeysRotation"]["Properties"]["Targets"]
    permission = template.resources["SigningKeysRotationPermission"]["Properties"]
    assert target["Arn"] == {"Fn::GetAtt": ["SigningKeysRotate", "Arn"]}
    assert permission["FunctionName"] == {"Ref": "SigningKeysRotate"}
    assert permission["SourceArn"] == {"Fn::GetAtt": ["SigningKeysRotation", "Arn"]}


def test_records_and_messages_wait_for_the_key_that_their_functions_use(template: Template) -> None:
    # A table that was kept or restored has records when its stack is created.
    policy = json.dumps(template.resources["DestinationsKey"]["Properties"]["KeyPolicy"])
    uses = {role.removesuffix("Role") for role in re.findall(r'"(\w+Role)"', policy)}
    triggers = [
        one
        for one in (template.resources[name] for name in template.of_type("AWS::Lambda::EventSourceMapping"))
        if one["Properties"]["FunctionName"].get("Ref") in uses
    ]
    assert len(triggers) == 3
    assert all(trigger["DependsOn"] == "DestinationsKeyAlias" for trigger in triggers)


def test_removing_the_base_path_moves_the_api_to_the_root(template: Template) -> None:
    # An update that omits the key changes nothing.
    assert template.resources["DomainMapping"]["Properties"]["ApiMappingKey"] == {"Ref": "BasePath"}


def test_an_action_on_a_table_is_allowed_by_one_statement(template: Template) -> None:
    # A transaction can name keys of several kinds. A statement must list all of them.
    for function in template.functions():
        pairs = [
            (action, json.dumps(statement["Resource"]))
            for statement in template.statements(function)
            for action in listed(statement["Action"])
            if action.startswith("dynamodb:")
        ]
        assert len(pairs) == len(set(pairs)), function
