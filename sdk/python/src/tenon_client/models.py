"""Types of the API. Generated from docs/openapi.json by `make generate`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, final

from typing_extensions import NotRequired, TypedDict

# A class would change the name of this member.
_Versioned = TypedDict("_Versioned", {"__v": int})


@final
class Attempt(TypedDict):
    """Attempt to send a record to a destination."""

    #: Start of the attempt.
    at: Timestamp
    #: Duration in milliseconds.
    latencyMs: int
    #: Response of the destination, or the reason why there was none.
    response: str
    #: HTTP status of the response; null if there was none.
    status: int | None


@final
class BusCredentials(TypedDict):
    """Access to the account of a bus: masked access keys, or a role."""

    #: First four and last four characters of the access key id; absent for a role.
    accessKeyId: NotRequired[str | None]
    #: External id with which Tenon assumes a role for this destination, and no other.
    externalId: ExternalId
    roleArn: NotRequired[RoleArn | None]


@final
class ConflictBatchResult(TypedDict):
    """A name of the item is taken, or equals a name of an earlier item."""

    #: Description of the reason.
    detail: str
    #: Invalid fields, at most 5.
    errors: list[FieldError]
    #: Number of further invalid fields; present if there are more.
    moreErrors: NotRequired[int]
    status: Literal["conflict"]


@final
class CreateCredential(TypedDict):
    """Body of a request to create a credential."""

    #: Secret data, at most 16 KiB as JSON. It is encrypted, and revealed to the engine only.
    data: dict[str, Any]
    #: Display name.
    name: Text256
    #: Type of the credential, such as `shopify`.
    type: Text128


@final
class CreateDestination(TypedDict):
    """Body of a request to create a destination. A webhook requires `url`; a bus requires `region`,
    `eventBusName` and `credentials`.
    """

    credentials: NotRequired[NewCredentials | None]
    description: NotRequired[Text256 | None]
    enabled: NotRequired[bool | None]
    eventBusName: NotRequired[BusName | None]
    #: Records that are sent: `error` for errors, types of events such as `workflow.activated`, or
    #: all types of a resource such as `workflow.*`. Without it, errors are sent.
    events: NotRequired[list[Subscription] | None]
    filter: NotRequired[NewFilter | None]
    name: NotRequired[Text256 | None]
    region: NotRequired[Region | None]
    #: Type of the destination.
    type: DestinationType
    url: NotRequired[WebhookUrl | None]


@final
class CreateToken(TypedDict):
    """Options of a token."""

    #: Only integrations that exist for the token, with their installations, workflows, errors and
    #: credentials; 1 to 20. They need not be in the catalogue.
    integrations: NotRequired[list[IntegrationId] | None]
    mode: NotRequired[TokenMode | None]
    #: Origins of the pages that may embed the modal with the token, 1 to 5; by default those of
    #: the environment.
    origins: NotRequired[list[Origin] | None]
    ttlSeconds: NotRequired[TtlSeconds | None]


@final
class CreateUser(TypedDict):
    """Body of a request to create a user: `email`, `username` or both."""

    email: NotRequired[Email | None]
    fullName: NotRequired[Text256 | None]
    metadata: NotRequired[Metadata | None]
    username: NotRequired[Username | None]


@final
class CreateUserList(TypedDict):
    """Users to create."""

    #: Users, 1 to 1,000.
    users: list[CreateUser]


@final
class CreateWorkflow(TypedDict):
    """Body of a request to create a workflow."""

    #: Credentials of the same user that the workflow uses, at most 50.
    credentialIds: NotRequired[list[CredentialId] | None]
    integrationId: NotRequired[Text128 | None]
    #: Name, unique per user.
    name: Text250
    settings: NotRequired[Settings | None]
    #: User who owns the workflow, by id, username or email address.
    userId: UserRef


@final
class CreatedBatchResult(TypedDict):
    """The user was created."""

    status: Literal["created"]
    #: Created user.
    user: User


@final
class CreatedUsers(TypedDict):
    """Result of a batch."""

    #: Items that were not created.
    invalidUsers: list[InvalidUser]
    #: Always `success`; see the result of each item.
    message: str
    #: Result of each item, in order.
    results: list[BatchResult]


@final
class Credential(TypedDict):
    """Credential as the API returns it, without its data."""

    #: Creation time.
    createdAt: Timestamp
    #: Id of the credential.
    credentialId: CredentialId
    #: Display name.
    name: Text256
    #: Increases with every change.
    revision: int
    #: Whether the data still works, as the engine reported.
    status: CredentialStatus
    statusReason: Text512 | None
    #: Type of the credential, such as `shopify`.
    type: Text128
    #: Time of the last change.
    updatedAt: Timestamp
    #: Id of the user who owns the credential.
    userId: UserId


@final
class CredentialInput(TypedDict):
    """Credential of an installation: an existing one of the user, or data that is stored in a new one
    or replaces that of the present one.
    """

    credentialId: NotRequired[CredentialId | None]
    #: Data as the fields of the credential type require it, at most 16 KiB as JSON.
    data: NotRequired[dict[str, Any] | None]
    name: NotRequired[Text256 | None]
    new: NotRequired[bool | None]


@final
class CredentialList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Credential]


@final
class CredentialType(TypedDict):
    """Account that a user connects for an integration."""

    #: Form of the data.
    fields: list[Field]
    #: Display name.
    name: Text128
    #: Type of the credentials, unique within the integration.
    type: Text128


@final
class CredentialTypeInput(TypedDict):
    """Account that a user connects."""

    #: Form of the data.
    fields: list[FieldInput]
    #: Display name.
    name: Text128
    #: Type of the credentials, unique within the integration.
    type: Text128


@final
class DeactivatedWorkflows(TypedDict):
    """Confirmation of success."""

    #: Always `Success`.
    message: str


@final
class DeletedUser(TypedDict):
    """Confirmation of the deletion of a user."""

    #: Background job that removes the data of the user.
    deletion: Deletion
    #: Always `true`.
    success: bool


@final
class Deletion(TypedDict):
    """Background job that removes the data of a deleted user."""

    #: Time of the deletion.
    startedAt: Timestamp
    #: Always `running`; the job resumes after failures until it is complete.
    status: str


@final
class Delivery(TypedDict):
    """Delivery of a record to a destination."""

    #: Attempts so far, oldest first.
    attempts: list[Attempt]
    #: Destination id.
    destinationId: DestinationId
    errorId: NotRequired[str]
    eventId: NotRequired[str]
    nextAttemptAt: Timestamp | None
    #: Status.
    status: DeliveryStatus


@final
class DeliveryList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Delivery]


@final
class DestinationList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Destination]


@final
class Environment(TypedDict):
    """Environment."""

    environmentId: EnvironmentId
    kind: EnvironmentKind
    #: Defaults of the embedded modal.
    modal: Modal
    name: Text128
    #: Broadest scope of the key that made the request, in the order `manage`, `engine`, `read`.
    scope: Scope
    #: Version of Tenon that serves the API.
    version: str


@final
class Error(_Versioned):
    """Error as shown to callers: the same object in the API, in webhooks and on event buses."""

    #: Error id.
    _id: ErrorId
    #: Block that failed.
    blockId: str
    #: Block type.
    blockType: str
    #: Time at which the error occurred.
    createdAt: Timestamp
    #: Error text.
    error: str
    #: Execution that failed.
    executionId: str
    #: Time at which the error was recorded.
    updatedAt: Timestamp
    #: Owner of the workflow.
    userId: UserId
    #: Workflow that failed.
    workflowId: WorkflowId


@final
class ErrorGroup(TypedDict):
    """Errors of one block type whose messages differ only in numbers, ids, URL queries and quoted
    values.
    """

    #: Block type of the errors.
    blockType: str
    #: Number of errors.
    count: int
    #: Newest error of the group.
    example: Error
    #: Fingerprint of the group, stable over time.
    fingerprint: Fingerprint
    #: Time of the oldest error.
    firstSeen: Timestamp
    #: Time of the newest error.
    lastSeen: Timestamp
    #: Number of users.
    users: int
    #: Workflows of the errors, at most 20.
    workflowIds: list[WorkflowId]
    #: Number of workflows.
    workflows: int


@final
class ErrorGroups(TypedDict):
    """Groups of similar errors, largest first."""

    #: Whether the groups cover all errors of the time range; false if there are more than 100
    #: groups or more than 5,000 errors (1,000 with a user token), of which the newest are counted.
    complete: bool
    #: Groups, at most 100.
    groups: list[ErrorGroup]
    #: Number of errors in each of 60 equal parts of the time range.
    histogram: list[HistogramBar]


@final
class ErrorList(TypedDict):
    """List of errors to record."""

    #: Errors, 1 to 100.
    errors: list[RecordError]


@final
class ErrorPage(TypedDict):
    """Page of errors."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Errors of the page.
    errors: list[Error]


