"""Permissions of each function, tested with its role: all that it needs, and no others."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import boto3
import botocore.exceptions
import pytest
from emulator import CUSTOMER_ACCOUNT, PRODUCT_ACCOUNT, REGION, Emulator
from stack import STACK, Stack

pytestmark = pytest.mark.alone

# Purpose of a secret → KMS key that wraps it.
KEYS = {
    "token-signing": "signing",
    "destination-credentials": "destinations",
    "webhook-secret": "destinations",
    "idempotency": "destinations",
    "credential-data": "credentials",
}
# Functions that may seal secrets of a purpose, and open them.
SEAL = {
    "token-signing": {"EnvironmentsCreate", "SigningKeysRotate"},
    "destination-credentials": {"DestinationsCreate", "DestinationsPatch"},
    "webhook-secret": {"DestinationsCreate", "DestinationsRotateSecret"},
    "idempotency": {"DestinationsCreate"},
    "credential-data": {"CredentialsCreate", "CredentialsReplace", "InstallationsPut"},
}
OPEN = {
    "token-signing": {"Tickets", "UsersToken"},
    "destination-credentials": {"DestinationsPatch", "DestinationsTest", "ForwardErrors", "Drain"},
    "webhook-secret": {"DestinationsCreate", "DestinationsTest", "DeliverWebhooks", "Drain"},
    "idempotency": {"DestinationsCreate"},
    "credential-data": {"CredentialsReveal"},
}

# Functions that may read each partition of the directory. Environment and ids are arbitrary.
ENVIRONMENT = f"env#{'0' * 24}"
READERS = {
    "stack": {"Authorizer", "EnvironmentsCreate", "Jwks", "Tickets", "UsersToken", "SigningKeysRotate"},
    "ticket#" + "0" * 64: {"Tickets"},
    "key#" + "0" * 64: {"Authorizer"},
    ENVIRONMENT: {"EnvironmentsCreate", "EnvironmentsGet", "EnvironmentsPatch", "KeysCreate", "Session"},
    f"{ENVIRONMENT}#keys": {"KeysList", "KeysRevoke"},
    f"{ENVIRONMENT}#idempotency#x": {
        "CredentialsCreate", "DestinationsCreate", "DestinationsReplay", "ErrorsRecord", "UsersBatch", "UsersCreate", "WorkflowsCreate",
    },
    f"{ENVIRONMENT}#integrations": {
        "CredentialsGet", "CredentialsList", "InstallationsDelete", "InstallationsGet", "InstallationsList", "InstallationsListAll",
        "InstallationsPut", "IntegrationsInstallUrl", "IntegrationsDelete", "IntegrationsGet", "IntegrationsList", "IntegrationsPut",
        "Session", "Tickets", "UserJobs", "WorkflowsDelete",
    },
    f"{ENVIRONMENT}#replays": {"DestinationsReplay", "Drain", "Replay", "ReplaysCancel", "ReplaysGet", "ReplaysList"},
    f"{ENVIRONMENT}#destinations": {
        "DeliverWebhooks", "DestinationsCreate", "DestinationsDelete", "DestinationsDeliveries", "DestinationsGet", "DestinationsList",
        "DestinationsPatch", "DestinationsReplay", "DestinationsRotateSecret", "DestinationsTest", "Drain", "EraseLogs", "ErrorsGet",
        "EventsGet", "ForwardErrors", "Replay", "ReplaysList", "Sweep",
    },
}  # fmt: skip
# Functions that may write to each partition of the directory.
WRITERS = {
    "stack": {"EnvironmentsCreate", "SigningKeysRotate"},
    "key#" + "0" * 64: {"KeysCreate", "KeysRevoke"},
    "ticket#" + "0" * 64: {"IntegrationsInstallUrl", "Tickets"},
    ENVIRONMENT: {"EnvironmentsCreate", "EnvironmentsPatch"},
    f"{ENVIRONMENT}#keys": {"Authorizer", "KeysCreate", "KeysRevoke"},
    f"{ENVIRONMENT}#integrations": {"IntegrationsDelete", "IntegrationsPut"},
    f"{ENVIRONMENT}#destinations": {
        "DeliverWebhooks", "DestinationsCreate", "DestinationsDelete", "DestinationsPatch", "DestinationsRotateSecret", "DestinationsTest",
        "Drain", "ForwardErrors", "Replay", "Sweep",
    },
    f"{ENVIRONMENT}#replays": {"DestinationsReplay", "Drain", "Replay", "ReplaysCancel"},
    f"{ENVIRONMENT}#deletions": {"UserJobs", "UsersDelete"},
    f"{ENVIRONMENT}#status-changes": {"UserJobs", "UsersStatus"},
}  # fmt: skip
# Functions that may write to the partition of a workflow's errors.
ERROR_WRITERS = {"EraseLogs", "ErrorsRecord"}
# Functions that may write to the partition of a user's events.
EVENT_WRITERS = {
    "CredentialsCreate", "CredentialsDelete", "CredentialsReplace", "CredentialsStatus", "EraseLogs", "InstallationsDelete",
    "InstallationsPut", "UserJobs", "UsersDelete", "UsersStatus", "WorkflowsActivate", "WorkflowsCreate", "WorkflowsDeactivateAll",
    "WorkflowsDelete", "WorkflowsUpdate",
}  # fmt: skip
# Functions that read responses of customers' endpoints, and therefore cannot access user data.
EXPOSED = {"DeliverWebhooks", "DestinationsTest", "Drain", "ForwardErrors"}
# Functions that may assume roles of other accounts.
ASSUMERS = {"DestinationsPatch", "DestinationsTest", "Drain", "ForwardErrors"}


class Roles:
    """The roles of the stack's functions."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.iam, self.sts = emulator.client("iam"), emulator.client("sts")
        cloudformation = emulator.client("cloudformation")
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        self.clients: dict[tuple[str, str], Any] = {}
        self.names = {
            resource["LogicalResourceId"].removesuffix("Role"): resource["PhysicalResourceId"]
            for resource in found
            if resource["ResourceType"] == "AWS::IAM::Role"
        }

    def client(self, function: str, service: str) -> Any:
        """Returns a client that acts under the role of a function."""
        if (function, service) not in self.clients:
            self.clients[function, service] = self.assume(function, service)
        return self.clients[function, service]

    def assume(self, function: str, service: str) -> Any:
        """Returns a new client that acts under the role of a function."""
        role = self.names[function]
        described = self.iam.get_role(RoleName=role)["Role"]
        trust = described["AssumeRolePolicyDocument"]
        # The roles trust Lambda alone. For these tests they trust the account as well.
        ours = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{PRODUCT_ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
        }
        if ours not in trust["Statement"]:
            trust["Statement"].append(ours)
            self.iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
        assumed = self.sts.assume_role(RoleArn=described["Arn"], RoleSessionName="test")["Credentials"]
        return boto3.client(
            service,
            endpoint_url=self.emulator.endpoint,
            region_name=REGION,
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
        )


