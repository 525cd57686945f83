//! Figures: medians with their spread.

use std::fmt;

/// Median of repeated measurements, with half the interquartile range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Half the interquartile range.
    pub spread: f64,
}

/// Computes the median and spread of measurements.
pub fn spread(mut measured: Vec<f64>) -> Spread {
    measured.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let rank = part * (measured.len().max(1) - 1) as f64;
        let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
        let value = |rank: usize| measured.get(rank).copied().unwrap_or_default();
        value(low) + (value(high) - value(low)) * rank.fract()
    };
    Spread { median: at(0.5), spread: (at(0.75) - at(0.25)) / 2.0 }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.median {
            median if median >= 100.0 => 0,
            median if median >= 10.0 => 1,
            _ => 2,
        };
        write!(f, "{:.digits$} ± {:.digits$}", self.median, self.spread)
    }
}

/// Returns the largest measurement.
pub fn largest(measured: &[f64]) -> f64 {
    measured.iter().copied().fold(0.0, f64::max)
}
