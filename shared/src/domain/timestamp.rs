//! Timestamps with millisecond precision.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize, de};

/// Point in time in UTC with millisecond precision, serialized as ISO 8601
/// (`2026-11-24T05:30:50.123Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Returns the current time of the system clock.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// Returns the time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1000)
    }

    /// Returns the time `milliseconds` after 1970-01-01T00:00:00Z.
    pub fn from_milliseconds(milliseconds: u64) -> Self {
        Self(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }

    /// Returns whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the start of the second that contains this time.
    pub const fn second(self) -> Self {
        Self(self.seconds() * 1000)
    }

    /// Returns milliseconds since 1970-01-01T00:00:00Z.
    pub const fn milliseconds(self) -> i64 {
        self.0
    }

    /// Returns the day that contains this time.
    pub fn day(self) -> Day {
        Day(self.to_string().chars().take_while(|character| *character != 'T').collect())
    }
}

/// Day in UTC, in the form `2026-11-24`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(String);

impl Day {
    /// Returns the day in the form `2026-11-24`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the nearest time that can be written: `jiff` represents no fractions of its first and
/// last second.
fn nearest(milliseconds: i64) -> Timestamp {
    let (first, last) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    Timestamp(milliseconds.clamp(first * 1000, last * 1000))
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        nearest(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        nearest(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// Removes digits of a second beyond nanoseconds, which RFC 3339 permits and `jiff` does not.
fn without_surplus_digits(text: &str) -> Cow<'_, str> {
    let Some((whole, fraction)) = text.split_once(['.', ',']) else { return text.into() };
    let digits = fraction.len() - fraction.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    match (fraction.get(..9), fraction.get(digits..)) {
        (Some(nanoseconds), Some(offset)) if digits > 9 => format!("{whole}.{nanoseconds}{offset}").into(),
        _ => text.into(),
    }
}

/// Error for a text that is not a timestamp.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimestampError {
    /// The text has another format.
    #[error("must be an ISO 8601 time with an offset, such as 2026-11-24T05:30:50.123Z")]
    Format,
    /// The text has a space instead of the plus sign of the offset: in a query, `+` means a space.
    #[error("must have a + before the offset")]
    Plus,
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Parses an ISO 8601 or RFC 3339 time with an offset. Digits beyond milliseconds are dropped.
    /// Times at the ends of the years -9999 and 9999, which `jiff` cannot represent because of
    /// their offsets, become the earliest and the latest time.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = parse(text) {
            Ok(time)
        } else if text.split_once(' ').and_then(|(time, offset)| parse(&format!("{time}+{offset}"))).is_some() {
            Err(TimestampError::Plus)
        } else {
            Err(TimestampError::Format)
        }
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let text = &*without_surplus_digits(text);
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(nearest(at.as_millisecond()));
    }
    let pieces = Pieces::parse(text).ok()?;
    let year = pieces.date().year();
    let end = if year > 0 { i64::MAX } else { i64::MIN };
    (pieces.to_numeric_offset().is_some() && year.unsigned_abs() == 9999).then(|| nearest(end))
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::string_schema(|schema| {
            schema.format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
        })
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn time_is_written_in_utc_with_milliseconds() {
        let time: Timestamp = "2026-11-24T06:30:50+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-24T05:30:50.000Z");
    }

    #[test]
    fn first_and_last_times_are_written_as_they_are_read() {
        let ends =
            ["-009999-01-02T01:59:59.5Z", "-9999-01-01T00:00:00Z", "9999-12-30T22:00:00.5Z", "9999-12-31T23:59:59Z"];
        for end in ends.map(|text| text.parse::<Timestamp>()).into_iter().flatten() {
            for time in [end, end + Duration::from_millis(59), end - Duration::from_millis(59), end + Duration::MAX] {
                assert_eq!(time.to_string().parse(), Ok(time));
            }
        }
        assert_eq!("9999-12-31T23:59:59Z".parse::<Timestamp>().unwrap(), nearest(i64::MAX));
    }

    #[test]
    fn day_is_in_utc() {
        let time: Timestamp = "2026-11-24T00:30:00+01:00".parse().unwrap();
        assert_eq!(time.day().as_str(), "2026-11-23");
    }

    #[test]
    fn time_without_an_offset_is_rejected() {
        for text in ["", "yesterday", "2026-11-24", "2026-11-24T05:30:50", "1700000000"] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::Format), "{text}");
        }
    }

    #[test]
    fn unencoded_plus_sign_is_explained() {
        assert_eq!("2026-11-24T05:30:50 01:00".parse::<Timestamp>(), Err(TimestampError::Plus));
        assert_eq!("2026-11-24T05:30:50 x".parse::<Timestamp>(), Err(TimestampError::Format));
    }

    #[test]
    fn many_spaces_are_rejected_without_recursion() {
        for text in [" ".repeat(1 << 20), format!("2026-11-24T05:30:50{}01:00", " ".repeat(1 << 20))] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::Format));
        }
    }

    #[test]
    fn every_time_of_the_calendar_is_accepted() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let latest = time("9999-12-31T23:59:59Z");
        assert_eq!(time("9999-12-31T00:00:00+01:00"), latest);
        assert_eq!(time("9999-12-31T23:59:59-23:00"), latest);
        assert!(time("9999-12-30T12:00:00Z") < latest);
        let earliest = time("-009999-01-01T00:00:00Z");
        assert_eq!(time("-009999-01-01T00:00:00+23:00"), earliest);
        assert!(earliest < time("0000-01-01T00:00:00Z"));
        for time in [latest, earliest] {
            assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time), "{time}");
        }
    }

    proptest! {
        #[test]
        fn any_date_and_time_is_accepted(
            year in 0i16..=9999, month in 1i8..=12, day in 1i8..=28, hour in 0i8..24, minute in 0i8..60, offset in -14i8..=14,
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00{offset:+03}:00");
            prop_assert!(text.parse::<Timestamp>().is_ok(), "{}", text);
        }

        #[test]
        fn fraction_of_any_length_is_cut_to_milliseconds(ms in 0u16..1000, more in "[0-9]{0,40}", comma in any::<bool>()) {
            let (mark, expected) = (if comma { ',' } else { '.' }, format!("2026-11-24T05:30:50.{ms:03}Z"));
            for offset in ["Z", "+00:00"] {
                let text = format!("2026-11-24T05:30:50{mark}{ms:03}{more}{offset}");
                prop_assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), expected.clone());
            }
            let unencoded = format!("2026-11-24T05:30:50{mark}{ms:03}{more} 01:00");
            prop_assert_eq!(unencoded.parse::<Timestamp>(), Err(TimestampError::Plus));
        }

        #[test]
        fn time_round_trips(ms in 0i64..4_102_444_800_000) {
            let time = Timestamp(ms);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}
