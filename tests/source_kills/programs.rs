//! Programs that print rows and are killed, or end well after half of them.

use std::fs;

use super::watch::signal;
use super::{Before, comes_right, expected, people, people_batch, project, start};
use crate::project::Project;

/// A way of printing rows: what it prints whole, and how much of it is half.
struct Case {
    name: &'static str,
    source: &'static str,
    whole: fn(bool) -> Vec<u8>,
    /// Bytes of the half that are printed before the program dies, and those before one that ends well.
    half: fn(&[u8]) -> usize,
    killed: &'static str,
    /// What is said of one that ends with exit code 0 after half of it.
    ended: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "command, JSON lines",
        source: "name: shop\ntype: command\nconnection: { command: [sh, print.sh] }\n",
        whole: |later| {
            let rows = people(later).collect::<Vec<_>>();
            format!("{}[\"end\", {}]\n", rows.iter().map(line).collect::<String>(), rows.len()).into()
        },
        half: whole_lines,
        killed: "it was killed by signal 9",
        ended: "rows without saying that these are all",
    },
    Case {
        name: "command, Arrow",
        source: "name: shop\ntype: command\nconnection: { command: [sh, print.sh], format: arrow }\n",
        whole: arrow,
        half: |bytes| bytes.len() / 2,
        killed: "it was killed by signal 9",
        ended: "is not whole",
    },
    Case {
        name: "singer",
        source: "name: shop\ntype: singer\nconnection: { command: [sh, print.sh] }\n",
        whole: singer,
        half: |bytes| whole_lines(bytes) - 9,
        killed: "it was killed by signal 9",
        ended: "is not complete",
    },
];

fn line(row: &(usize, usize)) -> String {
    let (id, seats) = row;
    format!("{{\"id\":{id},\"email\":\"p{id}@x.io\",\"seats\":{seats},\"pad\":\"{}\"}}\n", "x".repeat(1000))
}

fn arrow(later: bool) -> Vec<u8> {
    let rows: Vec<(usize, usize)> = people(later).collect();
    let batch = |rows: &[(usize, usize)]| people_batch(rows, |_| "x".repeat(1000));
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch(&rows).schema()).unwrap();
    rows.chunks(7).for_each(|rows| writer.write(&batch(rows)).unwrap());
    writer.into_inner().unwrap()
}

fn singer(later: bool) -> Vec<u8> {
    let record = |row: (usize, usize)| {
        format!("{{\"type\":\"RECORD\",\"stream\":\"people\",\"record\":{}}}\n", line(&row).trim())
    };
    let schema =
        "{\"type\":\"SCHEMA\",\"stream\":\"people\",\"schema\":{\"properties\":{}},\"key_properties\":[\"id\"]}\n";
    format!("{schema}{}", people(later).map(record).collect::<String>()).into()
}

/// Where about half of the lines end.
fn whole_lines(bytes: &[u8]) -> usize {
    let half = bytes.len() / 2;
    half + bytes[half..].iter().position(|b| *b == b'\n').unwrap() + 1
}

/// The program prints the file `printed`, and then does this. As a tap it has a catalog.
fn then(project: &Project, what: &str) {
    let catalog = r#"{"streams":[{"tap_stream_id":"people","stream":"people","schema":{"properties":{}}}]}"#;
    let discover = format!("case \"$*\" in *--discover*) echo '{catalog}'; exit 0;; esac\n");
    project.write("print.sh", &format!("{discover}cat printed\n{what}\n"));
}

#[test]
fn a_program_that_is_killed_or_stops_in_mid_stream_removes_nobody() {
    for Case { name, source, whole, half, killed, ended } in CASES {
        let project = project(source, "table: { name: people }");
        let print = |bytes: &[u8]| fs::write(project.path("printed"), bytes).unwrap();
        print(&whole(false));
        then(&project, "");
        let before = Before::applied(&project);
        assert_eq!(before.held, expected(false, 1000), "{name}");

        // Killed from outside, when half of the rows are out and it would go on.
        let bytes = whole(true);
        print(&bytes[..half(&bytes)]);
        then(&project, "echo $$ > pid.new; mv pid.new pid; exec sleep 600");
        let mut running = start(&project);
        let pid = || fs::read_to_string(project.path("pid")).ok().and_then(|pid| pid.trim().parse::<u32>().ok());
        running.until("half of the rows are printed", || pid().is_some());
        signal(pid().unwrap(), libc::SIGKILL);
        before.stands(&project, &format!("{name}, killed"), &running.end(), &[killed]);

        // It ends after half of them, and says that all is well.
        then(&project, "exit 0");
        before.stands(&project, &format!("{name}, exit 0 after half"), &project.apply(&[]), &[ended]);

        print(&whole(true));
        then(&project, "");
        comes_right(&project, &expected(true, 1000));
    }
}

/// Singer knows no other sign of a whole output than exit code 0: a tap that ends well after half of its records, at the
/// end of a line, has said that these are all. There the guards are what stands between it and a removal.
#[test]
fn a_tap_that_leaves_half_out_and_ends_well_is_stopped_by_the_guards() {
    let project = project(CASES[2].source, "table: { name: people }");
    project.write("syncline.yaml", "name: kills\nguards: { max_removed: 10% }\n");
    then(&project, "");
    fs::write(project.path("printed"), singer(false)).unwrap();
    let before = Before::applied(&project);
    let bytes = singer(true);
    fs::write(project.path("printed"), &bytes[..whole_lines(&bytes)]).unwrap();
    let refused = project.apply(&[]).code(3);
    assert!(refused.stdout.contains("max_removed"), "{}", refused.stdout);
    assert_eq!(super::held(&project), before.held);
    fs::write(project.path("printed"), bytes).unwrap();
    comes_right(&project, &expected(true, 1000));
}
