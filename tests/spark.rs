//! A real Spark for the tests: a Connect server and two executors of its own processes, started once per test process and
//! gone with it. `SYNCLINE_SPARK` names `spark-submit` (of the Python package `pyspark`), `SYNCLINE_SPARK_DRIVER` the
//! ADBC driver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use adbc_core::options::{AdbcVersion, OptionDatabase};
use adbc_core::{Connection as _, Database as _, Driver as _, Statement as _};
use adbc_driver_manager::ManagedDriver;

/// A running server.
pub struct Server {
    pub port: u16,
    pub driver: PathBuf,
    folder: PathBuf,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    _watch: Child,
}

const SCRIPT: &str = r#"
cd "$DIR"
# A session of its own, so that workers and executors end with it.
setsid "$PROGRAM" --master 'local-cluster[2,1,768]' --driver-memory 1g \
  --conf spark.executor.memory=512m --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 \
  --conf "spark.connect.grpc.binding.port=$PORT" --conf "spark.sql.warehouse.dir=$DIR/warehouse" \
  --class org.apache.spark.sql.connect.service.SparkConnectServer > server.log 2>&1 < /dev/null &
SERVER=$!
echo $SERVER > pid
cat > /dev/null
kill -- -$SERVER
sleep 1
rm -rf "$DIR"
"#;

/// The server; `None`, loudly, where Spark is not installed. In CI (`CI` is set) that is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

/// A server that is nobody else's, to be killed; `None`, loudly, as [`server`].
pub fn own() -> Option<Server> {
    start()
}

fn start() -> Option<Server> {
    start_on(crate::outside::port())
}

fn start_on(port: u16) -> Option<Server> {
    let program = crate::outside::named("SYNCLINE_SPARK", "Spark")?;
    let driver = crate::outside::named("SYNCLINE_SPARK_DRIVER", "Spark")?;
    let folder = tempfile::Builder::new().prefix("syncline-spark-").tempdir().unwrap().keep();
    let watch = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("DIR", &folder)
        .env("PROGRAM", &program)
        .env("SPARK_HOME", program.parent().and_then(|bin| bin.parent()).expect("bin/spark-submit"))
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .env("PORT", port.to_string())
        .stdin(Stdio::piped())
        // Not ours: who waits for the end of this process's output must not wait for the server.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let log = || std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(180);
    while !log().contains("Spark Connect server started") {
        assert!(Instant::now() < end, "Spark did not start: {}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
    Some(Server { port, driver, folder, _watch: watch })
}

impl Server {
    /// The `connection` block, as a user would write it.
    pub fn connection(&self) -> serde_json::Value {
        serde_json::json!({ "driver": self.driver, "host": "127.0.0.1", "port": self.port })
    }

    /// Runs statements.
    pub fn run(&self, statements: &str) {
        let mut driver =
            ManagedDriver::load_dynamic_from_filename(&self.driver, None, AdbcVersion::V110).expect("a driver");
        let uri = format!("sc://127.0.0.1:{}", self.port);
        let database = driver.new_database_with_opts([(OptionDatabase::Uri, uri.as_str().into())]).expect("a database");
        let mut connection = database.new_connection().expect("a connection");
        for statement in statements.split(";\n").filter(|s| !s.trim().is_empty()) {
            let mut running = connection.new_statement().expect("a statement");
            running.set_sql_query(statement).expect("SQL");
            running.execute_update().unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }

    /// Kills the server and its executors.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("a running server");
        let killed = Command::new("kill").args(["-KILL", "--", &format!("-{}", pid.trim())]).status();
        assert!(killed.expect("kill runs").success(), "the server does not run");
    }

    /// Another server in the place of this one, which is dead; it holds nothing.
    pub fn start_again(self) -> Self {
        start_on(self.port).expect("what could be started once")
    }

    /// How many tasks were given to executors so far.
    pub fn tasks(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("Starting task")).count()
    }

    /// How many executors have finished tasks.
    pub fn executors(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let finished = |executor: &str| {
            log.lines().any(|line| line.contains("Finished task") && line.contains(&format!("(executor {executor})")))
        };
        ["0", "1"].into_iter().filter(|executor| finished(executor)).count()
    }
}
