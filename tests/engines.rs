//! The database servers that the same tests run against.

use crate::project::Project;
use crate::{mysql, postgres};

/// A server, and how it says what the tests need.
#[derive(Clone, Copy)]
pub enum Engine {
    Postgres(&'static postgres::Server),
    Mysql(&'static mysql::Server),
}

impl Engine {
    /// All that are installed; in CI each must be.
    pub fn all() -> Vec<Self> {
        let postgres = postgres::server().map(Engine::Postgres);
        postgres.into_iter().chain(mysql::server().map(Engine::Mysql)).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Engine::Postgres(_) => "postgres",
            Engine::Mysql(_) => "mysql",
        }
    }

    /// One of two texts: PostgreSQL's, or MySQL's.
    pub fn either(self, postgres: &'static str, mysql: &'static str) -> &'static str {
        match self {
            Engine::Postgres(_) => postgres,
            Engine::Mysql(_) => mysql,
        }
    }

    /// Makes a database and fills it by SQL; gives its name.
    pub fn database(self, sql: &str) -> String {
        match self {
            Engine::Postgres(server) => server.database(sql),
            Engine::Mysql(server) => server.database(sql),
        }
    }

    /// Runs SQL in a database.
    pub fn run(self, database: &str, sql: &str) {
        match self {
            Engine::Postgres(server) => server.run(database, sql),
            Engine::Mysql(server) => server.run(database, sql),
        }
    }

    /// Rows of a query, each joined by `|`, null as `NULL`.
    pub fn rows(self, database: &str, sql: &str) -> Vec<String> {
        match self {
            Engine::Postgres(server) => crate::databases::rows(server, database, sql),
            Engine::Mysql(server) => server.rows(database, sql),
        }
    }

    /// The manifest of a source or destination; the password is in the project's file `password`.
    pub fn yaml(self, name: &str, database: &str) -> String {
        match self {
            Engine::Postgres(server) => crate::databases::postgres_yaml(server, name, database),
            Engine::Mysql(server) => server.yaml(name, database),
        }
    }

    pub fn password(self) -> &'static str {
        match self {
            Engine::Postgres(server) => &server.password,
            Engine::Mysql(server) => &server.password,
        }
    }

    /// The URL of a database.
    pub fn url(self, database: &str) -> String {
        match self {
            Engine::Postgres(server) => server.url(database),
            Engine::Mysql(server) => server.url(database),
        }
    }

    /// A table of people: so many of them.
    pub fn shop(self, rows: usize) -> String {
        let (kind, numbers) = match self {
            Engine::Postgres(_) => ("timestamptz", format!("generate_series(1, {rows}) as i")),
            Engine::Mysql(_) => ("datetime(6)", format!("(select seq as i from seq_1_to_{rows}) as numbers")),
        };
        format!(
            "create table people (id bigint primary key, email varchar(100), name varchar(100), seats int, at {kind}); \
             insert into people select i, concat('p', i, '@x.io'), concat('Person ', i), i % 7, '2026-01-01 00:00:00' \
             from {numbers}"
        )
    }

    /// An empty table that takes them. It says how often each row was written, see [`Engine::versions`].
    pub fn crm(self) -> &'static str {
        self.either(
            "create table people (email text primary key, name text, seats int, at timestamptz)",
            "create table people (email varchar(100) primary key, name text, seats int, at datetime(6),
                 version int not null default 0);
             create trigger written before update on people for each row set new.version = old.version + 1",
        )
    }

    /// Addresses of the people, each with something that is another one whenever the row is written.
    pub fn versions(self, database: &str) -> Vec<String> {
        let sql = self.either(
            "select email, xmin from people order by email",
            "select email, version from people order by email",
        );
        self.rows(database, sql)
    }

    /// A project that syncs a table of one database to a table of another.
    pub fn warehouse(self, from: &str, to: &str, model: &str, sync: &str) -> Project {
        Project::new(&[
            ("syncline.yaml", "name: test\n"),
            ("password", self.password()),
            ("sources/shop.yaml", &self.yaml("shop", from)),
            ("destinations/crm.yaml", &self.yaml("crm", to)),
            ("models/people.yaml", &format!("name: people\nsource: shop\n{model}\n")),
            ("syncs/people.yaml", &format!("name: people\nmodel: people\ndestination: crm\n{sync}\n")),
        ])
    }
}
