//! Cron: queries that run at their time.

pub mod schedule;
