//! Cache of what was read from AWS.

use std::{fmt, hash::Hash, time::Duration};

use moka::sync::Cache;

use crate::domain::timestamp::Timestamp;

/// Values that were read from AWS, each kept for a limited time.
///
/// They expire by the wall clock, because the monotonic clock of the underlying cache may stop
/// while Lambda freezes the process.
#[derive(Clone)]
pub struct WallClockCache<K, V> {
    lifetime: Duration,
    entries: Cache<K, (Timestamp, V)>,
}

impl<K, V> fmt::Debug for WallClockCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WallClockCache").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl<K, V> WallClockCache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Creates an empty cache for at most `capacity` values.
    pub fn new(lifetime: Duration, capacity: u64) -> Self {
        Self::weighted(lifetime, capacity, |_| 1)
    }

    /// Creates an empty cache for values of a total weight of at most `capacity`.
    pub fn weighted(lifetime: Duration, capacity: u64, weight: fn(&V) -> u32) -> Self {
        let entries = Cache::builder()
            .max_capacity(capacity)
            .weigher(move |_, (_, value): &(Timestamp, V)| weight(value))
            .time_to_live(lifetime)
            .build();
        Self { lifetime, entries }
    }

    /// Returns the value of a key, or none if it is unknown, expired, or from the future, because
    /// the clock was set back.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let (read_at, value) = self.entries.get(key)?;
        (read_at <= now && now < read_at + self.lifetime).then_some(value)
    }

    /// Sets the value of a key. `read_at` must not be later than the read.
    pub fn insert(&self, key: K, read_at: Timestamp, value: V) {
        self.entries.insert(key, (read_at, value));
    }

    /// Removes a key.
    pub fn remove(&self, key: &K) {
        self.entries.invalidate(key);
    }

    /// Returns the value of a key. Reads it if it is not cached. Concurrent callers may each read
    /// it: a function serves one request at a time.
    pub async fn get_or_read<E, F>(&self, key: K, read: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        match self.get(&key, Timestamp::now()) {
            Some(value) => Ok(value),
            None => self.read(key, read).await,
        }
    }

    /// Reads the value of a key, whether or not it is cached. If that fails, the cached value
    /// stays.
    pub async fn read<E, F>(&self, key: K, read: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let read_at = Timestamp::now();
        let value = read().await?;
        self.insert(key, read_at, value.clone());
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(30);

    #[test]
    fn value_is_cached_for_its_lifetime() {
        let (cache, read_at) = (WallClockCache::new(LIFETIME, 10), Timestamp::now());
        cache.insert("key", read_at, "value");
        assert_eq!(cache.get(&"key", read_at), Some("value"));
        assert_eq!(cache.get(&"key", read_at + LIFETIME - Duration::from_millis(1)), Some("value"));
        assert_eq!(cache.get(&"key", read_at + LIFETIME), None);
        assert_eq!(cache.get(&"key", read_at - Duration::from_millis(1)), None, "the clock was set back");
        assert_eq!(cache.get(&"other", read_at), None);
    }

    #[test]
    fn removed_value_is_read_again() {
        let (cache, read_at) = (WallClockCache::new(LIFETIME, 10), Timestamp::now());
        cache.insert("key", read_at, "value");
        cache.remove(&"key");
        assert_eq!(cache.get(&"key", read_at), None);
    }

    #[test]
    fn total_weight_is_limited() {
        let (cache, read_at) = (WallClockCache::weighted(LIFETIME, 10, |value: &u32| *value), Timestamp::now());
        for key in 0..10 {
            cache.insert(key, read_at, 3);
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.weighted_size() <= 10);
        assert!(cache.entries.entry_count() > 0);
    }

    #[tokio::test]
    async fn value_is_read_once() {
        let cache = WallClockCache::new(LIFETIME, 10);
        let read = async |value: u32| cache.get_or_read("key", async || Ok::<_, ()>(value)).await;
        assert_eq!(read(1).await, Ok(1));
        assert_eq!(read(2).await, Ok(1));
    }

    #[tokio::test]
    async fn value_stays_if_another_read_fails() {
        let cache = WallClockCache::new(LIFETIME, 10);
        assert_eq!(cache.read("key", async || { Ok::<_, ()>(1) }).await, Ok(1));
        assert_eq!(cache.read("key", async || { Err(()) }).await, Err(()));
        assert_eq!(cache.get(&"key", Timestamp::now()), Some(1));
    }

    #[tokio::test]
    async fn failed_read_is_not_cached() {
        let cache = WallClockCache::new(LIFETIME, 10);
        assert_eq!(cache.get_or_read("key", async || { Err(()) }).await, Err(()));
        assert_eq!(cache.get_or_read("key", async || { Ok::<_, ()>(1) }).await, Ok(1));
    }

    #[test]
    fn debug_output_contains_no_values() {
        let cache = WallClockCache::new(LIFETIME, 10);
        cache.insert("key", Timestamp::now(), "secret");
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
