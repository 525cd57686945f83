//! `PATCH /destinations/{destinationId}`. AWS calls: two DynamoDB reads, and one write if anything
//! changes, or one transaction and a read, and possibly one message and one write, if it resets the
//! health; one read for each user that the filter names by username or email address; if the bus or
//! its keys change, two calls to the bus and one or two KMS calls; if a role is checked, two calls
//! to the bus and four to STS. All again after a conflict with a concurrent request, unless a bus
//! was checked.

use axum::extract;
use tenon::{
    delivery::{
        connections::{Proven, TargetChanges},
        drain_scheduler::DrainScheduler,
    },
    domain::{
        delivery::Route,
        destination::{Destination, Filter, MAX_SUBSCRIPTIONS, Target},
        event::Subscription,
        event_bus::{BusName, Region},
        health::Health,
        id::DestinationId,
        patch::Patch,
        text::Text,
        timestamp::Timestamp,
        webhook::WebhookUrl,
    },
    http::{Backend, Conflicts, FieldErrors, Input, Json, OrNotFound, Path, Problem, Valid},
    logs::ErrorChain,
    start::FromAws,
    store::{
        destinations::UpdateDestinationError,
        health::{HealthStore, Reset},
    },
};
use utoipa::ToSchema;

use super::{
    DestinationBody,
    credentials::{NewCredentials, NewCredentialsBody},
    filter::NewFilter,
};

/// Changes to a destination; absent fields remain unchanged.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchDestination {
    /// Whether records are sent.
    enabled: Option<bool>,
    /// Display name; null clears it.
    #[schema(value_type = Option<Text<256>>)]
    name: Patch<Text<256>>,
    /// Records that are sent, replaced as a whole.
    #[input(max = MAX_SUBSCRIPTIONS, min = 1)]
    #[schema(min_items = 1, max_items = 20)]
    events: Option<Vec<Subscription>>,
    /// Filter of the records that are sent, replaced as a whole; null removes it.
    #[schema(value_type = Option<NewFilter>)]
    filter: Patch<NewFilter>,
    /// URL of a webhook, to which records are posted.
    url: Option<WebhookUrl>,
    /// Description of a webhook; null clears it.
    #[schema(value_type = Option<Text<256>>)]
    description: Patch<Text<256>>,
    /// Region of a bus.
    region: Option<Region>,
    /// Name or ARN of a bus.
    event_bus_name: Option<BusName>,
    /// New access keys or role of a bus.
    #[schema(value_type = Option<NewCredentialsBody>)]
    credentials: Option<NewCredentials>,
}

impl PatchDestination {
    /// Returns errors for the fields that do not apply to a type of destination.
    fn inapplicable_to(&self, target: &Target) -> FieldErrors {
        let (given, detail) = match target {
            Target::EventBridge(_) => (
                vec![("url", self.url.is_some()), ("description", matches!(self.description, Patch::Set(_)))],
                "applies only to webhook destinations",
            ),
            Target::Webhook(_) => (
                vec![
                    ("region", self.region.is_some()),
                    ("eventBusName", self.event_bus_name.is_some()),
                    ("credentials", self.credentials.is_some()),
                ],
                "applies only to EventBridge destinations",
            ),
        };
        let mut errors = FieldErrors::default();
        given.iter().filter(|(_, given)| *given).for_each(|(name, _)| errors.push(&[name], detail));
        errors
    }
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    saving: super::State,
    health_store: HealthStore,
    scheduler: DrainScheduler,
}

