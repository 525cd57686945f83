//! Parts of changes that tests of the stores make without a request.

use aws_config::SdkConfig;
use tenon::{
    domain::{
        id::EnvironmentId,
        request_seed::RequestSeed,
        user::{User, UserStatus},
    },
    store::{Table, events::Outbox, retention::Retention, user_jobs::Deletion},
};

use crate::setting;

/// Returns the outbox of the stack.
pub fn outbox(config: &SdkConfig) -> Outbox {
    Outbox { table: Table::new(config, setting("ERRORS_TABLE")), retention: Retention::days(30) }
}

/// Returns the job of the deletion of a user.
pub fn deletion_of(environment: EnvironmentId, user: &User) -> Deletion {
    let seed = RequestSeed::new();
    let disabled = user.with_status(UserStatus::Disabled, seed.at);
    Deletion {
        environment_id: environment,
        user_id: user.user_id,
        started_at: seed.at,
        actor: None,
        owner: disabled.owner_status(),
        version: disabled.version,
        seed,
        counts: None,
    }
}
