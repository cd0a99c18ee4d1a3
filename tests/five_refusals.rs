//! A column renamed upstream, a type that changed, a key with duplicates, an empty model, a stale one: five refusals that
//! say the same of files, of PostgreSQL and of a warehouse behind an ADBC driver: what is wrong, at which line of which
//! file, and what to do. Whether by `plan` or by `apply`, nothing is sent.

use crate::databases::postgres_yaml;
use crate::project::Project;

const MODEL: &str = "\
name: people
source: shop
table: { name: people }
primary_key: [id]
columns:
  id: { tests: [unique] }
  plan: { type: string }
  seats: { type: integer }
tests:
  - row_count: { min: 10 }
  - freshness: { column: updated_at, max_age: 36h }
";

/// What is wrong; the exit code; what is said of it: the fault, its place, what to do.
type Case = (&'static str, fn(&mut Table), i32, [&'static str; 3]);

const CASES: &[Case] = &[
    (
        "a column was renamed upstream",
        |table| table.column("plan").0 = "plans",
        1,
        [
            "the model has no column `plan`, which it promises",
            "models/people.yaml:7:3",
            "did you mean `plans`? if it was renamed, write the new name here and in the syncs",
        ],
    ),
    (
        "a type has changed",
        |table| {
            table.column("seats").1 = "text";
            table.rows[4][3] = "five".into();
        },
        1,
        [
            "column `seats` is declared as `integer`, but the model gives text",
            "models/people.yaml:8:18",
            "if that is meant, change the type here; else correct the source",
        ],
    ),
    (
        "the key has duplicates",
        |table| table.rows[6][0] = "6".into(),
        3,
        [
            "test `unique` of `people.id` fails: 2 rows share their `id` with another",
            "at models/people.yaml:6:17",
            "keep one row of each in the query of the model, or correct the rows",
        ],
    ),
    (
        "the model is empty",
        |table| table.rows.clear(),
        3,
        [
            "test `row_count` of `people` fails: the model is empty, the fewest rows are 10",
            "at models/people.yaml:10:5",
            "see whether what fills the source has run to its end, and what the query leaves out",
        ],
    ),
    (
        "the model is stale",
        |table| table.rows.iter_mut().for_each(|row| row[4] = "2020-01-01 00:00:00".into()),
        3,
        [
            "test `freshness` of `people.updated_at` fails: the newest `updated_at` is 2020-01-01 00:00:00 UTC",
            "at models/people.yaml:11:5",
            "the most is 36h at models/people.yaml:11:5 hint: see whether what fills the source has run",
        ],
    ),
];

/// The table upstream: names and types of its columns, and its rows as text.
struct Table {
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Twenty people, just updated.
    fn whole() -> Self {
        let columns =
            [("id", "bigint"), ("email", "text"), ("plan", "text"), ("seats", "bigint"), ("updated_at", "timestamp")];
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let row =
            |id: usize| vec![id.to_string(), format!("p{id}@x.io"), "free".into(), (id % 7).to_string(), now.clone()];
        Self { columns: columns.into(), rows: (1..=20).map(row).collect() }
    }

    fn column(&mut self, name: &str) -> &mut (&'static str, &'static str) {
        self.columns.iter_mut().find(|(own, _)| *own == name).expect("a column of that name")
    }

    fn csv(&self) -> String {
        let head: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let rows: String = self.rows.iter().map(|row| format!("{}\n", row.join(","))).collect();
        format!("{}\n{rows}", head.join(","))
    }

    fn statements(&self) -> Vec<String> {
        let columns: Vec<String> = self.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let row = |row: &Vec<String>| format!("insert into people values ('{}')", row.join("', '"));
        let create = format!("create table people ({})", columns.join(", "));
        std::iter::once(create).chain(self.rows.iter().map(row)).collect()
    }
}

/// Writes `sources/shop.yaml` and what it leads to; false where the system is not installed.
type Place = (&'static str, fn(&Project, &Table) -> bool);

const PLACES: &[Place] = &[
    ("files", |project, table| {
        project.write("sources/shop.yaml", "name: shop\ntype: files\nconnection: { path: data }\n");
        project.write("data/people.csv", &table.csv());
        true
    }),
    ("PostgreSQL", |project, table| {
        let Some(server) = crate::postgres::server() else { return false };
        let database = server.database(&table.statements().join(";\n"));
        project.write("password", &server.password);
        project.write("sources/shop.yaml", &postgres_yaml(server, "shop", &database));
        true
    }),
    ("DuckDB by ADBC", |project, table| {
        let Some(library) = crate::sources::duckdb::library() else { return false };
        let path = project.path("data/shop.duckdb");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        crate::sources::duckdb::run(&library, &path, table.statements().iter().map(String::as_str));
        let connection = format!("{{ path: data/shop.duckdb, driver: {} }}", library.display());
        project.write("sources/shop.yaml", &format!("name: shop\ntype: duckdb\nconnection: {connection}\n"));
        true
    }),
];

/// The project of a table that is there, or none where its system is not installed.
fn project(place: &Place, table: &Table) -> Option<Project> {
    let project = Project::people("mirror", "fields: { seats: seats }\n");
    std::fs::remove_file(project.path("sources/files.yaml")).expect("a file");
    project.write("models/people.yaml", MODEL);
    (place.1)(&project, table).then_some(project)
}

#[test]
fn five_faults_upstream_are_refused_in_the_same_words_whatever_the_source() {
    for place in PLACES {
        let Some(whole) = project(place, &Table::whole()) else { continue };
        whole.apply(&[]).code(0);
        for (what, break_it, code, said) in CASES {
            let mut table = Table::whole();
            break_it(&mut table);
            let project = project(place, &table).expect("it was there before");
            for command in [&["plan"][..], &["apply", "--auto-approve"]] {
                let ran = project.run(command);
                let all = format!("{}{}", ran.stdout, ran.stderr);
                let told = format!("{what}, {}, {command:?}:\n{all}", place.0);
                assert_eq!(ran.code, *code, "{told}");
                // Lines are wrapped at words.
                let flat = all.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
                for text in said {
                    assert!(flat.contains(text), "`{text}` is not said: {told}");
                }
                assert!(!project.path("out/crm.db").exists(), "something was sent: {told}");
            }
        }
    }
}
