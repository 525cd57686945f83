//! Access of an EventBridge destination to its bus, as callers write it.

use tenon::{
    delivery::connections::NewAccess,
    domain::{
        event_bus::{AccessKeyId, AwsCredentials},
        role::RoleArn,
        secret::Secret,
    },
    http::{Fields, Input},
};
use utoipa::ToSchema;

/// Access to the account of a bus: a role that Tenon assumes, or access keys, which are stored in
/// encrypted form only.
#[derive(Clone, Debug)]
pub struct NewCredentials(NewAccess);

/// Access to the account of a bus: `roleArn`, or `accessKeyId` and `secretAccessKey`.
#[derive(ToSchema)]
#[schema(as = NewCredentials)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "documents the input of NewCredentials")]
pub struct NewCredentialsBody {
    /// ARN of a role of the account of the bus, which Tenon assumes. The role must trust Tenon for
    /// the external id of the destination.
    role_arn: Option<RoleArn>,
    /// Access key id.
    access_key_id: Option<AccessKeyId>,
    /// Secret access key.
    secret_access_key: Option<Secret>,
    /// Session token, for temporary keys.
    session_token: Option<Secret>,
}

impl Input for NewCredentials {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let role_arn = fields.optional("roleArn");
        let access_key_id = fields.optional("accessKeyId");
        let secret_access_key = fields.optional("secretAccessKey");
        let session_token = fields.optional("sessionToken");
        fields.reject_given(&["externalId"], "is chosen by Tenon");
        if fields.has("roleArn") {
            let keys = ["accessKeyId", "secretAccessKey", "sessionToken"];
            fields.reject_given(&keys, "cannot be combined with `roleArn`");
            return role_arn?.map(NewAccess::Role).map(Self);
        }
        if !fields.has("accessKeyId") && !fields.has("secretAccessKey") {
            fields.reject_object("must have `roleArn`, or `accessKeyId` and `secretAccessKey`");
            return None;
        }
        let access_key_id = fields.require("accessKeyId", access_key_id);
        let secret_access_key = fields.require("secretAccessKey", secret_access_key);
        let session_token = session_token?;
        let (access_key_id, secret_access_key) = access_key_id.zip(secret_access_key)?;
        Some(Self(NewAccess::Keys(AwsCredentials { access_key_id, secret_access_key, session_token })))
    }
}

impl From<NewCredentials> for NewAccess {
    fn from(NewCredentials(access): NewCredentials) -> Self {
        access
    }
}
