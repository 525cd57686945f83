"""Uses the API with the client that openapi-python-client generates.

Creates a user, a workflow and a destination, and records and lists an error.
"""

import os

from tenon_client import AuthenticatedClient
from tenon_client.api.destinations import create_destination, list_destinations
from tenon_client.api.errors import list_errors, record_errors
from tenon_client.api.users import create_user
from tenon_client.api.workflows import create_workflow
from tenon_client.models import (
    CreateDestination,
    CreateUser,
    CreateWorkflow,
    DestinationType,
    ErrorList,
    ErrorPage,
    Metadata,
    NewFilter,
    Problem,
    RecordedErrors,
    RecordError,
    User,
    WebhookDestination,
    WebhookDestinationWithSecret,
    Workflow,
)


def main() -> None:
    """Makes the requests and checks their typed responses."""
    url = os.environ["TENON_URL"]
    backend = AuthenticatedClient(url, os.environ["TENON_BACKEND_KEY"])
    engine = AuthenticatedClient(url, os.environ["TENON_ENGINE_KEY"])

    metadata = Metadata.from_dict({"plan": "pro"})
    user = create_user.sync(client=backend, body=CreateUser(username="python", metadata=metadata))
    assert isinstance(user, User), user
    assert user.metadata["plan"] == "pro"

    workflow = create_workflow.sync(client=backend, body=CreateWorkflow(user_id=user.user_id, name="Orders"))
    assert isinstance(workflow, Workflow), workflow

    new = CreateDestination(
        type_=DestinationType.WEBHOOK,
        url="https://hooks.acme.example/python",
        enabled=False,
        filter_=NewFilter(user_id=[user.user_id]),
    )
    created = create_destination.sync(client=backend, body=new)
    assert isinstance(created, WebhookDestinationWithSecret), created
    assert str(created.secret).startswith("whsec_")
    destinations = list_destinations.sync(client=backend, limit=10)
    [found] = [one for one in destinations.data if one.destination_id == created.destination_id]
    assert isinstance(found, WebhookDestination)
    assert found.url == new.url

    error = RecordError(execution_id="run-1", block_id="block-1", block_type="alloy.shopify", error="403 Forbidden")
    recorded = record_errors.sync(workflow.workflow_id, client=engine, body=ErrorList([error]))
    assert isinstance(recorded, RecordedErrors), recorded
    listed = list_errors.sync(workflow.workflow_id, client=backend)
    assert isinstance(listed, ErrorPage), listed
    assert [error.field_id for error in listed.errors] == recorded.ids

    refused = create_user.sync(client=backend, body=CreateUser(email="not an address"))
    assert isinstance(refused, Problem), refused
    assert [error.pointer for error in refused.errors] == ["/email"]


if __name__ == "__main__":
    main()
