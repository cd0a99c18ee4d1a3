//! Destinations against real SQLite files, a real PostgreSQL server and real files.

#[path = "destinations/faults.rs"]
mod faults;
#[path = "destinations/files.rs"]
mod files;
#[path = "destinations/laws.rs"]
mod laws;
#[path = "destinations/modes.rs"]
mod modes;
#[path = "destinations/place.rs"]
mod place;
#[path = "destinations/postgres.rs"]
mod postgres;
#[path = "destinations/records.rs"]
mod records;
#[path = "destinations/server.rs"]
mod server;
#[path = "destinations/sqlite.rs"]
mod sqlite;
