//! The core of Tenon: all that two functions need.
//!
//! Dependencies point one way: the functions use [`http`], [`store`], [`vault`], [`tokens`] and [`delivery`]; these use
//! [`domain`], which knows neither HTTP nor AWS.

pub mod aws;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod store;
pub mod tokens;
pub mod vault;