@final
class ErrorWithDeliveries(_Versioned):
    """Error with its deliveries."""

    #: Error id.
    _id: ErrorId
    #: Block that failed.
    blockId: str
    #: Block type.
    blockType: str
    #: Time at which the error occurred.
    createdAt: Timestamp
    #: Deliveries of the error, one per destination.
    deliveries: list[Delivery]
    #: Error text.
    error: str
    #: Execution that failed.
    executionId: str
    #: Time at which the error was recorded.
    updatedAt: Timestamp
    #: Owner of the workflow.
    userId: UserId
    #: Workflow that failed.
    workflowId: WorkflowId


@final
class Event(TypedDict):
    """Event as shown to callers: the same object in the API, in webhooks and on event buses."""

    #: Event id.
    _id: EventId
    actor: Actor | None
    #: Time of the change.
    createdAt: Timestamp
    #: Changed resource, as the API shows it after the change. Its `revision` increases with every
    #: change, so that an older event that arrives later can be recognized.
    data: dict[str, Any]
    integrationId: Text128 | None
    #: Type of the event.
    type: EventType
    #: User who was changed, or who owns what was changed.
    userId: UserId
    workflowId: WorkflowId | None


@final
class EventList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Event]


@final
class EventWithDeliveries(TypedDict):
    """Event with its deliveries."""

    #: Event id.
    _id: EventId
    actor: Actor | None
    #: Time of the change.
    createdAt: Timestamp
    #: Changed resource, as the API shows it after the change. Its `revision` increases with every
    #: change, so that an older event that arrives later can be recognized.
    data: dict[str, Any]
    #: Deliveries of the event, one per destination.
    deliveries: list[Delivery]
    integrationId: Text128 | None
    #: Type of the event.
    type: EventType
    #: User who was changed, or who owns what was changed.
    userId: UserId
    workflowId: WorkflowId | None


