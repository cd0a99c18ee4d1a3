//! TLS by rustls: with the authorities of the system and of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::diagnostic::{Error, Result};

/// What encrypts, here and everywhere in the program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The beginning of a configuration: how certificates are checked is still to be said.
///
/// # Errors
/// When there is no protocol version the provider can speak.
pub fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::failed(format!("TLS cannot be used: {e}")))
}

/// Connections only to servers that are who they say: by the authorities of the system, and those of `ca_file`.
///
/// # Errors
/// When `ca_file` cannot be used; it is named.
pub fn checked(ca_file: Option<&Path>) -> Result<ClientConfig> {
    Ok(builder()?.with_root_certificates(roots(ca_file)?).with_no_client_auth())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(ca_file)?);
    Ok(roots)
}

/// The certificates of the authorities to trust: those of the system, and those of `ca_file`.
///
/// # Errors
/// When `ca_file` cannot be used; it is named.
pub fn authorities(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    let mut found = Vec::new();
    if let Some(path) = ca_file {
        let fault = |what: &dyn std::fmt::Display| {
            Error::failed_help(
                format!("connection.ca_file: cannot use `{}`: {what}", path.display()),
                "it holds the certificate of an authority in PEM form",
            )
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fault(&e))? {
            let certificate = certificate.map_err(|e| fault(&e))?;
            RootCertStore::empty().add(certificate.clone()).map_err(|e| fault(&e))?;
            found.push(certificate);
        }
        if found.is_empty() {
            return Err(fault(&"there is no certificate in it"));
        }
    }
    // Certificates of the system that cannot be read are left out, as every other client does.
    let usable = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    found.extend(rustls_native_certs::load_native_certs().certs.into_iter().filter(usable));
    Ok(found)
}
