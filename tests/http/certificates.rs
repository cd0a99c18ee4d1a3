//! TLS: servers that are who they say, and servers that are not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use syncline::http::{CallError, Client, Reply, Settings, Transport};

use super::{get, unreachable};

/// An authority, and certificates for `localhost` by it: one that is good, one that has expired.
const MAKE: &str = r"
set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=test authority'
openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=localhost'
printf 'subjectAltName=DNS:localhost\n' > san
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out good.pem -days 2 -extfile san
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\n[p]\ncommonName=supplied\n' > ca.conf
touch index
echo 77 > serial
openssl ca -batch -config ca.conf -in server.csr -cert ca.pem -keyfile ca.key -out expired.pem -extfile san \
  -startdate 20200101000000Z -enddate 20200201000000Z -notext
";

fn certificates() -> Option<tempfile::TempDir> {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh").args(["-c", MAKE]).current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(folder)
}

/// Answers one connection by TLS with this certificate.
fn serve(folder: &Path, certificate: &str) -> u16 {
    let chain = CertificateDer::pem_file_iter(folder.join(certificate)).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let _ = stream.flush();
        }
    });
    port
}

async fn call(base: &str, ca_file: Option<&Path>) -> Result<Reply, CallError> {
    let settings = Settings { ca_file: ca_file.map(Path::to_owned), proxy: false, ..Settings::new([base]) };
    Client::new(settings).unwrap().call(get(base)).await
}

#[tokio::test]
async fn a_server_has_to_be_who_it_says() {
    let Some(folder) = certificates() else { return };
    let authority = folder.path().join("ca.pem");
    let good = format!("https://localhost:{}", serve(folder.path(), "good.pem"));
    assert_eq!(call(&good, Some(&authority)).await.unwrap().body, b"ok");
    for (host, certificate, ca_file, words) in [
        ("localhost", "good.pem", None, "its certificate is not trusted: no known authority has signed it"),
        ("127.0.0.1", "good.pem", Some(&authority), "its certificate is for another host"),
        ("localhost", "expired.pem", Some(&authority), "its certificate has expired"),
    ] {
        let base = format!("https://{host}:{}", serve(folder.path(), certificate));
        unreachable(call(&base, ca_file.map(|path| path.as_path())).await, words);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_unreachable_by_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    unreachable(call(&base, None).await, "it does not speak TLS");
}

#[test]
fn a_file_without_a_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pem");
    std::fs::write(&path, "nothing").unwrap();
    let settings = Settings { ca_file: Some(path), ..Settings::new(["https://api.example.com"]) };
    let error = Client::new(settings).err().unwrap();
    assert!(error.to_string().contains("empty.pem"), "{error}");
}