@final
class EventbridgeDestination(TypedDict):
    """Destination as the API returns it."""

    #: Creation time.
    createdAt: Timestamp
    #: Access keys or role.
    credentials: BusCredentials
    #: Id of the destination.
    destinationId: DestinationId
    disabledAt: Timestamp | None
    #: Reason why Tenon disabled the destination; null if it did not.
    disabledReason: str | None
    #: Whether records are sent.
    enabled: bool
    #: Name or ARN of the bus.
    eventBusName: BusName
    #: Records that are sent: errors, and types of events.
    events: list[Subscription]
    #: Filter of the records that are sent.
    filter: Filter
    #: Health of the destination.
    health: Health
    name: Text256 | None
    #: Least-privilege IAM policy for the keys or the role.
    policy: dict[str, Any]
    #: ARN of the account that assumes roles: that of Tenon.
    principal: Principal
    #: Region of the bus.
    region: Region
    #: Waits between attempts, in seconds; each is up to 10 % longer.
    retryPolicy: list[int]
    #: Trust policy of a role for this destination.
    trustPolicy: dict[str, Any]
    type: Literal["eventbridge"]
    #: Time of the last change.
    updatedAt: Timestamp
    #: Result of the verification, or the reason why the connection is unverified.
    verification: str
    #: Whether the connection was verified: by the check when it was saved, or by a delivery that a
    #: webhook accepted.
    verified: bool


@final
class EventbridgeDestinationWithSecret(TypedDict):
    """New bus."""

    #: Creation time.
    createdAt: Timestamp
    #: Access keys or role.
    credentials: BusCredentials
    #: Id of the destination.
    destinationId: DestinationId
    disabledAt: Timestamp | None
    #: Reason why Tenon disabled the destination; null if it did not.
    disabledReason: str | None
    #: Whether records are sent.
    enabled: bool
    #: Name or ARN of the bus.
    eventBusName: BusName
    #: Records that are sent: errors, and types of events.
    events: list[Subscription]
    #: Filter of the records that are sent.
    filter: Filter
    #: Health of the destination.
    health: Health
    name: Text256 | None
    #: Least-privilege IAM policy for the keys or the role.
    policy: dict[str, Any]
    #: ARN of the account that assumes roles: that of Tenon.
    principal: Principal
    #: Region of the bus.
    region: Region
    #: Waits between attempts, in seconds; each is up to 10 % longer.
    retryPolicy: list[int]
    #: Trust policy of a role for this destination.
    trustPolicy: dict[str, Any]
    type: Literal["eventbridge"]
    #: Time of the last change.
    updatedAt: Timestamp
    #: Result of the verification, or the reason why the connection is unverified.
    verification: str
    #: Whether the connection was verified: by the check when it was saved, or by a delivery that a
    #: webhook accepted.
    verified: bool


@final
class ExchangeTicket(TypedDict):
    """Ticket of an install link."""

    #: Ticket.
    ticket: Ticket


@final
class Field(TypedDict):
    """Field of a form."""

    help: Text500 | None
    #: Label.
    label: Text128
    #: Name of the member, unique within the form.
    name: FieldName
    #: Options of a select; otherwise empty.
    options: list[SelectOption]
    pattern: Pattern | None
    placeholder: Text128 | None
    #: Whether a value is required.
    required: bool
    #: Type of the value.
    type: FieldType


@final
class FieldError(TypedDict):
    """Invalid field."""

    #: Reason why it is invalid.
    detail: str
    #: JSON pointer (RFC 6901) into the body, or `/` and the name of a query parameter.
    pointer: str


@final
class FieldInput(TypedDict):
    """Field of a form."""

    help: NotRequired[Text500 | None]
    #: Label.
    label: Text128
    #: Name of the member, unique within the form.
    name: FieldName
    #: Options of a `select`, at least one.
    options: NotRequired[list[OptionInput] | None]
    pattern: NotRequired[Pattern | None]
    placeholder: NotRequired[Text128 | None]
    required: NotRequired[bool | None]
    #: Type of the value. `secret` is allowed in credential types only.
    type: FieldType


@final
class Filter(TypedDict):
    """Restricts the records that a destination receives. An empty or absent list matches every record;
    all other lists must match. A list does not match a record without the attribute, except that
    `blockType` applies to errors only.
    """

    #: Block types.
    blockType: NotRequired[list[Text256]]
    #: Ids of integrations.
    integrationId: NotRequired[list[Text128]]
    #: Ids of users.
    userId: NotRequired[list[UserId]]
    #: Ids of workflows.
    workflowId: NotRequired[list[WorkflowId]]


@final
class GatewayError(TypedDict):
    """Error of API Gateway, which answers instead of a function."""

    #: Description of the error.
    message: str


@final
class Health(TypedDict):
    """Health of a destination."""

    #: State of the circuit. While it is open, records are queued and sent one at a time as probes.
    circuit: Circuit
    failingSince: Timestamp | None
    lastFailure: Attempt | None
    lastFailureAt: Timestamp | None
    lastSuccessAt: Timestamp | None
    nextAttemptAt: Timestamp | None
    #: Number of pending deliveries; approximate above a few hundred.
    pending: int
    #: Summary.
    status: HealthStatus


@final
class Hint(TypedDict):
    """Explanation of errors for the user."""

    action: HintAction | None
    #: Text that the error contains, ignoring case.
    match: Text200
    #: Explanation.
    text: Text500


