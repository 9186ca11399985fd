//! Whole nodes in memory.

mod announcing;
mod catching_up;
mod deadlines;
mod limits;
mod membership;
mod spreading;
mod statements;
mod world;
