//! TLS by rustls: with the authorities of the system and of `ca_file`, or without looking.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::diagnostic::Result;
use crate::tls;

/// What makes TLS connections; with `checked`, only to servers that are who they say. The error names the file that
/// cannot be used.
pub(super) fn connector(checked: bool, ca_file: Option<&Path>) -> Result<MakeRustlsConnect> {
    if checked {
        return Ok(MakeRustlsConnect::new(tls::checked(ca_file)?));
    }
    let unchecked = Arc::new(Unchecked(tls::provider()));
    let config = tls::builder()?.dangerous().with_custom_certificate_verifier(unchecked).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Takes any certificate, as `sslmode: prefer` promises no more than encryption; signatures are still checked.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