@final
class HintInput(TypedDict):
    """Explanation of errors for the user."""

    action: NotRequired[HintAction | None]
    #: Text that the error contains, ignoring case.
    match: Text200
    #: Explanation.
    text: Text500


@final
class HistogramBar(TypedDict):
    """Part of a histogram."""

    #: Number of errors.
    count: int
    #: Start of the part.
    start: Timestamp


@final
class InstallLink(TypedDict):
    """Install link."""

    #: Time until which the link can be used.
    expiresAt: Timestamp
    #: URL of a page on which the user installs the integration. It works once, and needs no login:
    #: send it to the user only.
    url: str


@final
class Installation(TypedDict):
    """Installation as the API returns it."""

    #: Actions that the user has to take, with pointers into the body of the PUT that would take
    #: them; at most 100.
    attention: list[FieldError]
    #: Connected credentials, by credential type.
    credentialIds: dict[str, CredentialId]
    #: Creation time.
    installedAt: Timestamp
    #: Id of the integration.
    integrationId: IntegrationId
    #: Version of the integration against which the installation was last validated.
    integrationVersion: int
    #: Increases with every change of the installation itself; its workflows and credentials have
    #: their own.
    revision: int
    #: Settings that the engine reads.
    settings: dict[str, Any]
    #: Whether the installation works.
    status: InstallationStatus
    #: Time of the last change.
    updatedAt: Timestamp
    #: Id of the user.
    userId: UserId
    #: Workflows that were created so far, also inactive ones.
    workflows: list[InstalledWorkflow]


@final
class InstallationList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Installation]


@final
class InstallationSummary(TypedDict):
    """Status of an installation, in the catalogue."""

    #: Creation time.
    installedAt: Timestamp
    #: Whether the installation works.
    status: InstallationStatus


@final
class InstalledWorkflow(TypedDict):
    """Workflow of an installation."""

    #: Whether the workflow is active; false while its user is disabled.
    active: bool
    #: Id of the integration.
    integrationId: IntegrationId
    #: Workflow of the integration.
    key: WorkflowKey
    #: Name, unique per user.
    name: Text250
    #: Id of the workflow.
    workflowId: WorkflowId


@final
class Integration(TypedDict):
    """Integration as the API returns it."""

    #: Creation time.
    createdAt: Timestamp
    #: Accounts that a user connects.
    credentialTypes: list[CredentialType]
    description: Text1000 | None
    #: Whether users see the integration and can install it.
    enabled: bool
    #: Explanations of errors for the user.
    hints: list[Hint]
    icon: Icon | None
    installation: NotRequired[InstallationSummary | None]
    #: Id of the integration.
    integrationId: IntegrationId
    #: Display name.
    name: Text128
    #: Settings that a user fills in.
    settings: list[Field]
    #: Time of the last change.
    updatedAt: Timestamp
    #: Increases whenever the content changes.
    version: int
    #: Workflows that an installation creates.
    workflows: list[WorkflowTemplate]


@final
class IntegrationList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Integration]


@final
class InvalidBatchResult(TypedDict):
    """The item is invalid."""

    #: Description of the reason.
    detail: str
    #: Invalid fields, at most 5.
    errors: list[FieldError]
    #: Number of further invalid fields; present if there are more.
    moreErrors: NotRequired[int]
    status: Literal["invalid"]


@final
class InvalidUser(TypedDict):
    """Item that was not created."""

    #: Reason why the item was not created.
    detail: str
    #: Index of the item in the batch, starting at 0.
    index: int


@final
class Jwk(TypedDict):
    """Public key as a JSON Web Key (RFC 7517)."""

    #: Algorithm: `ES256`.
    alg: str
    #: Curve: `P-256`.
    crv: str
    #: Key id.
    kid: str
    #: Key type: `EC`.
    kty: str
    #: Key use: `sig`.
    use: str
    #: X coordinate of the point, base64url.
    x: str
    #: Y coordinate of the point, base64url.
    y: str


@final
class Jwks(TypedDict):
    """Public keys of the stack (RFC 7517, section 5)."""

    #: Public keys, newest first.
    keys: list[Jwk]


@final
class Modal(TypedDict):
    """Defaults of the modal."""

    lang: Language | None
    #: Origins of the pages that may embed the modal.
    origins: list[Origin]
    theme: Theme | None


@final
class NewCredentials(TypedDict):
    """Access to the account of a bus: `roleArn`, or `accessKeyId` and `secretAccessKey`."""

    accessKeyId: NotRequired[AccessKeyId | None]
    roleArn: NotRequired[RoleArn | None]
    secretAccessKey: NotRequired[Secret | None]
    sessionToken: NotRequired[Secret | None]


@final
class NewFilter(TypedDict):
    """Filter of the records that a destination receives. An absent list matches every record; an empty
    one is rejected. At most 16 KiB as JSON.
    """

    #: Block types whose errors are sent; events have none and are sent regardless.
    blockType: NotRequired[list[Text256] | None]
    #: Integrations whose records are sent.
    integrationId: NotRequired[list[Text128] | None]
    #: Users whose records are sent, each by id, username or email address.
    userId: NotRequired[list[UserRef] | None]
    #: Workflows whose records are sent.
    workflowId: NotRequired[list[WorkflowId] | None]


@final
class OptionInput(TypedDict):
    """Option of a select."""

    #: Label.
    label: Text128
    #: Value, unique within the select.
    value: Text256


