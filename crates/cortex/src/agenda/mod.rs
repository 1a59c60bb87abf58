//! Cron: queries that run at their time.

pub mod period;
pub mod schedule;
