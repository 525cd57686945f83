//! Roles of customers, which Tenon assumes with the external id of the destination, for its bus only.

use std::time::{Duration, Instant, SystemTime};

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_eventbridge::config::Credentials;
use aws_sdk_sts::{Client, error::ProvideErrorMetadata};
use futures_util::future::join3;
use moka::future::Cache;

use super::{check::ConnectionRefused, error_text, failure};
use crate::domain::{
    delivery::{Attempt, Failure, Route},
    destination::EventBridge,
    id::DestinationId,
    role::{ExternalId, RoleArn},
    timestamp::Timestamp,
};

/// Lifetime of the credentials of a role (AWS minimum).
const SESSION: Duration = Duration::from_secs(15 * 60);
/// Remaining lifetime from which credentials are not used any more.
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
    /// Attempt, with the response of AWS.
    pub attempt: Attempt,
    /// Kind of the failure.
    pub failure: Failure,
    /// Error code of AWS; empty if there was no response.
    code: String,
}

/// Reason why it is not proven that a role trusts Tenon for one destination only.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The role must be changed.
    #[error(transparent)]
    Refused(ConnectionRefused),
    /// STS gave no answer.
    #[error(transparent)]
    Unavailable(StsUnavailable),
}

/// Error for STS that is busy or unreachable.
#[derive(Debug, thiserror::Error)]
#[error("AWS STS did not answer: {0}")]
pub struct StsUnavailable(String);

impl Roles {
    /// Creates a client of the regional endpoint of STS, with the credentials of the function. Without
    /// the retries of the SDK, because Tenon has its own retry schedule.
    pub fn new(config: &SdkConfig, timeout: Duration) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(timeout).operation_timeout(timeout).build();
        let config = config.clone().into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        let sessions = Cache::builder().max_capacity(MAX_CACHED).time_to_live(SESSION - MARGIN).build();
        Self { sts: Client::new(&config.build()), timeout, sessions }
    }

    /// Returns credentials of a role for a bus. One call to STS, or none while they are cached.
    pub async fn credentials(
        &self,
        route: Route,
        bus: &EventBridge,
        role: &RoleArn,
    ) -> Result<Credentials, AssumeError> {
        let cached = self.sessions.get(&route).await;
        if let Some(credentials) = cached.and_then(|session| session.credentials(bus)) {
            return Ok(credentials);
        }
        let credentials = self.assume(route, bus, role, Some(&ExternalId::of(route))).await?;
        self.sessions.insert(route, Session { bus: bus.clone(), credentials: credentials.clone() }).await;
        Ok(credentials)
    }

    /// Forgets the credentials of a destination.
    pub async fn forget(&self, route: Route) {
        self.sessions.invalidate(&route).await;
    }

    /// Proves that a role can be assumed with the external id of its destination, and neither without
    /// one nor with another one: otherwise another destination could use it. Three concurrent calls to
    /// STS.
    pub async fn prove(&self, route: Route, bus: &EventBridge, role: &RoleArn) -> Result<Credentials, ProofError> {
        let (own, other) =
            (ExternalId::of(route), ExternalId::of(Route { destination: DestinationId::new(), ..route }));
        let assume = |external_id| self.assume(route, bus, role, external_id);
        let (with, without, with_other) = join3(assume(Some(&own)), assume(None), assume(Some(&other))).await;
        let credentials = with.map_err(|error| {
            error.proof_error("Tenon may not assume this role: it must exist, with the trust policy in `trustPolicy`")
        })?;
        for open in [without, with_other] {
            match open {
                Ok(_) => {
                    return Err(ProofError::Refused(ConnectionRefused {
                        pointer: "/credentials/roleArn",
                        explanation: "the trust policy must require this external id",
                        aws_message: "the role was also assumed without it".into(),
                    }));
                }
                Err(error) if error.code.starts_with("AccessDenied") => {}
                Err(error) => return Err(ProofError::Unavailable(StsUnavailable(error.attempt.response))),
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
        let error = |code: &str, status, failure, response| {
            let latency_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
            AssumeError { attempt: Attempt { at, status, latency_ms, response }, failure, code: code.to_owned() }
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
                    Err(error("", Some(200), Failure::Unreachable, "the response of STS has no credentials".into()))
                }
            },
            Err(refusal) => {
                let status = refusal.raw_response().map(|response| response.status().as_u16());
                let kind = refusal.code().map_or(Failure::Unreachable, failure);
                let response = error_text(&refusal, self.timeout);
                Err(error(refusal.code().unwrap_or_default(), status, kind, response))
            }
        }
    }
}

impl AssumeError {
    fn proof_error(self, explanation: &'static str) -> ProofError {
        match self.failure {
            Failure::Refused | Failure::Rejected => ProofError::Refused(ConnectionRefused {
                pointer: "/credentials/roleArn",
                explanation,
                aws_message: self.attempt.response,
            }),
            _ => ProofError::Unavailable(StsUnavailable(self.attempt.response)),
        }
    }
}