@final
class Palette(TypedDict):
    """Colors, radius and font. Absent members have their default."""

    accent: NotRequired[Color | None]
    background: NotRequired[Color | None]
    border: NotRequired[Color | None]
    danger: NotRequired[Color | None]
    font: NotRequired[Font | None]
    mutedText: NotRequired[Color | None]
    onAccent: NotRequired[Color | None]
    #: Radius of corners in pixels, 0 to 24.
    radius: NotRequired[int | None]
    surface: NotRequired[Color | None]
    text: NotRequired[Color | None]


@final
class PaletteInput(TypedDict):
    """Colors, radius and font; absent members have their default."""

    accent: NotRequired[Color | None]
    background: NotRequired[Color | None]
    border: NotRequired[Color | None]
    danger: NotRequired[Color | None]
    font: NotRequired[Font | None]
    mutedText: NotRequired[Color | None]
    onAccent: NotRequired[Color | None]
    #: Radius of corners in pixels.
    radius: NotRequired[int | None]
    surface: NotRequired[Color | None]
    text: NotRequired[Color | None]


@final
class Palettes(TypedDict):
    """Palettes for light and dark display. Without one, the default applies."""

    dark: NotRequired[Palette | None]
    light: NotRequired[Palette | None]


@final
class PalettesInput(TypedDict):
    """Palettes of a theme."""

    dark: NotRequired[PaletteInput | None]
    light: NotRequired[PaletteInput | None]


@final
class PatchDestination(TypedDict):
    """Changes to a destination; absent fields remain unchanged."""

    credentials: NotRequired[NewCredentials | None]
    description: NotRequired[Text256 | None]
    #: Whether records are sent.
    enabled: NotRequired[bool | None]
    eventBusName: NotRequired[BusName | None]
    #: Records that are sent, replaced as a whole.
    events: NotRequired[list[Subscription] | None]
    filter: NotRequired[NewFilter | None]
    name: NotRequired[Text256 | None]
    region: NotRequired[Region | None]
    url: NotRequired[WebhookUrl | None]


@final
class PatchEnvironment(TypedDict):
    """Changes to an environment; absent members remain unchanged."""

    modal: NotRequired[PatchModal | None]


@final
class PatchModal(TypedDict):
    """Changes to the defaults of the modal; absent members remain unchanged, null clears them."""

    lang: NotRequired[Language | None]
    #: Origins of the pages that may embed the modal, at most 20.
    origins: NotRequired[list[Origin] | None]
    theme: NotRequired[ThemeInput | None]


@final
class PatchWorkflow(TypedDict):
    """Changes to a workflow; absent members remain unchanged."""

    #: Whether the workflow is active.
    active: NotRequired[bool | None]
    #: Credentials of the same user that the workflow uses, at most 50.
    credentialIds: NotRequired[list[CredentialId] | None]
    name: NotRequired[Text250 | None]
    settings: NotRequired[Settings | None]


@final
class Problem(TypedDict):
    """Error response (RFC 9457)."""

    #: Description of this occurrence.
    detail: str
    #: Fields that are invalid or already in use, or items that were not processed.
    errors: NotRequired[list[FieldError]]
    #: Id of the request, as in the logs.
    instance: NotRequired[str | None]
    #: Same text as `detail`, for existing clients.
    message: str
    #: Number of further invalid fields; present if there are more than 100.
    moreErrors: NotRequired[int]
    #: If AWS refused the connection: the IAM policy that the access keys or the role need.
    policy: NotRequired[dict[str, Any]]
    #: HTTP status.
    status: int
    #: Summary of the problem type.
    title: str
    #: Type of the problem. Later versions may add types: treat an unknown one like its status.
    type: ProblemType


@final
class PutInstallation(TypedDict):
    """Installation of an integration. Absent members leave an existing installation as it is."""

    #: Credentials by credential type. A new installation needs all types of the integration.
    credentials: NotRequired[dict[str, CredentialInput] | None]
    settings: NotRequired[Settings | None]
    #: Keys of the active workflows, of the integration or of those that the installation has;
    #: others are deactivated. Without it, all workflows of a new installation are active.
    workflows: NotRequired[list[WorkflowKey] | None]


@final
class PutIntegration(TypedDict):
    """Content of an integration. Members that only responses have are ignored."""

    #: Ignored.
    createdAt: NotRequired[Any]
    #: Accounts that a user connects.
    credentialTypes: NotRequired[list[CredentialTypeInput] | None]
    description: NotRequired[Text1000 | None]
    enabled: NotRequired[bool | None]
    #: Explanations of errors for the user.
    hints: NotRequired[list[HintInput] | None]
    icon: NotRequired[Icon | None]
    #: Ignored.
    installation: NotRequired[Any]
    integrationId: NotRequired[IntegrationId | None]
    #: Display name.
    name: Text128
    #: Settings that a user fills in. Anyone who may read the workflow can read them.
    settings: NotRequired[list[FieldInput] | None]
    #: Ignored.
    updatedAt: NotRequired[Any]
    #: Ignored.
    version: NotRequired[Any]
    #: Workflows that an installation creates.
    workflows: list[WorkflowInput]


@final
class RecordError(TypedDict):
    """Error to record."""

    _id: NotRequired[ErrorId | None]
    #: Block that failed.
    blockId: Text256
    #: Type of the block, such as `alloy.shopify`.
    blockType: Text256
    createdAt: NotRequired[Timestamp | None]
    #: Error message; truncated to 64 KiB of UTF-8.
    error: str
    #: Execution that failed.
    executionId: Text256