impl State {
    /// Stores a changed destination. Returns its health, and wakes the drain if a reset concerns
    /// pending deliveries.
    async fn save(
        &self,
        route: Route,
        destination: &Destination,
        reset: Option<Reset>,
        health: Health,
    ) -> Result<Health, UpdateDestinationError> {
        let Self { saving: super::State { destinations, .. }, health_store, scheduler } = self;
        let Some(reset) = reset else {
            destinations.update(route.environment, destination).await?;
            return Ok(health);
        };
        destinations.update_and_reset(route, destination, reset).await?;
        let health = health_store.get(route).await?;
        if health.pending_since.is_some() {
            let now = Timestamp::now();
            if let Err(error) = scheduler.schedule(route, now, now).await {
                // The next run of the drain picks up the change.
                tracing::warn!(error = %ErrorChain(&error), "failed to schedule drain");
            }
        }
        Ok(health)
    }
}

/// Updates a destination.
///
/// A changed bus is first checked with a test event, and so is a role whose destination is enabled:
/// it must be possible to assume it with the external id, and not without. The previous credentials
/// are kept if the check fails. Enabling the destination, also if it is enabled already, or
/// changing its target closes the circuit, so that all pending deliveries are attempted
/// immediately. Results of another target are not shown. Disabling it cancels its pending
/// deliveries.
#[utoipa::path(patch, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    request_body = PatchDestination, responses((status = 200, body = DestinationBody),
        (status = 409, description = "the destination was modified by concurrent requests"),
        (status = 422, description = "AWS refused the connection")))]
pub async fn patch_destination(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(id): Path<DestinationId>,
    Valid(body): Valid<PatchDestination>,
) -> Result<Json<DestinationBody>, Problem> {
    let super::State { destinations, users, connections } = &state.saving;
    let route = Route { environment: caller.environment, destination: id };
    let shown = |found| Json(DestinationBody::new(route.environment, &connections.principal, found));
    let mut conflicts = Conflicts::new("destination");
    loop {
        let (before, health) = destinations.get_with_health(route).await?.or_not_found("destination")?;
        let mut errors = body.inapplicable_to(&before.target);
        let PatchDestination { enabled, name, events, filter, url, description, region, event_bus_name, credentials } =
            body.clone();
        let mut destination = before.clone();
        if let Some(enabled) = enabled {
            destination.set_enabled(enabled, Timestamp::now());
        }
        destination.name = name.apply(destination.name);
        destination.events = events.unwrap_or(destination.events);
        match filter {
            Patch::Absent => {}
            Patch::Null => destination.filter = Filter::default(),
            Patch::Set(filter) => destination.filter = filter.resolve(users, caller.environment, &mut errors).await?,
        }
        let credentials = credentials.map(Into::into);
        let changes = TargetChanges { url, description, region, event_bus_name, credentials };
        let enabling = enabled == Some(true);
        let change = errors.collect(connections.change(&destination, changes, enabling));
        let change = errors.finish(change)?;
        let Proven { target, verification, was_checked } = connections.prove(route, before.version + 1, change).await?;
        destination.target = target;
        let redirected = verification.is_some() && destination.target != before.target;
        if destination == before && verification.is_none() && !enabling {
            return Ok(shown((destination, health)));
        }
        destination.verification = verification.unwrap_or(destination.verification);
        destination.version += 1;
        destination.updated_at = Timestamp::now();
        let reset = reset_by((&before, &destination), redirected, enabling, &health);
        match state.save(route, &destination, reset, health).await {
            Ok(health) => return Ok(shown((destination, health))),
            // Another check of a bus might exceed the timeout of the function.
            Err(UpdateDestinationError::Conflict) if !was_checked => conflicts.retry().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the reset of the health that a change of a destination needs, if any.
fn reset_by(
    (before, after): (&Destination, &Destination),
    redirected: bool,
    enabling: bool,
    health: &Health,
) -> Option<Reset> {
    if redirected {
        return Some(if after.target.is_same_place(&before.target) { Reset::Outage } else { Reset::Results });
    }
    if enabling {
        return Some(if before.enabled { Reset::Circuit } else { Reset::Outage });
    }
    let disabled = before.enabled && !after.enabled;
    (disabled && health.pending_since.is_some()).then_some(Reset::Backlog)
}
