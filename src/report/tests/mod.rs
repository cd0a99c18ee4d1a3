//! The faces, looked at: snapshots of what a person reads, and laws that hold for every plan.

mod injection;
mod markdown;
mod masking;
mod pages;
mod runs;
mod schedules;
mod terminal;
