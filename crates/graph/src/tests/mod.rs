//! Tests of the crate as a whole: the edits one by one, forks, and the sample cortex of the shared vectors.

mod edits;
mod order;
mod sample;
mod sums;
mod verify;
