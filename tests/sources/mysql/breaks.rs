//! Reads that end before their end, whoever ends them.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn rows_stream_and_a_broken_connection_is_an_error() {
    let Some(server) = server() else { return };
    let database = server.database("");
    let source = source(server, &database);
    let query = sql("select seq as id, repeat('x', 200) as pad from seq_1_to_400000");
    let batches = read(&*source, &query).unwrap();
    assert!(batches.len() > 1 && batches.iter().all(|b| b.num_rows() <= sources::BATCH_ROWS));
    let ids =
        |b: &RecordBatch| b.column(0).as_primitive::<arrow_array::types::UInt64Type>().iter().flatten().sum::<u64>();
    assert_eq!((count(&batches), batches.iter().map(ids).sum()), (400_000, 400_000 * 400_001 / 2));

    for (kill, said) in [("kill", "the connection broke before all rows were read"), ("kill query", "interrupted")] {
        let query = sql("select seq as id, repeat('x', 200) as pad from seq_1_to_40000000");
        let mut stream = source.read(&query, None).unwrap().remove(0);
        stream.next().unwrap().unwrap();
        let found = format!(
            "select concat('{kill} ', id) from information_schema.processlist where db = '{database}' and info like '%seq_1_to_4%' and id <> connection_id()"
        );
        let statements = server.rows("", &found);
        assert_eq!(statements.len(), 1, "{statements:?}");
        server.run("", &statements[0]);
        let error = stream.find_map(Result::err).map(sources::failure).expect("an error, not an end");
        assert!(error.to_string().contains(said), "{kill}: {error}");
        assert!(error.to_string().starts_with("mysql at 127.0.0.1:"), "{kill}: {error}");
        assert!(stream.next().is_none());
    }
}

/// Passes one connection on to a server, and hangs up on both after so many bytes of its answers; gives its own port.
fn cut_after(server: u16, bytes: usize) -> u16 {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
        let (mut left, mut buffer) = (bytes, [0; 4096]);
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            let length = length.min(left);
            if client.write_all(&buffer[..length]).is_err() {
                break;
            }
            left -= length;
            if left == 0 {
                break;
            }
        }
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
    port
}

/// Wherever in the server's answers the connection ends, from the first byte of the greeting to the last one of the rows:
/// the read fails, or all rows are there.
#[test]
fn a_connection_that_is_cut_anywhere_is_never_a_short_read() {
    let Some(server) = server() else { return };
    let database =
        server.database("create table t (id int, name text); insert into t select seq, 'x' from seq_1_to_20");
    let read_through = |bytes: usize| {
        let mut connection = server.parts(&database);
        connection["port"] = json!(cut_after(server.port, bytes));
        connection["sslmode"] = json!("disable");
        read(&*open(SourceType::Mysql, connection), &table("t")).map(|batches| count(&batches))
    };
    assert_eq!(read_through(1 << 20).unwrap(), 20);
    let (mut failed, mut whole) = (0, 0);
    for bytes in (1..2600).step_by(9) {
        match read_through(bytes) {
            Ok(rows) => {
                assert_eq!(rows, 20, "cut after {bytes} bytes");
                whole += 1;
            }
            Err(error) => {
                let said = format!("{error}; {}", error.help().unwrap_or_default());
                assert!(said.starts_with("mysql at 127.0.0.1:"), "cut after {bytes} bytes: {said}");
                assert!(!said.contains("fault of syncline"), "cut after {bytes} bytes: {said}");
                failed += 1;
            }
        }
    }
    assert!(failed > 50 && whole > 1, "{failed} failed, {whole} came whole: are the numbers of bytes right?");
}

#[test]
fn a_reader_that_stops_early_leaves_no_connection_behind() {
    let Some(server) = server() else { return };
    let database = server.database("");
    let source = source(server, &database);
    let mut stream = source.read(&sql("select seq as id from seq_1_to_40000000"), None).unwrap().remove(0);
    stream.next().unwrap().unwrap();
    drop(stream);
    let busy = format!("select count(*) from information_schema.processlist where db = '{database}'");
    let start = Instant::now();
    while server.rows("", &busy) != ["0"] {
        assert!(start.elapsed().as_secs() < 20, "the connection is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}