@pytest.fixture(scope="module")
def roles(emulator: Emulator) -> Roles:
    """The roles of the stack's functions."""
    return Roles(emulator)


def is_allowed(call: Callable[..., Any], **arguments: Any) -> bool:
    """Returns whether AWS allows a call.

    A failed condition counts as allowed, because AWS checks permissions first. Any other error
    fails the test.
    """
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as refusal:
        code = refusal.response["Error"]["Code"]
        assert code in ("AccessDenied", "AccessDeniedException", "ConditionalCheckFailedException"), refusal
        return code == "ConditionalCheckFailedException"
    return True


def context(purpose: str) -> dict[str, str]:
    """Returns the encryption context of a secret."""
    return {"environment": secrets.token_hex(12), "owner": secrets.token_hex(12), "purpose": purpose}


def test_each_function_seals_and_opens_secrets_of_its_own_purposes_only(roles: Roles) -> None:
    for purpose, key in KEYS.items():
        key_id = f"alias/{STACK}-{key}"
        sealed_for = context(purpose)
        sealer = roles.client(sorted(SEAL[purpose])[0], "kms")
        sealed = sealer.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=sealed_for)[
            "CiphertextBlob"
        ]
        seal, opened = set(), set()
        for function in roles.names:
            kms = roles.client(function, "kms")
            if is_allowed(kms.generate_data_key, KeyId=key_id, KeySpec="AES_256", EncryptionContext=sealed_for):
                seal.add(function)
            if is_allowed(kms.decrypt, KeyId=key_id, CiphertextBlob=sealed, EncryptionContext=sealed_for):
                opened.add(function)
            # Without a purpose nothing is allowed.
            assert not is_allowed(kms.generate_data_key, KeyId=key_id, KeySpec="AES_256"), function
        assert (purpose, seal) == (purpose, SEAL[purpose])
        assert (purpose, opened) == (purpose, OPEN[purpose])


def test_no_function_may_do_anything_else_with_a_key(roles: Roles) -> None:
    for function in roles.names:
        kms = roles.client(function, "kms")
        for key in set(KEYS.values()):
            key_id = f"alias/{STACK}-{key}"
            assert not is_allowed(
                kms.encrypt, KeyId=key_id, Plaintext=b"x", EncryptionContext=context("webhook-secret")
            )
            described = kms_key(roles, key_id)
            assert not is_allowed(kms.put_key_policy, KeyId=described, PolicyName="default", Policy="{}")