@final
class RecordedErrors(TypedDict):
    """Ids of recorded errors."""

    #: Ids of the errors, in the order of the request.
    ids: list[ErrorId]


@final
class ReplaceCredential(TypedDict):
    """New data of a credential."""

    #: Secret data, at most 16 KiB as JSON, which replaces the former data.
    data: dict[str, Any]
    name: NotRequired[Text256 | None]


@final
class Replay(TypedDict):
    """Replay as the API returns it."""

    #: Creation time.
    createdAt: Timestamp
    #: Number of these records that were delivered.
    delivered: int
    #: Destination of the records.
    destinationId: DestinationId
    #: Number of these records that are not delivered: their attempts are exhausted, their delivery
    #: was cancelled, or they no longer exist.
    failed: int
    #: Number of records, errors and events, found and queued for delivery. Equal to `delivered` +
    #: `failed` at the end.
    found: int
    #: Id of the replay.
    replayId: ReplayId
    #: Selection of the records, as in the request that started the replay.
    request: ReplayRequest
    #: Status of the replay.
    status: ReplayStatus
    #: Time of the last step of the search, or of the cancellation.
    updatedAt: Timestamp


@final
class ReplayList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Replay]


@final
class ReplayRequest(TypedDict):
    """Selection of the records of a replay. Has only the members of its kind."""

    #: `true` if the replay selects cancelled deliveries.
    cancelled: NotRequired[bool]
    #: Ids of the errors.
    errorIds: NotRequired[list[ErrorId]]
    #: Ids of the events.
    eventIds: NotRequired[list[EventId]]
    #: `true` if the replay selects failed deliveries.
    failed: NotRequired[bool]
    #: `true` if the replay selects pending deliveries.
    pending: NotRequired[bool]
    #: Start of the time range, inclusive.
    since: NotRequired[Timestamp]
    #: End of the time range, exclusive. The time of the request if it had none.
    until: NotRequired[Timestamp]


@final
class RevealedCredential(TypedDict):
    """Credential with its decrypted data."""

    #: Id of the credential.
    credentialId: CredentialId
    #: Data of the credential.
    data: dict[str, Any]
    #: Type of the credential.
    type: Text128


@final
class SelectOption(TypedDict):
    """Option of a select."""

    #: Label.
    label: Text128
    #: Value, unique within the select.
    value: Text256


@final
class Session(TypedDict):
    """Data that a modal needs: the user with its installations, workflows and credentials, and the
    defaults of the modal.
    """

    #: Credentials of the user, newest first, without their data, at most 200.
    credentials: list[Credential]
    #: Environment of the user.
    environment: SessionEnvironment
    #: Installations of the user, newest first, at most 200.
    installations: list[Installation]
    #: `true` if the user has more of them; absent otherwise.
    truncated: NotRequired[bool]
    #: User of the token.
    user: User
    #: Workflows of the user, by name, at most 200.
    workflows: list[Workflow]


@final
class SessionEnvironment(TypedDict):
    """Environment of a session."""

    #: Defaults of the modal.
    modal: Modal
    #: Display name.
    name: Text128


@final
class SetCredentialStatus(TypedDict):
    """Status of a credential."""

    reason: NotRequired[Text512 | None]
    #: New status.
    status: CredentialStatus


@final
class StartReplay(TypedDict):
    """Selection of the records to replay, of those that the destination wants: a time range, a list of
    ids, or all whose delivery is pending, failed or was cancelled.
    """

    #: Whether to replay all records whose delivery to this destination was cancelled.
    cancelled: NotRequired[bool | None]
    #: Ids of the errors, at most 1,000.
    errorIds: NotRequired[list[ErrorId] | None]
    #: Ids of the events, at most 1,000.
    eventIds: NotRequired[list[EventId] | None]
    #: Whether to replay all records whose delivery to this destination failed.
    failed: NotRequired[bool | None]
    #: Whether to attempt all pending deliveries to this destination now.
    pending: NotRequired[bool | None]
    since: NotRequired[Timestamp | None]
    until: NotRequired[Timestamp | None]


@final
class StartedReplay(TypedDict):
    """Started replay."""

    #: Id of the replay, used to query its progress and to cancel it: `/replays/{replayId}`.
    replayId: ReplayId


@final
class Success(TypedDict):
    """Confirmation of success."""

    #: Always `true`.
    success: bool


@final
class TestResult(TypedDict):
    """Result of a test event."""

    #: Attempt, with the response of the destination.
    attempt: Attempt
    #: Whether the destination accepted the event.
    delivered: bool


@final
class Token(TypedDict):
    """User token."""

    #: Expiration time.
    expiresAt: Timestamp
    #: JWT, signed with ES256; sent as `Authorization: Bearer <token>`.
    token: str


@final
class UpdateUser(TypedDict):
    """Changes to a user; absent fields remain unchanged."""

    email: NotRequired[Email | None]
    fullName: NotRequired[Text256 | None]
    #: String pairs. PATCH merges them into the existing ones and removes pairs whose value is
    #: null; PUT replaces all pairs.
    metadata: NotRequired[dict[str, str | None]]
    #: Username, unique in the environment.
    username: NotRequired[Username]


