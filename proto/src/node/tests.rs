//! Whole nodes in memory.

mod announcing;
mod budget;
mod cards;
mod catching_up;
mod deadlines;
mod limits;
mod membership;
mod patience;
mod quota;
mod spreading;
mod statements;
mod strikes;
mod succession;
mod world;
