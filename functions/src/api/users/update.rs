//! `PUT /users/{user}` and `PATCH /users/{user}`. AWS calls: one DynamoDB read of the user by id,
//! or two by name, and one transaction; both again after a conflict with a concurrent request.

use std::collections::BTreeMap;

use axum::extract::State;
use tenon::{
    domain::{
        names::{Email, Names, UserRef, Username},
        patch::Patch,
        timestamp::Timestamp,
        user::{FullName, Metadata, User},
    },
    http::{Backend, Conflicts, FieldErrors, Fields, FromRoute, IfMatch, Input, Path, Problem, Revised, Routed, Valid},
    store::users::{UpdateUserError, Users},
};
use utoipa::ToSchema;

use super::{UserBody, revised, revision};

/// Changes to a user; absent fields remain unchanged.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(reject_null: username), check(check_names: username, email), check(check_metadata: metadata))]
pub struct UpdateUser {
    /// Username, unique in the environment.
    #[schema(value_type = Option<Username>)]
    username: Patch<Username>,
    /// Email address, unique in the environment; null clears it.
    #[schema(value_type = Option<Email>)]
    email: Patch<Email>,
    /// Full name; null clears it.
    #[schema(value_type = Option<FullName>)]
    full_name: Patch<FullName>,
    /// String pairs. PATCH merges them into the existing ones and removes pairs whose value is
    /// null; PUT replaces all pairs.
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    metadata: Patch<BTreeMap<String, Option<String>>>,
}

fn reject_null(fields: &mut Fields<'_>, username: &Patch<Username>) {
    if *username == Patch::Null {
        fields.reject("username", "cannot be null");
    }
}

fn check_names(fields: &mut Fields<'_>, username: &Patch<Username>, email: &Patch<Email>) {
    match (username, email) {
        (Patch::Set(username), Patch::Set(email)) => {
            if let Err(error) = Names::check(Some(username), Some(email)) {
                fields.reject("username", error);
            }
        }
        (Patch::Set(username), Patch::Null) if username.email().is_some() => {
            fields.reject("email", "cannot be null, because the username is an email address");
        }
        _ => {}
    }
}

/// Rejects pairs that exceed the limits on their own.
fn check_metadata(fields: &mut Fields<'_>, metadata: &Patch<BTreeMap<String, Option<String>>>) {
    match metadata {
        Patch::Absent => {}
        Patch::Null => fields.reject("metadata", "cannot be null; set the pairs to remove to null"),
        Patch::Set(pairs) => {
            if let Err(error) = Metadata::default().merge(pairs.clone()) {
                fields.reject("metadata", error);
            }
        }
    }
}

/// Effect of given metadata on the existing metadata.
#[derive(Clone, Copy, Debug)]
pub enum MetadataChange {
    /// The given metadata replaces the existing one.
    Replace,
    /// The given metadata is merged into the existing one.
    Merge,
}

impl FromRoute for MetadataChange {
    const ROUTES: &'static [(&'static str, Self)] =
        &[("PUT /users/{user}", Self::Replace), ("PATCH /users/{user}", Self::Merge)];
}

/// Updates a user; given metadata replaces the existing metadata. Names that it no longer uses are
/// free immediately.
#[utoipa::path(put, path = "/users/{user}", tag = "users", security(("apiKey" = ["manage"])),
    params(IfMatch), request_body = UpdateUser,
    responses((status = 200, body = UserBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the username or email address is taken, or concurrent requests changed the user; the problem document names the field")))]
pub async fn update_user(
    caller: Backend,
    State(users): State<Users>,
    Path(user): Path<UserRef>,
    if_match: IfMatch,
    Routed(metadata_change): Routed<MetadataChange>,
    Valid(body): Valid<UpdateUser>,
) -> Result<Revised<UserBody>, Problem> {
    let mut conflicts = Conflicts::new("user");
    loop {
        let before = super::find(&users, caller.environment, None, &user).await?;
        let after = updated(&before, body.clone(), metadata_change)?;
        if_match.check_revision(revision(&before))?;
        if after == before {
            return Ok(revised(before));
        }
        let after = User { version: before.version + 1, updated_at: Timestamp::now(), ..after };
        match users.update(caller.environment, &before, &after).await {
            Ok(()) => return Ok(revised(after)),
            Err(UpdateUserError::Conflict) => conflicts.retry().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Updates a user; given metadata is merged into the existing metadata. Names that it no longer
/// uses are free immediately.
#[utoipa::path(patch, path = "/users/{user}", tag = "users", security(("apiKey" = ["manage"])), params(IfMatch),
    request_body = UpdateUser,
    responses((status = 200, body = UserBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the username or email address is taken, or concurrent requests changed the user; the problem document names the field")))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn patch_user() {}

/// Returns the user with the changes applied.
fn updated(before: &User, update: UpdateUser, metadata_change: MetadataChange) -> Result<User, Problem> {
    let UpdateUser { username, email, full_name, metadata } = update;
    let renamed = !username.is_absent();
    let username = username.apply(None).unwrap_or_else(|| before.username.clone());
    // A username that is an email address also sets the email address.
    let sets_email = renamed && username.as_str().contains('@');
    let email = email.apply(before.email.clone().filter(|_| !sets_email));
    let mut errors = FieldErrors::default();
    if email.is_none() && !renamed && username.email().is_some() {
        errors.push(&["email"], "cannot be null while the username is an email address; change the username too");
    }
    let names = Names::of(username, email).map_err(|error| errors.push(&["email"], error));
    let base = match metadata_change {
        MetadataChange::Replace => Metadata::default(),
        MetadataChange::Merge => before.metadata.clone(),
    };
    let metadata = match metadata {
        Patch::Set(pairs) => base.merge(pairs),
        Patch::Absent | Patch::Null => Ok(before.metadata.clone()),
    };
    let metadata = metadata.map_err(|error| errors.push(&["metadata"], error));
    match (names, metadata) {
        (Ok(Names { username, email }), Ok(metadata)) if errors.is_empty() => {
            let full_name = full_name.apply(before.full_name.clone());
            Ok(User { username, email, full_name, metadata, ..before.clone() })
        }
        _ => Err(Problem::invalid(errors)),
    }
}
