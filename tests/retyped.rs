//! A column whose type is another one than when the sync last ran, while no manifest says what it must be: the plan says
//! what it was, what it is now and where it is used, and nothing is sent until somebody has said that it is meant.

use crate::project::{Project, Ran};

/// The seats of three people before and after; what is changed in the project meanwhile; exit code of
/// `plan --detailed-exitcode`; what is said of it, in this order.
type Case = (&'static str, [[&'static str; 3]; 2], fn(&Project), i32, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "one word among numbers makes text of all",
        [["1", "2", "3"], ["1", "2", "five"]],
        |_| {},
        3,
        &[
            "`people`: column `seats` of model `people` was integer at the last run and is text now; 3 records it is used in \
             would change",
            "at syncs/people.yaml:",
            "declare it in `models/people.yaml` (`columns: { seats: { type: string } }`) and plan again",
        ],
    ),
    (
        "the place is the model's, where it speaks of the column",
        [["1", "2", "3"], ["true", "false", "true"]],
        |p| {
            p.write("models/people.yaml", &(p.read("models/people.yaml") + "columns:\n  seats: { sensitive: false }\n"))
        },
        3,
        &["was integer at the last run and is boolean now", "at models/people.yaml:6:3", "{ type: boolean }"],
    ),
    (
        "declared, it is meant",
        [["1", "2", "3"], ["1", "2", "five"]],
        |p| p.write("models/people.yaml", &(p.read("models/people.yaml") + "columns: { seats: { type: string } }\n")),
        2,
        &[],
    ),
    (
        "numbers that are still numbers",
        [["1", "2", "3"], ["1", "2", "3.5"]],
        |_| {},
        2,
        &[
            "was integer at the last run and is float now; 1 record it is used in would change",
            "to have another type refused",
        ],
    ),
    ("nobody has seats any more", [["1", "2", "3"], ["", "", ""]], |_| {}, 2, &[]),
    ("nobody had seats before", [["", "", ""], ["1", "2", "3"]], |_| {}, 2, &[]),
    (
        "the column is not used any more",
        [["1", "2", "3"], ["1", "2", "3x"]],
        |p| p.edit("syncs/people.yaml", "seats: seats", "seats: { value: 7 }"),
        2,
        &[],
    ),
    ("the same type", [["1", "2", "3"], ["1", "2", "4"]], |_| {}, 2, &[]),
];

fn people(seats: &[&str; 3]) -> String {
    let line = |(id, seats): (usize, &&str)| format!("{id},p{id}@example.com,Person {id},free,{seats}\n");
    "id,email,name,plan,seats\n".to_owned() + &seats.iter().enumerate().map(line).collect::<String>()
}

fn said(ran: &Ran) -> String {
    ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_type_that_changed_is_said_where_it_matters_and_refused_until_it_is_meant() {
    for (what, [before, after], meanwhile, code, words) in CASES {
        let project = Project::people("mirror", "fields: { name: name, seats: seats }\n");
        project.write("data/people.csv", &people(before));
        project.apply(&[]).code(0);
        project.write("data/people.csv", &people(after));
        meanwhile(&project);
        let ran = project.run(&["plan", "--detailed-exitcode"]);
        let all = said(&ran);
        assert_eq!(ran.code, *code, "{what}: {all} {}", ran.stderr);
        let mut rest = all.as_str();
        for word in *words {
            let at = rest.find(word).unwrap_or_else(|| panic!("{what}: `{word}` is not said, or too early: {all}"));
            rest = &rest[at..];
        }
        assert_eq!(all.contains("at the last run"), !words.is_empty(), "{what}: {all}");
        let held = project.rows("out/crm.db", "select group_concat(coalesce(seats, '')) from people");
        project.apply(&[]).code(if *code == 2 { 0 } else { *code });
        if *code == 3 {
            assert!(all.contains("Apply refuses this plan: 1 column has another type."), "{what}: {all}");
            assert_eq!(
                project.rows("out/crm.db", "select group_concat(coalesce(seats, '')) from people"),
                held,
                "{what}"
            );
        } else {
            project.run(&["plan", "--detailed-exitcode"]).code(0);
        }
    }
}
