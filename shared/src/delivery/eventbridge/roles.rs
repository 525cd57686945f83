//! Roles of customers, which Tenon assumes with the external id of the destination, for its bus
//! only.

use std::time::{Duration, Instant, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_eventbridge::config::Credentials;
use aws_sdk_sts::{Client, config, error::ProvideErrorMetadata};
use futures_util::future::join4;
use moka::sync::Cache;

use super::{
    RetryWithoutResponse, check::ConnectionRefused, error_text, sdk_failure, unlimited_retries, with_short_timeouts,
};
use crate::{
    delivery::senders::milliseconds_since,
    domain::{
        delivery::{Attempt, Failure, Outcome, Route},
        event_bus::EventBridge,
        role::{ExternalId, RoleArn},
        timestamp::Timestamp,
    },
    logs::ErrorChain,
};

/// Lifetime of the credentials of a role (AWS minimum).
const SESSION: Duration = Duration::from_secs(15 * 60);
/// Minimum remaining lifetime of cached credentials.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// Maximum number of destinations whose credentials are cached.
const MAX_CACHED: u64 = 1000;

/// Assumes roles, and caches their credentials for ten minutes.
#[derive(Clone)]
pub struct Roles {
    sts: Client,
    timeout: Duration,
    sessions: Cache<Route, Session>,
}

impl std::fmt::Debug for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roles").finish_non_exhaustive()
    }
}

/// Credentials of the role of a bus.
#[derive(Clone)]
struct Session {
    /// Settings for which the role was assumed.
    bus: EventBridge,
    credentials: Credentials,
}

impl Session {
    /// Returns the credentials unless the settings have changed or the credentials expire soon. By
    /// wall clock, because the monotonic clock may stop while Lambda freezes the process.
    fn credentials(self, bus: &EventBridge) -> Option<Credentials> {
        let lasts = self.credentials.expiry().is_some_and(|expiry| SystemTime::now() + MARGIN < expiry);
        (lasts && self.bus == *bus).then_some(self.credentials)
    }
}

/// Failure to assume a role.
#[derive(Debug)]
pub struct AssumeError {
    attempt: Attempt,
    cause: Cause,
}

/// Cause of a failure to assume a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The role does not exist, or its trust policy does not allow it.
    Denied,
    /// AWS STS is not active in Tenon's region.
    RegionDisabled,
    /// STS rejected the request for another reason.
    Rejected,
    /// STS rejected the credentials of the function.
    OwnCredentials,
    /// STS is busy.
    Busy,
    /// STS gave no answer.
    Unreachable,
}

impl Cause {
    fn of(code: Option<&str>, failure: Failure) -> Self {
        match (failure, code.unwrap_or_default()) {
            (Failure::Busy(_), _) => Self::Busy,
            (Failure::Unreachable, _) => Self::Unreachable,
            (_, "AccessDenied" | "AccessDeniedException") => Self::Denied,
            (_, "RegionDisabledException") => Self::RegionDisabled,
            (
                _,
                "ExpiredToken"
                | "ExpiredTokenException"
                | "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "SignatureDoesNotMatch"
                | "IncompleteSignature"
                | "MissingAuthenticationToken",
            ) => Self::OwnCredentials,
            _ => Self::Rejected,
        }
    }
}

impl AssumeError {
    /// Returns the outcome of a delivery for which the role was assumed.
    pub fn outcome(self) -> Outcome {
        match self.cause {
            Cause::Denied | Cause::RegionDisabled | Cause::Rejected => Outcome::Failed(self.attempt, Failure::Refused),
            // STS limits the calls of Tenon's account, for all destinations together.
            Cause::Busy => {
                tracing::warn!(response = self.attempt.response, "AWS STS is busy, skipped attempts");
                Outcome::Skipped
            }
            // Not the fault of the customer either, but further attempts have to wait.
            Cause::Unreachable => Outcome::Failed(self.attempt, Failure::Unreachable),
            Cause::OwnCredentials => Outcome::Skipped,
        }
    }

    fn into_proof_error(self) -> ProofError {
        let explanation = match self.cause {
            Cause::Denied => {
                "Tenon may not assume this role: it must exist, with the trust policy in `trustPolicy`; a new role \
                 takes some seconds"
            }
            Cause::RegionDisabled => {
                "AWS STS is not active in Tenon's region: activate it in the account of the role, and in Tenon's"
            }
            Cause::Rejected => "AWS cannot assume this role",
            Cause::OwnCredentials | Cause::Busy | Cause::Unreachable => {
                return ProofError::Unavailable(StsUnavailable(self.attempt.response));
            }
        };
        ProofError::refused(explanation, self.attempt)
    }
}

/// Reason why it is not proven that a role trusts Tenon for one destination only.
#[derive(Debug)]
pub enum ProofError {
    /// The role must be changed.
    Refused(ConnectionRefused, Attempt),
    /// STS gave no answer.
    Unavailable(StsUnavailable),
}

