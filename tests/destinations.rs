//! Destinations against real SQLite files, real servers of PostgreSQL and MariaDB, and real files.

#[path = "destinations/faults.rs"]
mod faults;
#[path = "destinations/files.rs"]
mod files;
#[path = "destinations/laws.rs"]
mod laws;
#[path = "destinations/modes.rs"]
mod modes;
#[path = "destinations/mysql.rs"]
mod mysql;
#[path = "destinations/place.rs"]
mod place;
#[path = "destinations/postgres.rs"]
mod postgres;
#[path = "destinations/records.rs"]
mod records;
#[path = "destinations/sqlite.rs"]
mod sqlite;
