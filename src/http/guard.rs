//! Where no request may go: link-local and cloud-metadata addresses, however they are written, and also after a name
//! resolves to one. Without TLS, nowhere but to this machine and private networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::CallError;

/// What an address is, as far as it matters whether a request may go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Never: link-local, metadata of a cloud, unspecified, multicast, broadcast.
    Forbidden,
    /// This machine or a private network: also without TLS.
    Private,
    /// Everything else: with TLS.
    Public,
}

/// Addresses at which clouds answer requests for credentials and that are not link-local.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

/// The same for IPv6, where they lie in private ranges.
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // AWS, containers
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

/// Names of the same services. They resolve to addresses above, but a proxy resolves names itself.
const METADATA_NAMES: &[&str] =
    &["metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"];

/// What an address is.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => reach_v4(v4),
            None => reach_v6(v6),
        },
    }
}

fn reach_v4(v4: Ipv4Addr) -> Reach {
    let [a, b, ..] = v4.octets();
    // Linux takes all of 0.0.0.0/8 as unspecified or refuses it.
    if v4.is_link_local() || a == 0 || v4.is_multicast() || v4.is_broadcast() || METADATA_V4.contains(&v4) {
        Reach::Forbidden
    } else if v4.is_loopback() || v4.is_private() || (a == 100 && (64..128).contains(&b)) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(v6: Ipv6Addr) -> Reach {
    let [first, ..] = v6.segments();
    let link_local = first & 0xffc0 == 0xfe80;
    if link_local || v6.is_unspecified() || v6.is_multicast() || METADATA_V6.contains(&v6) {
        Reach::Forbidden
    } else if v6.is_loopback() || first & 0xfe00 == 0xfc00 {
        Reach::Private
    } else {
        Reach::Public
    }
}

/// The IPv4 address within an IPv6 address that leads to it: mapped, compatible, translated (NAT64) or tunnelled (6to4).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    message: String,
    help: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        CallError::Forbidden { message: refusal.message, help: refusal.help.into() }
    }
}

impl Refusal {
    fn forbidden(host: &str, address: Option<IpAddr>) -> Self {
        let message = match address {
            Some(address) if address.to_string() != host.trim_matches(['[', ']']) => {
                format!("`{host}` is the address {address}, which no request may go to")
            }
            _ => format!("no request may go to `{host}`"),
        };
        Self {
            message,
            help: "link-local addresses and the metadata services of clouds hand out credentials: check `base_url`",
        }
    }

    fn clear_text(host: &str) -> Self {
        Self {
            message: format!("`http://{host}` would send credentials and records in clear text"),
            help: "write `https://`; without TLS, requests only go to this machine and to private networks",
        }
    }
}

/// Reads an address and refuses what can be refused by looking at it: other schemes, user names in it, forbidden
/// literal addresses. Names are looked at again when they are resolved.
///
/// # Errors
/// [`CallError::Forbidden`]; neither query nor user name is in it.
pub fn read(url: &str) -> Result<Url, CallError> {
    let fault = |message: String, help: &str| CallError::Forbidden { message, help: help.into() };
    let whole = "an address is written `https://api.example.com/v1`";
    let parsed = Url::parse(url).map_err(|e| fault(format!("the address of a request cannot be read: {e}"), whole))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(fault(format!("requests are not sent by `{}:`", parsed.scheme()), whole));
    }
    let Some(host) = parsed.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase()) else {
        return Err(fault("the address of a request has no host".into(), whole));
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let help = "credentials go where the connector puts them, e.g. `connection.token`; the address has none";
        return Err(fault(format!("the address of `{host}` holds a user name or a password"), help));
    }
    if METADATA_NAMES.contains(&host.as_str()) {
        return Err(Refusal::forbidden(&host, None).into());
    }
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        check(&host, address, parsed.scheme() == "https")?;
    }
    Ok(parsed)
}

fn check(host: &str, address: IpAddr, encrypted: bool) -> Result<(), Refusal> {
    match (reach(address), encrypted) {
        (Reach::Forbidden, _) => Err(Refusal::forbidden(host, Some(address))),
        (Reach::Public, false) => Err(Refusal::clear_text(host)),
        (Reach::Private, _) | (Reach::Public, true) => Ok(()),
    }
}

/// Resolves names, and hands on only the addresses a request may go to: what was looked at is what is connected to.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) inner: Arc<dyn Resolve>,
    pub(super) encrypted: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let encrypted = self.encrypted;
        let resolving = self.inner.resolve(name);
        Box::pin(async move {
            let mut refusal = None;
            let mut good: Vec<SocketAddr> = Vec::new();
            for address in resolving.await? {
                match check(&host, address.ip(), encrypted) {
                    Ok(()) => good.push(address),
                    Err(reason) => refusal = Some(reason),
                }
            }
            match refusal {
                Some(reason) if good.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

/// The resolver of the system.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is a placeholder: the client puts the one of the address in its place.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[::169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[fe80::1]/",
            "https://[febf::1]/",
            "https://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "https://168.63.129.16/",
            "http://0.0.0.0/",
            "http://0/",
            "https://[::]/",
            "https://224.0.0.1/",
            "https://[ff02::1]/",
            "https://255.255.255.255/",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://METADATA.google.internal./",
            "http://\u{ff11}69.254.169.254/",
        ] {
            let error = read(url).expect_err(url);
            assert!(error.to_string().contains("no request may go to"), "{url}: {error}");
        }
    }

    #[test]
    fn clear_text_stays_on_private_networks() {
        for url in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://10.1.2.3",
            "http://192.168.1.1",
            "http://[fd12::1]",
            "http://localhost:80",
            "https://8.8.8.8",
            "https://api.example.com/v1?x=1",
            "http://100.64.0.1",
        ] {
            assert!(read(url).is_ok(), "{url}");
        }
        for url in ["http://8.8.8.8/", "http://[2606:4700::1111]/", "http://172.32.0.1"] {
            let CallError::Forbidden { message, help } = read(url).expect_err(url) else { panic!("{url}") };
            assert!(message.contains("clear text") && help.contains("https://"), "{url}: {message}");
        }
    }

    #[test]
    fn other_schemes_and_user_names_are_refused_and_not_repeated() {
        for (url, words) in [
            ("file:///etc/passwd", "`file:`"),
            ("ftp://example.com", "`ftp:`"),
            ("gopher://127.0.0.1", "`gopher:`"),
            ("https://hunter2@example.com/", "user name"),
            ("https://u:hunter2@example.com/?hunter2", "user name"),
            ("hunter2", "cannot be read"),
            ("https://", "cannot be read"),
        ] {
            let error = format!("{:?}", read(url).expect_err(url));
            assert!(error.contains(words) && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
