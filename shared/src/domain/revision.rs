//! Revisions: numbers that increase with every change of a resource.

use super::timestamp::Timestamp;

/// Returns the first revision of a resource, or the next one after `previous`. It is at least the
/// time in milliseconds, and so exceeds that of a deleted predecessor with the same id.
pub fn next_revision(previous: Option<u64>, now: Timestamp) -> u64 {
    let now = u64::try_from(now.milliseconds()).unwrap_or_default();
    previous.map_or(now, |previous| now.max(previous.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_always_increases() {
        let now = Timestamp::from_seconds(1_795_498_200);
        let first = next_revision(None, now);
        assert_eq!(first, 1_795_498_200_000);
        assert_eq!(next_revision(Some(first), now), first + 1);
        assert_eq!(next_revision(Some(5), now), first);
    }
}