@final
class User(TypedDict):
    """User as the API returns it."""

    #: Creation time.
    createdAt: Timestamp
    email: Email | None
    fullName: Text256 | None
    #: String pairs that the customer defines.
    metadata: Metadata
    #: Status of the user.
    status: UserStatus
    #: Time of the last change.
    updatedAt: Timestamp
    #: Id of the user; never changes.
    userId: UserId
    #: Username, unique in the environment.
    username: Username


@final
class UserList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[User]


@final
class WebhookDestination(TypedDict):
    """Destination as the API returns it."""

    #: Creation time.
    createdAt: Timestamp
    description: Text256 | None
    #: Id of the destination.
    destinationId: DestinationId
    disabledAt: Timestamp | None
    #: Reason why Tenon disabled the destination; null if it did not.
    disabledReason: str | None
    #: Whether records are sent.
    enabled: bool
    #: Records that are sent: errors, and types of events.
    events: list[Subscription]
    #: Filter of the records that are sent.
    filter: Filter
    #: Health of the destination.
    health: Health
    name: Text256 | None
    #: Waits between attempts, in seconds; each is up to 10 % longer.
    retryPolicy: list[int]
    type: Literal["webhook"]
    #: Time of the last change.
    updatedAt: Timestamp
    #: URL to which records are posted.
    url: WebhookUrl
    #: Result of the verification, or the reason why the connection is unverified.
    verification: str
    #: Whether the connection was verified: by the check when it was saved, or by a delivery that a
    #: webhook accepted.
    verified: bool


@final
class WebhookDestinationWithSecret(TypedDict):
    """Destination with its secret, which is returned only once."""

    #: Creation time.
    createdAt: Timestamp
    description: Text256 | None
    #: Id of the destination.
    destinationId: DestinationId
    disabledAt: Timestamp | None
    #: Reason why Tenon disabled the destination; null if it did not.
    disabledReason: str | None
    #: Whether records are sent.
    enabled: bool
    #: Records that are sent: errors, and types of events.
    events: list[Subscription]
    #: Filter of the records that are sent.
    filter: Filter
    #: Health of the destination.
    health: Health
    name: Text256 | None
    #: Waits between attempts, in seconds; each is up to 10 % longer.
    retryPolicy: list[int]
    #: Secret that signs the requests, `whsec_…`.
    secret: str
    type: Literal["webhook"]
    #: Time of the last change.
    updatedAt: Timestamp
    #: URL to which records are posted.
    url: WebhookUrl
    #: Result of the verification, or the reason why the connection is unverified.
    verification: str
    #: Whether the connection was verified: by the check when it was saved, or by a delivery that a
    #: webhook accepted.
    verified: bool


@final
class Workflow(TypedDict):
    """Workflow as the API returns it."""

    #: Whether the workflow is active; false while its user is disabled.
    active: bool
    #: Creation time.
    createdAt: Timestamp
    #: Credentials that the workflow uses.
    credentialIds: list[CredentialId]
    integrationId: Text128 | None
    key: WorkflowKey | None
    #: Name, unique per user.
    name: Text250
    #: Increases with every change, also when the user is disabled or enabled.
    revision: int
    #: Settings that the engine reads.
    settings: dict[str, Any]
    #: Time of the last change.
    updatedAt: Timestamp
    #: Id of the user who owns the workflow.
    userId: UserId
    #: Id of the workflow.
    workflowId: WorkflowId


@final
class WorkflowInput(TypedDict):
    """Workflow that an installation creates."""

    description: NotRequired[Text1000 | None]
    #: Key, unique within the integration.
    key: WorkflowKey
    #: Display name, with which the name of each user's workflow begins.
    name: Text200


@final
class WorkflowList(TypedDict):
    """Page of a list."""

    #: Cursor of the next page; absent on the last page.
    cursor: NotRequired[str]
    #: Items of the page.
    data: list[Workflow]


@final
class WorkflowSelector(TypedDict):
    """Selection of a workflow by id or name."""

    userId: NotRequired[UserRef | None]
    workflowId: NotRequired[WorkflowId | None]
    workflowName: NotRequired[Text250 | None]


@final
class WorkflowTemplate(TypedDict):
    """Workflow that an installation creates."""

    description: Text1000 | None
    #: Key, unique within the integration.
    key: WorkflowKey
    #: Display name, with which the name of each user's workflow begins.
    name: Text200


AccessKeyId: TypeAlias = str

KeyId: TypeAlias = str

UserId: TypeAlias = str

#: Result of an item.
BatchResult: TypeAlias = CreatedBatchResult | ConflictBatchResult | InvalidBatchResult

BusName: TypeAlias = str

#: State of the circuit.
Circuit: TypeAlias = Literal["closed", "open"]

Color: TypeAlias = str

#: Users to create, in an object or as a list.
CreateUsers: TypeAlias = CreateUserList | list[CreateUser]

CredentialId: TypeAlias = str

#: Status of a credential.
CredentialStatus: TypeAlias = Literal["valid", "invalid"]

#: Status of a delivery.
DeliveryStatus: TypeAlias = Literal["delivered", "pending", "failed", "cancelled"]

#: Destination as the API returns it.
Destination: TypeAlias = EventbridgeDestination | WebhookDestination

DestinationId: TypeAlias = str

#: Type of a destination.
DestinationType: TypeAlias = Literal["eventbridge", "webhook"]

#: Destination with its secret, which is returned only once.
DestinationWithSecret: TypeAlias = EventbridgeDestinationWithSecret | WebhookDestinationWithSecret

Email: TypeAlias = str

