//! Access keys of an EventBridge destination as callers write them.

use tenon::{
    domain::{
        destination::{AccessKeyId, AwsCredentials},
        secret::Secret,
    },
    http::Input,
};
use utoipa::ToSchema;

/// AWS access keys of the customer. They are stored in encrypted form only.
#[derive(Debug, Input, ToSchema)]
#[schema(as = AwsCredentials)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCredentials {
    /// Access key id.
    access_key_id: AccessKeyId,
    /// Secret access key.
    secret_access_key: Secret,
    /// Session token, for temporary keys.
    session_token: Option<Secret>,
}

impl From<NewCredentials> for AwsCredentials {
    fn from(credentials: NewCredentials) -> Self {
        let NewCredentials { access_key_id, secret_access_key, session_token } = credentials;
        Self { access_key_id, secret_access_key, session_token }
    }
}
