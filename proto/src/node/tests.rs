//! Whole nodes in memory.

mod announcing;
mod cards;
mod catching_up;
mod deadlines;
mod limits;
mod membership;
mod spreading;
mod statements;
mod succession;
mod world;