EnvironmentId: TypeAlias = str

#: Purpose of an environment.
EnvironmentKind: TypeAlias = Literal["live", "test"]

ErrorId: TypeAlias = str

EventId: TypeAlias = str

EventType: TypeAlias = Literal[
    "installation.created",
    "installation.updated",
    "installation.deleted",
    "workflow.created",
    "workflow.updated",
    "workflow.activated",
    "workflow.deactivated",
    "workflow.deleted",
    "credential.created",
    "credential.replaced",
    "credential.invalid",
    "credential.valid",
    "credential.deleted",
    "user.disabled",
    "user.enabled",
    "user.deleted",
]

ExternalId: TypeAlias = str

FieldName: TypeAlias = str

#: Type of the value of a field.
FieldType: TypeAlias = Literal["text", "secret", "url", "number", "boolean", "select"]

Fingerprint: TypeAlias = str

Font: TypeAlias = str

#: Summary of the health of a destination.
HealthStatus: TypeAlias = Literal["disabled", "failing", "retrying", "healthy"]

#: Action that a user can take about an error.
HintAction: TypeAlias = Literal["reconnect"]

Icon: TypeAlias = str

#: Status of an installation.
InstallationStatus: TypeAlias = Literal["active", "inactive", "needs-attention"]

IntegrationId: TypeAlias = str

#: Language of the modal.
Language: TypeAlias = Literal["en", "de", "fr", "es", "pt", "ja"]

#: Key-value pairs that the customer attaches to a user: at most 50 pairs and 8 KiB in total.
Metadata: TypeAlias = dict[str, str]

Origin: TypeAlias = str

Pattern: TypeAlias = str

Principal: TypeAlias = str

ProblemType: TypeAlias = Literal[
    "urn:tenon:problem:malformed-json",
    "urn:tenon:problem:malformed-request",
    "urn:tenon:problem:invalid-cursor",
    "urn:tenon:problem:unauthorized",
    "urn:tenon:problem:forbidden",
    "urn:tenon:problem:user-disabled",
    "urn:tenon:problem:not-found",
    "urn:tenon:problem:user-exists",
    "urn:tenon:problem:workflow-exists",
    "urn:tenon:problem:too-many-integrations",
    "urn:tenon:problem:integration-disabled",
    "urn:tenon:problem:too-many-workflows",
    "urn:tenon:problem:workflow-installed",
    "urn:tenon:problem:too-many-destinations",
    "urn:tenon:problem:concurrent-modification",
    "urn:tenon:problem:destination-disabled",
    "urn:tenon:problem:destination-deleted",
    "urn:tenon:problem:no-secret",
    "urn:tenon:problem:idempotency-key-in-progress",
    "urn:tenon:problem:gone",
    "urn:tenon:problem:precondition-failed",
    "urn:tenon:problem:too-large",
    "urn:tenon:problem:unsupported-media-type",
    "urn:tenon:problem:validation",
    "urn:tenon:problem:connection-refused",
    "urn:tenon:problem:idempotency-key-reused",
    "urn:tenon:problem:internal",
    "urn:tenon:problem:busy",
    "urn:tenon:problem:not-recorded",
    "urn:tenon:problem:not-created",
]

#: One error, or up to 100 as `{"errors": […]}`.
RecordErrors: TypeAlias = RecordError | ErrorList

Region: TypeAlias = str

ReplayId: TypeAlias = str

#: Status of a replay.
ReplayStatus: TypeAlias = Literal["running", "done", "cancelled"]

RoleArn: TypeAlias = str

#: Choice between the default palettes.
Scheme: TypeAlias = Literal["light", "dark", "auto"]

#: Permission of an API key.
Scope: TypeAlias = Literal["manage", "engine", "read"]

Secret: TypeAlias = str

Settings: TypeAlias = dict[str, Any]

#: Sort order of records.
SortOrder: TypeAlias = Literal["asc", "desc"]

Subscription: TypeAlias = Literal[
    "error",
    "installation.*",
    "installation.created",
    "installation.updated",
    "installation.deleted",
    "workflow.*",
    "workflow.created",
    "workflow.updated",
    "workflow.activated",
    "workflow.deactivated",
    "workflow.deleted",
    "credential.*",
    "credential.created",
    "credential.replaced",
    "credential.invalid",
    "credential.valid",
    "credential.deleted",
    "user.*",
    "user.disabled",
    "user.enabled",
    "user.deleted",
]

Text1000: TypeAlias = str

Text128: TypeAlias = str

Text200: TypeAlias = str

Text250: TypeAlias = str

Text256: TypeAlias = str

Text500: TypeAlias = str

Text512: TypeAlias = str

Ticket: TypeAlias = str

Timestamp: TypeAlias = str

#: Permissions of a user token. Each mode includes those before it.
TokenMode: TypeAlias = Literal["read", "install", "manage"]

TtlSeconds: TypeAlias = int

#: userId, username or email address
UserRef: TypeAlias = str

#: Status of a user.
UserStatus: TypeAlias = Literal["active", "disabled"]

Username: TypeAlias = str

WebhookUrl: TypeAlias = str

WorkflowId: TypeAlias = str

WorkflowKey: TypeAlias = str

#: Actor of a change.
Actor: TypeAlias = dict[str, Any]

#: Theme of the modal.
Theme: TypeAlias = Scheme | Palettes

ThemeInput: TypeAlias = Scheme | PalettesInput
