//! What keeps from an answer, in plain words, sorted by whether anything was sent. No message holds more of an address
//! than host and port.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError as Certificate;

use super::CallError;
use super::guard::Refusal;

/// What an error of the client means. `place` is host and port.
pub(super) fn sort(error: &reqwest::Error, place: &str, connect_timeout: Duration) -> CallError {
    if let Some(refusal) = find::<Refusal>(error) {
        return refusal.clone().into();
    }
    if error.is_builder() {
        return CallError::Forbidden {
            message: format!("the request to `{place}` cannot be sent as it is"),
            help: "check `path`, `query` and `headers` of the request".into(),
        };
    }
    if error.is_dns() {
        return CallError::Unreachable(format!("cannot reach `{place}`: the name cannot be resolved"));
    }
    if error.is_connect() {
        let why = if error.is_timeout() {
            format!("no connection within {} s", seconds(connect_timeout))
        } else {
            words(error)
        };
        return CallError::Unreachable(format!("cannot reach `{place}`: {why}"));
    }
    CallError::Lost(format!("no answer from `{place}`: {}", words(error)))
}

/// Seconds as people write them: `60`, `0.5`.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).into_iter().find_map(|cause| cause.downcast_ref())
}

/// The error and all its causes; what an I/O error holds is one of them, though it does not name it as its source.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut all = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        all.push(cause);
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => cause.source(),
        };
    }
    all
}

fn words(error: &(dyn Error + 'static)) -> String {
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_words(tls);
    }
    let causes = causes(error);
    let kind = causes.iter().rev().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".into(),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe) => {
            "the connection was reset".into()
        }
        Some(io::ErrorKind::UnexpectedEof) => "the connection was closed in the middle".into(),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "there is no route to it".into(),
        Some(io::ErrorKind::TimedOut) => "the connection timed out".into(),
        // The outer errors only say that there was one; the innermost says which.
        _ => causes.last().map(ToString::to_string).unwrap_or_default(),
    }
}

fn tls_words(error: &rustls::Error) -> String {
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::InvalidMessage(_) => return "it does not speak TLS".into(),
        other => return format!("TLS: {other}"),
    };
    match certificate {
        Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired".into(),
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "its certificate is not valid yet".into(),
        Certificate::UnknownIssuer => "its certificate is not trusted: no known authority has signed it".into(),
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "its certificate is for another host".into()
        }
        Certificate::Revoked => "its certificate has been revoked".into(),
        other => format!("its certificate is not trusted: {other}"),
    }
}
