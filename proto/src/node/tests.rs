//! Whole nodes in memory.

mod catching_up;
mod deadlines;
mod limits;
mod membership;
mod spreading;
mod world;
