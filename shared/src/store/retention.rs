//! Time for which records and deliveries are kept.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::table::number;
use crate::{
    aws::{SettingError, setting},
    domain::timestamp::Timestamp,
};

/// Time for which errors, events and deliveries are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention(Duration);

impl Retention {
    /// Reads the retention from the environment variable `RETENTION_DAYS`.
    pub fn from_env() -> Result<Self, SettingError> {
        setting::<u32>("RETENTION_DAYS").map(Self::days)
    }

    /// Creates a retention of this number of 24-hour days.
    pub fn days(days: u32) -> Self {
        Self(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }

    /// Returns the value of the TTL attribute `expiresAt` for an item of the given time.
    pub(super) fn expires_at(self, from: Timestamp) -> AttributeValue {
        number((from + self.0).seconds())
    }
}
