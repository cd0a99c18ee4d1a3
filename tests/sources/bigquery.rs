//! BigQuery: its API as the emulator `bqemulator` speaks it, and a stand-in for what an emulator does not do.

mod emulated;
mod login;
mod pages;
mod stand_in;