def kms_key(roles: Roles, alias: str) -> str:
    """Returns the id of the key that an alias names."""
    aliases = roles.emulator.client("kms").list_aliases()["Aliases"]
    return next(found["TargetKeyId"] for found in aliases if found["AliasName"] == alias)


def may_read(dynamodb: Any, table: str, key: dict[str, Any]) -> bool:
    """Returns whether a client may read an item, alone or with its partition."""
    partition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": key["pk"]}}
    return any(
        [
            is_allowed(dynamodb.get_item, TableName=table, Key=key),
            is_allowed(dynamodb.query, TableName=table, **partition),
            is_allowed(dynamodb.batch_get_item, RequestItems={table: {"Keys": [key]}}),
        ]
    )


def test_each_function_reads_the_partitions_of_its_own_entities_only(roles: Roles, stack: Stack) -> None:
    table = stack.outputs["DirectoryTable"]
    clients = {function: roles.client(function, "dynamodb") for function in roles.names}
    readers = {
        partition: {
            function
            for function, client in clients.items()
            if may_read(client, table, {"pk": {"S": partition}, "sk": {"S": "nothing"}})
        }
        for partition in READERS
    }
    assert readers == READERS


def may_write(dynamodb: Any, table: str, partition: str) -> bool:
    """Returns whether a client may put, update or delete an item of a partition."""
    key = {"pk": {"S": partition}, "sk": {"S": "nothing"}}
    existing = {"TableName": table, "ConditionExpression": "attribute_exists(pk)"}
    update = {"UpdateExpression": "SET written = :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    return any(
        [
            is_allowed(dynamodb.put_item, Item=key, **existing),
            is_allowed(dynamodb.update_item, Key=key, **existing, **update),
            is_allowed(dynamodb.delete_item, Key=key, **existing),
            is_allowed(dynamodb.batch_write_item, RequestItems={table: [{"DeleteRequest": {"Key": key}}]}),
        ]
    )


def test_each_function_writes_to_the_partitions_of_its_own_entities_only(roles: Roles, stack: Stack) -> None:
    expected = {(stack.outputs["DirectoryTable"], partition): writers for partition, writers in WRITERS.items()}
    expected[stack.outputs["ErrorsTable"], f"{ENVIRONMENT}#workflow#{'0' * 24}"] = ERROR_WRITERS
    expected[stack.outputs["ErrorsTable"], f"{ENVIRONMENT}#user#{'0' * 24}#events"] = EVENT_WRITERS
    for (table, partition), writers in expected.items():
        allowed = {
            function for function in roles.names if may_write(roles.client(function, "dynamodb"), table, partition)
        }
        assert (partition, allowed) == (partition, writers)


@pytest.mark.parametrize(
    "partition", ["stack", "key#x", f"{ENVIRONMENT}#user#x", f"{ENVIRONMENT}#name#x", f"{ENVIRONMENT}#keys"]
)
def test_what_reads_hostile_responses_reaches_no_user_and_no_key(roles: Roles, stack: Stack, partition: str) -> None:
    key = {"pk": {"S": partition}, "sk": {"S": "nothing"}}
    arguments = {"TableName": stack.outputs["DirectoryTable"], "ConditionExpression": "attribute_exists(pk)"}
    for function in EXPOSED:
        dynamodb = roles.client(function, "dynamodb")
        assert not is_allowed(dynamodb.get_item, TableName=arguments["TableName"], Key=key), function
        assert not may_write(dynamodb, arguments["TableName"], partition), function
        update = {"UpdateExpression": "SET stolen = :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
        assert not is_allowed(dynamodb.update_item, Key=key, **arguments, **update), function
        # A transaction is checked for each of its items.
        mine = {"pk": {"S": f"{ENVIRONMENT}#destinations"}, "sk": {"S": "nothing"}}
        actions = [{"Update": {"Key": one, **arguments, **update}} for one in (mine, key)]
        assert not is_allowed(dynamodb.transact_write_items, TransactItems=actions), function


def test_only_functions_that_send_assume_roles_and_none_of_this_account(roles: Roles) -> None:
    names = {account: f"open-{secrets.token_hex(6)}" for account in (PRODUCT_ACCOUNT, CUSTOMER_ACCOUNT)}
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{PRODUCT_ACCOUNT}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    for account, name in names.items():
        roles.emulator.client("iam", account).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    for account, expected in ((PRODUCT_ACCOUNT, set()), (CUSTOMER_ACCOUNT, ASSUMERS)):
        role = {"RoleArn": f"arn:aws:iam::{account}:role/{names[account]}", "RoleSessionName": "test"}
        allowed = {
            function for function in roles.names if is_allowed(roles.client(function, "sts").assume_role, **role)
        }
        assert (account, allowed) == (account, expected)
