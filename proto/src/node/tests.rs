//! Whole nodes in memory.

mod announcing;
mod budget;
mod burden;
mod cards;
mod catching_up;
mod deadlines;
mod heads;
mod limits;
mod membership;
mod mirrors;
mod patience;
mod quota;
mod redacting;
mod spreading;
mod statements;
mod strikes;
mod succession;
mod vouching;
mod witnessing;
mod world;