impl ProofError {
    fn refused(explanation: &'static str, attempt: Attempt) -> Self {
        let aws_message = attempt.response.clone();
        let refusal = ConnectionRefused { pointer: "/credentials/roleArn", explanation, aws_message };
        let response = refusal.to_string();
        Self::Refused(refusal, Attempt { response, ..attempt })
    }
}

/// Error for STS that is busy or unreachable.
#[derive(Debug, thiserror::Error)]
#[error("AWS STS did not answer: {0}")]
pub struct StsUnavailable(String);

impl Roles {
    /// Creates a client of the regional endpoint of STS, with the credentials of the function.
    pub fn new(config: &SdkConfig, timeout: Duration) -> Self {
        let config = with_short_timeouts(config, timeout);
        let config = config::Builder::from(&config).retry_classifier(RetryWithoutResponse);
        let config = config.retry_partition(unlimited_retries());
        let sessions = Cache::builder().max_capacity(MAX_CACHED).time_to_live(SESSION - MARGIN).build();
        Self { sts: Client::from_conf(config.build()), timeout, sessions }
    }

    /// Returns credentials of a role for a bus. One call to STS, or none while they are cached.
    pub async fn credentials(
        &self,
        route: Route,
        bus: &EventBridge,
        role: &RoleArn,
    ) -> Result<Credentials, AssumeError> {
        let cached = self.sessions.get(&route);
        if let Some(credentials) = cached.and_then(|session| session.credentials(bus)) {
            return Ok(credentials);
        }
        let credentials = self.assume(route, bus, role, Some(&ExternalId::of(route))).await?;
        self.sessions.insert(route, Session { bus: bus.clone(), credentials: credentials.clone() });
        Ok(credentials)
    }

    /// Forgets the credentials of a destination.
    pub fn forget(&self, route: Route) {
        self.sessions.invalidate(&route);
    }

    /// Proves that a role can be assumed with the external id of its destination, and neither
    /// without one nor with a similar one: otherwise other destinations could use it. Four
    /// concurrent calls to STS.
    pub async fn prove(&self, route: Route, bus: &EventBridge, role: &RoleArn) -> Result<Credentials, ProofError> {
        let own = ExternalId::of(route);
        let [one, other] = own.similar();
        let assume = |external_id| self.assume(route, bus, role, external_id);
        let (with, without, with_one, with_other) =
            join4(assume(Some(&own)), assume(None), assume(Some(&one)), assume(Some(&other))).await;
        let credentials = with.map_err(AssumeError::into_proof_error)?;
        for open in [without, with_one, with_other] {
            match open {
                Ok(_) => {
                    let response = "the role was also assumed without it".to_owned();
                    let attempt = Attempt { at: Timestamp::now(), status: Some(200), latency_ms: 0, response };
                    return Err(ProofError::refused("the trust policy must require this external id", attempt));
                }
                Err(AssumeError { cause: Cause::Denied, .. }) => {}
                Err(AssumeError { attempt, .. }) => {
                    return Err(ProofError::Unavailable(StsUnavailable(attempt.response)));
                }
            }
        }
        Ok(credentials)
    }

    async fn assume(
        &self,
        route: Route,
        bus: &EventBridge,
        role: &RoleArn,
        external_id: Option<&ExternalId>,
    ) -> Result<Credentials, AssumeError> {
        let Route { environment, destination } = route;
        let (at, started) = (Timestamp::now(), Instant::now());
        let request = self
            .sts
            .assume_role()
            .role_arn(role.as_str())
            .role_session_name(format!("tenon-{environment}-{destination}"))
            .set_external_id(external_id.map(ToString::to_string))
            .policy(bus.least_privilege_policy().to_string())
            .duration_seconds(i32::try_from(SESSION.as_secs()).unwrap_or(i32::MAX));
        let error = |status, cause, response| {
            let latency_ms = milliseconds_since(started);
            AssumeError { attempt: Attempt { at, status, latency_ms, response }, cause }
        };
        match request.send().await {
            Ok(output) => match output.credentials {
                Some(session) => Ok(Credentials::new(
                    session.access_key_id,
                    session.secret_access_key,
                    Some(session.session_token),
                    SystemTime::try_from(session.expiration).ok(),
                    "role",
                )),
                None => {
                    Err(error(Some(200), Cause::Unreachable, "the response of AWS STS has no credentials".to_owned()))
                }
            },
            Err(refusal) => {
                let status = refusal.raw_response().map(|response| response.status().as_u16());
                let cause = Cause::of(refusal.code(), sdk_failure(&refusal));
                if cause == Cause::OwnCredentials {
                    tracing::error!(error = %ErrorChain(&refusal), "AWS STS rejected the credentials of the function");
                }
                let response = match cause {
                    // The message of AWS names the role of the function.
                    Cause::Denied => {
                        format!("AccessDenied: Tenon is not authorized to perform sts:AssumeRole on {role}")
                    }
                    _ => error_text(&refusal, self.timeout),
                };
                Err(error(status, cause, response))
            }
        }
    }
}
