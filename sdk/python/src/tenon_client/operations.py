"""Operations of the API. Generated from docs/openapi.json by `make generate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import models
from .caller import Caller, path_segment


class Tenon(Caller):
    """Client of the API with one API key."""

    def get_jwks(self) -> models.Jwks:
        """Returns the public keys that verify user tokens, as a JWK set."""
        return self._call("GET", "/.well-known/jwks.json")

    def list_credentials_of_user(self, user: str, *, limit: int | None = None) -> Iterator[models.Credential]:
        """Lists the credentials of a user, like `GET /users/{user}/credentials`."""
        return self._list(f"/credentials/users/{path_segment(user)}", {"limit": limit})

    def list_destinations(self, *, limit: int | None = None) -> Iterator[models.Destination]:
        """Lists the destinations of the environment, newest first."""
        return self._list("/destinations", {"limit": limit})

    def create_destination(
        self, body: models.CreateDestination, *, idempotency_key: str | None = None
    ) -> models.DestinationWithSecret:
        """Creates a destination.

        A bus with access keys is first checked with a test event. A bus with a role is created disabled
        and unverified: create the role with `trustPolicy` and `policy` of the response, then enable the
        destination. A webhook receives a secret, which is returned only once. Keys and secrets are
        encrypted before they are stored.
        """
        return self._create("/destinations", body, idempotency_key)

    def delete_destination(self, destination_id: str) -> models.Success:
        """Deletes a destination. Its keys are erased immediately."""
        return self._call("DELETE", f"/destinations/{path_segment(destination_id)}")

    def get_destination(self, destination_id: str) -> models.Destination:
        """Returns a destination. Its access key id is masked."""
        return self._call("GET", f"/destinations/{path_segment(destination_id)}")

    def patch_destination(self, destination_id: str, body: models.PatchDestination) -> models.Destination:
        """Updates a destination.

        A changed bus is first checked with a test event, and so is a role whose destination is enabled:
        it must be possible to assume it with the external id, and not without. The previous credentials
        are kept if the check fails. Enabling the destination, also if it is enabled already, or
        changing its target closes the circuit, so that all pending deliveries are attempted
        immediately. Results of another target are not shown. Disabling it cancels its pending
        deliveries.
        """
        return self._call("PATCH", f"/destinations/{path_segment(destination_id)}", body=body)

    def list_deliveries(
        self, destination_id: str, *, status: models.DeliveryStatus | None = None, limit: int | None = None
    ) -> Iterator[models.Delivery]:
        """Lists the deliveries of a destination that are pending, failed or cancelled, and those that
        succeeded after a failure or through a replay.

        Deliveries that succeeded at the first attempt are returned by `GET /errors/{errorId}` and
        `GET /events/{eventId}`.
        """
        return self._list(
            f"/destinations/{path_segment(destination_id)}/deliveries", {"status": status, "limit": limit}
        )

    def start_replay(
        self, destination_id: str, body: models.StartReplay, *, idempotency_key: str | None = None
    ) -> models.StartedReplay:
        """Starts a replay: queues errors and events for a destination again, including those that were
        stored while it was disabled.
        """
        return self._create(f"/destinations/{path_segment(destination_id)}/replay", body, idempotency_key)

    def list_replays(self, destination_id: str, *, limit: int | None = None) -> Iterator[models.Replay]:
        """Lists the replays to a destination with their progress, newest first."""
        return self._list(f"/destinations/{path_segment(destination_id)}/replays", {"limit": limit})

    def rotate_secret(self, destination_id: str) -> models.WebhookDestinationWithSecret:
        """Replaces the secret of a webhook. The new secret is returned only once; the previous one stays
        valid for 24 hours.
        """
        return self._call("POST", f"/destinations/{path_segment(destination_id)}/rotate-secret")

    def test_destination(self, destination_id: str) -> models.TestResult:
        """Sends a test event immediately, even to a disabled destination, and returns the response of the
        destination. The role of a bus is verified: that Tenon can assume it with the external id, and
        not without.
        """
        return self._call("POST", f"/destinations/{path_segment(destination_id)}/test")

    def get_environment(self) -> models.Environment:
        """Returns the environment of the caller's API key."""
        return self._call("GET", "/environment")

    def patch_environment(self, body: models.PatchEnvironment, *, if_match: str | None = None) -> models.Environment:
        """Changes the defaults of the embedded modal."""
        return self._call("PATCH", "/environment", body=body, headers={"If-Match": if_match})

    def group_errors(
        self,
        *,
        user_id: models.UserRef | None = None,
        workflow_id: models.WorkflowId | None = None,
        since: models.Timestamp | None = None,
        until: models.Timestamp | None = None,
        execution_id: models.Text256 | None = None,
        block_type: models.Text256 | None = None,
        fingerprint: models.Fingerprint | None = None,
        integration_id: models.Text128 | None = None,
    ) -> models.ErrorGroups:
        """Groups the similar errors of a time range, by default of the last 24 hours."""
        return self._call(
            "GET",
            "/errors/groups",
            query={
                "userId": user_id,
                "workflowId": workflow_id,
                "since": since,
                "until": until,
                "executionId": execution_id,
                "blockType": block_type,
                "fingerprint": fingerprint,
                "integrationId": integration_id,
            },
        )

    def get_error(self, error_id: str) -> models.ErrorWithDeliveries:
        """Returns an error with its deliveries. If several workflows have an error with this id, one of
        them is returned.
        """
        return self._call("GET", f"/errors/{path_segment(error_id)}")

    def list_events(
        self,
        *,
        since: models.Timestamp | None = None,
        until: models.Timestamp | None = None,
        type: models.EventType | None = None,
        user_id: models.UserRef | None = None,
        workflow_id: models.WorkflowId | None = None,
        integration_id: models.Text128 | None = None,
        sort_order: models.SortOrder | None = None,
        skip: int | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Event]:
        """Lists the events of the environment, including those of deleted users."""
        return self._list(
            "/events",
            {
                "since": since,
                "until": until,
                "type": type,
                "userId": user_id,
                "workflowId": workflow_id,
                "integrationId": integration_id,
                "sortOrder": sort_order,
                "skip": skip,
                "limit": limit,
            },
        )

    def get_event(self, event_id: str) -> models.EventWithDeliveries:
        """Returns an event with its deliveries."""
        return self._call("GET", f"/events/{path_segment(event_id)}")

    def list_installations(
        self,
        *,
        integration_id: models.IntegrationId | None = None,
        status: models.InstallationStatus | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Installation]:
        """Lists the installations of the environment, newest first; with a user token those of the user. A
        new installation can be missing from the list of the environment for a moment. With a filter, a
        page with a `cursor` can be empty.
        """
        return self._list("/installations", {"integrationId": integration_id, "status": status, "limit": limit})

    def list_integrations(
        self, *, user_id: models.UserRef | None = None, limit: int | None = None
    ) -> Iterator[models.Integration]:
        """Lists the integrations of the environment, newest first, for a user with its installations.
        Users see enabled integrations that their token allows. A change can be missing from the list
        for ten seconds.
        """
        return self._list("/integrations", {"userId": user_id, "limit": limit})

    def delete_integration(self, integration_id: str) -> models.Success:
        """Removes an integration from the catalogue. Existing workflows keep running. To retire an
        integration, set `enabled` to false instead.
        """
        return self._call("DELETE", f"/integrations/{path_segment(integration_id)}")

    def get_integration(self, integration_id: str, *, user_id: models.UserRef | None = None) -> models.Integration:
        """Returns an integration, for a user with its installation. Users see enabled integrations that
        their token allows.
        """
        return self._call("GET", f"/integrations/{path_segment(integration_id)}", query={"userId": user_id})

    def put_integration(
        self,
        integration_id: str,
        body: models.PutIntegration | models.Integration,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> models.Integration:
        """Creates an integration or replaces its content. Its version increases if the content changes."""
        return self._call(
            "PUT",
            f"/integrations/{path_segment(integration_id)}",
            body=body,
            headers={"If-Match": if_match, "If-None-Match": if_none_match},
        )

    def list_logs(
        self,
        *,
        user_id: models.UserRef | None = None,
        workflow_id: models.WorkflowId | None = None,
        since: models.Timestamp | None = None,
        until: models.Timestamp | None = None,
        execution_id: models.Text256 | None = None,
        block_type: models.Text256 | None = None,
        fingerprint: models.Fingerprint | None = None,
        integration_id: models.Text128 | None = None,
        sort_order: models.SortOrder | None = None,
        skip: int | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Error]:
        """Lists the errors of the environment, including those of deleted users and workflows."""
        return self._list(
            "/logs",
            {
                "userId": user_id,
                "workflowId": workflow_id,
                "since": since,
                "until": until,
                "executionId": execution_id,
                "blockType": block_type,
                "fingerprint": fingerprint,
                "integrationId": integration_id,
                "sortOrder": sort_order,
                "skip": skip,
                "limit": limit,
            },
        )

    def get_openapi(self) -> dict[str, Any]:
        """Returns the OpenAPI 3.1 document of the API."""
        return self._call("GET", "/openapi.json")

    def cancel_replay(self, replay_id: str) -> models.Replay:
        """Cancels a replay and the deliveries that are still pending because of it. A replay that is done
        stays done.
        """
        return self._call("DELETE", f"/replays/{path_segment(replay_id)}")

    def get_replay(self, replay_id: str) -> models.Replay:
        """Returns a replay with its progress."""
        return self._call("GET", f"/replays/{path_segment(replay_id)}")

    def get_session(self) -> models.Session:
        """Returns the user of the token with its installations, workflows and credentials, and the
        defaults of the modal.
        """
        return self._call("GET", "/session")

    def exchange_ticket(self, body: models.ExchangeTicket) -> models.Token:
        """Exchanges the ticket of an install link, once, for a token with which its user installs the
        integration.
        """
        return self._call("POST", "/tickets", body=body)

    def list_users(
        self,
        *,
        status: models.UserStatus | None = None,
        email: models.Email | None = None,
        username: models.Username | None = None,
        limit: int | None = None,
    ) -> Iterator[models.User]:
        """Lists the users of the environment, or returns the one with the given username or email address.

        A user created moments ago may be missing from the list; it is found by name immediately.
        """
        return self._list("/users", {"status": status, "email": email, "username": username, "limit": limit})

    def create_user(self, body: models.CreateUser, *, idempotency_key: str | None = None) -> models.User:
        """Creates a user and claims its username and email address."""
        return self._create("/users", body, idempotency_key)

    def create_users(self, body: models.CreateUsers, *, idempotency_key: str | None = None) -> models.CreatedUsers:
        """Creates up to 1,000 users. Each item succeeds or fails on its own."""
        return self._create("/users/batch", body, idempotency_key)

    def delete_user(self, user: str) -> models.DeletedUser:
        """Deletes a user.

        The user, its credentials and its workflows immediately return 404, and its names are free.
        Their data is removed in the background. Its errors are kept until they expire.
        """
        return self._call("DELETE", f"/users/{path_segment(user)}")

    def get_user(self, user: str) -> models.User:
        """Returns a user."""
        return self._call("GET", f"/users/{path_segment(user)}")

    def patch_user(self, user: str, body: models.UpdateUser, *, if_match: str | None = None) -> models.User:
        """Updates a user; given metadata is merged into the existing metadata. Names that it no longer
        uses are free immediately.
        """
        return self._call("PATCH", f"/users/{path_segment(user)}", body=body, headers={"If-Match": if_match})

    def update_user(self, user: str, body: models.UpdateUser, *, if_match: str | None = None) -> models.User:
        """Updates a user; given metadata replaces the existing metadata. Names that it no longer uses are
        free immediately.
        """
        return self._call("PUT", f"/users/{path_segment(user)}", body=body, headers={"If-Match": if_match})

    def list_credentials(self, user: str, *, limit: int | None = None) -> Iterator[models.Credential]:
        """Lists the credentials of a user, newest first, without their data."""
        return self._list(f"/users/{path_segment(user)}/credentials", {"limit": limit})

    def create_credential(
        self, user: str, body: models.CreateCredential, *, idempotency_key: str | None = None
    ) -> models.Credential:
        """Creates a credential of a user. Its data is encrypted before it is stored."""
        return self._create(f"/users/{path_segment(user)}/credentials", body, idempotency_key)

    def delete_credential(self, user: str, credential_id: str) -> models.Success:
        """Deletes a credential. Its data is erased immediately."""
        return self._call("DELETE", f"/users/{path_segment(user)}/credentials/{path_segment(credential_id)}")

    def get_credential(self, user: str, credential_id: str) -> models.Credential:
        """Returns a credential, without its data."""
        return self._call("GET", f"/users/{path_segment(user)}/credentials/{path_segment(credential_id)}")

    def replace_credential(
        self, user: str, credential_id: str, body: models.ReplaceCredential, *, if_match: str | None = None
    ) -> models.Credential:
        """Replaces the data of a credential, which becomes valid. Its id stays, and so do the workflows
        that use it.
        """
        return self._call(
            "PUT",
            f"/users/{path_segment(user)}/credentials/{path_segment(credential_id)}",
            body=body,
            headers={"If-Match": if_match},
        )

    def reveal_credential(self, user: str, credential_id: str) -> models.RevealedCredential:
        """Returns the decrypted data of a credential to the engine. Every call is logged."""
        return self._call(
            "POST", f"/users/{path_segment(user)}/credentials/{path_segment(credential_id)}/reveal", is_repeatable=True
        )

    def set_credential_status(
        self, user: str, credential_id: str, body: models.SetCredentialStatus, *, if_match: str | None = None
    ) -> models.Credential:
        """Marks a credential as invalid, so that its user connects again, or as valid."""
        return self._call(
            "POST",
            f"/users/{path_segment(user)}/credentials/{path_segment(credential_id)}/status",
            body=body,
            headers={"If-Match": if_match},
        )

    def deactivate_workflows(self, user: str) -> models.DeactivatedWorkflows:
        """Deactivates all workflows of a user."""
        return self._call("PUT", f"/users/{path_segment(user)}/deactivate-workflows")

    def disable_user(self, user: str) -> models.User:
        """Disables a user.

        Its data is kept, its tokens become invalid within a minute, it receives no new ones, and its
        workflows read as inactive. Errors are still recorded.
        """
        return self._call("POST", f"/users/{path_segment(user)}/disable")

    def enable_user(self, user: str) -> models.User:
        """Enables a user. Tokens issued before it was disabled stay invalid."""
        return self._call("POST", f"/users/{path_segment(user)}/enable")

    def list_installations_of_user(
        self,
        user: str,
        *,
        integration_id: models.IntegrationId | None = None,
        status: models.InstallationStatus | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Installation]:
        """Lists the installations of a user, newest first. With a filter, a page with a `cursor` can be
        empty.
        """
        return self._list(
            f"/users/{path_segment(user)}/installations",
            {"integrationId": integration_id, "status": status, "limit": limit},
        )

    def delete_installation(self, user: str, integration_id: str) -> models.Success:
        """Uninstalls an integration: deletes its workflows, and those of its credentials that an
        installation created and nothing else references.
        """
        return self._call("DELETE", f"/users/{path_segment(user)}/installations/{path_segment(integration_id)}")

    def get_installation(self, user: str, integration_id: str) -> models.Installation:
        """Returns an installation of a user."""
        return self._call("GET", f"/users/{path_segment(user)}/installations/{path_segment(integration_id)}")

    def put_installation(
        self,
        user: str,
        integration_id: str,
        body: models.PutInstallation,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> models.Installation:
        """Installs an integration for a user, or changes the installation: its credentials, its settings
        and which of its workflows are active. Everything is changed or nothing.
        """
        return self._call(
            "PUT",
            f"/users/{path_segment(user)}/installations/{path_segment(integration_id)}",
            body=body,
            headers={"If-Match": if_match, "If-None-Match": if_none_match},
        )

    def create_install_url(self, user: str, integration_id: str) -> models.InstallLink:
        """Creates a link with which a user installs an integration, for e-mails and mobile apps."""
        return self._call("GET", f"/users/{path_segment(user)}/integrations/{path_segment(integration_id)}/install-url")

    def erase_logs(self, user: str) -> models.Success:
        """Starts a background job that erases the user's errors and events stored so far, with all their
        deliveries, including pending ones.

        Works for a deleted user if `user` is its id. The job resumes after failures until it is
        complete.
        """
        return self._call("DELETE", f"/users/{path_segment(user)}/logs")

    def get_token(self, user: str, *, ttl_seconds: models.TtlSeconds | None = None) -> models.Token:
        """Creates a short-lived token with which a web page calls the API for the user."""
        return self._call("GET", f"/users/{path_segment(user)}/token", query={"ttlSeconds": ttl_seconds})

    def create_token(self, user: str, body: models.CreateToken) -> models.Token:
        """Creates a token like `GET /users/{user}/token`, with further options."""
        return self._call("POST", f"/users/{path_segment(user)}/token", body=body, is_repeatable=True)

    def list_workflows(
        self, *, user_id: models.UserRef | None = None, limit: int | None = None
    ) -> Iterator[models.Workflow]:
        """Lists the workflows of a user, or of the whole environment, newest first. A new workflow can be
        missing from the list of the environment for a moment.
        """
        return self._list("/workflows", {"userId": user_id, "limit": limit})

    def create_workflow(self, body: models.CreateWorkflow, *, idempotency_key: str | None = None) -> models.Workflow:
        """Creates a workflow of a user."""
        return self._create("/workflows", body, idempotency_key)

    def activate_workflow(self, body: models.WorkflowSelector) -> models.Workflow:
        """Activates a workflow. It still reads as inactive while its user is disabled."""
        return self._call("PUT", "/workflows/activate", body=body)

    def deactivate_workflow(self, body: models.WorkflowSelector) -> models.Workflow:
        """Deactivates a workflow."""
        return self._call("PUT", "/workflows/deactivate", body=body)

    def delete_workflow(self, workflow_id: str, *, user_id: models.UserRef | None = None) -> models.Success:
        """Deletes a workflow, also from its installation. Its name is free immediately; its errors are
        kept until they expire.
        """
        return self._call("DELETE", f"/workflows/{path_segment(workflow_id)}", query={"userId": user_id})

    def get_workflow(self, workflow_id: str, *, user_id: models.UserRef | None = None) -> models.Workflow:
        """Returns a workflow."""
        return self._call("GET", f"/workflows/{path_segment(workflow_id)}", query={"userId": user_id})

    def patch_workflow(
        self, workflow_id: str, body: models.PatchWorkflow, *, if_match: str | None = None
    ) -> models.Workflow:
        """Updates a workflow. Of a workflow that belongs to an installation, only `name` and `active` can
        be changed.
        """
        return self._call("PATCH", f"/workflows/{path_segment(workflow_id)}", body=body, headers={"If-Match": if_match})

    def list_errors(
        self,
        workflow_id: str,
        *,
        user_id: models.UserRef | None = None,
        since: models.Timestamp | None = None,
        until: models.Timestamp | None = None,
        execution_id: models.Text256 | None = None,
        block_type: models.Text256 | None = None,
        fingerprint: models.Fingerprint | None = None,
        integration_id: models.Text128 | None = None,
        limit: int | None = None,
    ) -> Iterator[models.Error]:
        """Lists the errors of a workflow, newest first."""
        return self._list(
            f"/workflows/{path_segment(workflow_id)}/errors",
            {
                "userId": user_id,
                "since": since,
                "until": until,
                "executionId": execution_id,
                "blockType": block_type,
                "fingerprint": fingerprint,
                "integrationId": integration_id,
                "limit": limit,
            },
        )

    def record_errors(
        self, workflow_id: str, body: models.RecordErrors, *, idempotency_key: str | None = None
    ) -> models.RecordedErrors:
        """Records errors of a workflow. The stream of the table forwards them to the destinations of the
        environment.
        """
        return self._create(f"/workflows/{path_segment(workflow_id)}/errors", body, idempotency_key)
