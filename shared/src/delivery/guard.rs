//! Egress guard: prevents webhooks from reaching addresses that are not public (SSRF protection).
//!
//! The guard is part of the connector and checks each socket address immediately before it
//! connects. It resolves host names itself and connects to the addresses that it checked, so DNS
//! rebinding cannot change the address between check and use. The URL parser normalizes IP
//! addresses of any spelling, and the guard checks them in the same way. Proxies and redirects are
//! not supported.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::ParseIntError,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tower::Service;
use url::Host;

use crate::{
    aws::{SettingError, setting},
    domain::webhook::WebhookUrl,
};

/// IPv4 networks that are not public: the IANA IPv4 Special-Purpose Address Registry, multicast
/// (RFC 5771) and reserved class E (RFC 1112).
const NON_PUBLIC_V4: [Ipv4Net; 17] = [
    v4([0, 0, 0, 0], 8),       // this network
    v4([10, 0, 0, 0], 8),      // private
    v4([100, 64, 0, 0], 10),   // shared (CGNAT)
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local, with the metadata services
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation
    v4([192, 31, 196, 0], 24), // AS112
    v4([192, 52, 193, 0], 24), // AMT
    v4([192, 88, 99, 0], 24),  // 6to4 relays
    v4([192, 168, 0, 0], 16),  // private
    v4([192, 175, 48, 0], 24), // AS112
    v4([198, 18, 0, 0], 15),   // benchmarks
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 3),     // multicast, reserved, broadcast
];

/// The only IPv6 network with public addresses: global unicast (RFC 4291). It excludes IPv4-mapped
/// and IPv4-compatible addresses, NAT64, unique local, link-local and multicast addresses.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0], 3);

/// Networks within [`GLOBAL_UNICAST`] that are not public: the IANA IPv6 Special-Purpose Address
/// Registry.
const NON_PUBLIC_V6: [Ipv6Net; 6] = [
    v6([0x2001, 0, 0], 23),         // protocol assignments, with Teredo and benchmarks
    v6([0x2001, 0xdb8, 0], 32),     // documentation
    v6([0x2002, 0, 0], 16),         // 6to4, which carries an IPv4 address
    v6([0x2620, 0x4f, 0x8000], 48), // AS112
    v6([0x3ffe, 0, 0], 16),         // 6bone, returned
    v6([0x3fff, 0, 0], 20),         // documentation
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c]: [u16; 3], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

/// Returns whether an address belongs to the public Internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NON_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_UNICAST.contains(&address) && !NON_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// Allowed destinations of webhooks.
#[derive(Clone, Debug)]
pub struct EgressRules {
    /// Allowed ports.
    pub ports: Vec<u16>,
    /// Whether plain HTTP to loopback addresses is allowed, for local runs. Plain HTTP to other
    /// addresses is never allowed.
    pub allow_loopback: bool,
}

/// Reason why a webhook URL or address is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The scheme is not HTTPS.
    #[error("must start with https://")]
    Scheme,
    /// The port is not allowed. Contains the allowed ports.
    #[error("must use an allowed port ({0})")]
    Port(String),
    /// The address is not public.
    #[error("must resolve to a public address")]
    NotPublic,
}

/// Returns the allowed ports: 443 and those of a list.
fn ports(list: &str) -> Result<Vec<u16>, ParseIntError> {
    let mut ports: Vec<u16> = list.split(',').map(|port| port.trim().parse()).collect::<Result<_, _>>()?;
    if !ports.contains(&443) {
        ports.push(443);
    }
    Ok(ports)
}

impl EgressRules {
    /// Reads the rules from the environment variables `WEBHOOK_PORTS` (a list like `443,8443`, to
    /// which 443 always belongs) and `WEBHOOK_LOOPBACK` (`true` or `false`).
    pub fn from_env() -> Result<Self, SettingError> {
        let list: String = setting("WEBHOOK_PORTS")?;
        Ok(Self {
            ports: ports(&list).map_err(|_| SettingError { name: "WEBHOOK_PORTS" })?,
            allow_loopback: setting("WEBHOOK_LOOPBACK")?,
        })
    }

    /// Checks the URL itself. The addresses of its host name are checked when a connection is
    /// opened.
    pub fn check_url(&self, url: &WebhookUrl) -> Result<(), Forbidden> {
        let url = url.url().ok_or(Forbidden::NotPublic)?;
        let plain = url.scheme() == "http";
        let port = url.port_or_known_default().unwrap_or_default();
        let (literal, name) = match url.host() {
            Some(Host::Ipv4(address)) => (Some(IpAddr::from(address)), ""),
            Some(Host::Ipv6(address)) => (Some(IpAddr::from(address)), ""),
            Some(Host::Domain(name)) => (None, name.strip_suffix('.').unwrap_or(name)),
            None => (None, ""),
        };
        if plain {
            let loopback = literal.map_or(name == "localhost", |address| address.is_loopback());
            return if self.allow_loopback && loopback { Ok(()) } else { Err(Forbidden::Scheme) };
        }
        if !self.ports.contains(&port) {
            let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
            return Err(Forbidden::Port(ports.join(", ")));
        }
        // Names of one label and those below `localhost` (RFC 6761, section 6.3) are not in the
        // public DNS.
        let is_public = literal.map_or(name.contains('.') && !name.ends_with(".localhost"), is_public);
        if is_public { Ok(()) } else { Err(Forbidden::NotPublic) }
    }

    /// Returns whether a connection to this address may be opened.
    fn allows_dial(&self, address: SocketAddr, plain: bool) -> bool {
        if plain {
            self.allow_loopback && address.ip().is_loopback()
        } else {
            is_public(address.ip()) && self.ports.contains(&address.port())
        }
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Resolver of host names.
type Resolve = dyn Fn(String, u16) -> BoxFuture<Vec<SocketAddr>> + Send + Sync;

/// Connector that opens connections to allowed addresses only.
#[derive(Clone)]
pub struct GuardedConnector {
    rules: EgressRules,
    resolve: Arc<Resolve>,
}

impl fmt::Debug for GuardedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedConnector").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Timeout of name resolution and all TCP handshakes together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl GuardedConnector {
    /// Creates a connector that uses the system's resolver.
    pub fn new(rules: EgressRules) -> Self {
        Self::with_resolver(rules, |host, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        })
    }

    /// Creates a connector with a custom resolver.
    pub fn with_resolver(
        rules: EgressRules,
        resolve: impl Fn(String, u16) -> BoxFuture<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { rules, resolve: Arc::new(resolve) }
    }

    /// Connects to the first allowed address that accepts the connection.
    async fn dial(self, uri: Uri) -> io::Result<TcpStream> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let plain = uri.scheme_str() == Some("http");
        let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let host = uri.host().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let addresses = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => timeout_at(deadline, (self.resolve)(host.to_owned(), port)).await??,
        };
        let allowed: Vec<SocketAddr> =
            addresses.into_iter().filter(|address| self.rules.allows_dial(*address, plain)).collect();
        let mut last_error = io::Error::new(io::ErrorKind::PermissionDenied, Forbidden::NotPublic);
        let mut remaining = allowed.len();
        for address in allowed {
            // Each address but the last may use half of the remaining time.
            let now = Instant::now();
            let share = if remaining > 1 { now + deadline.saturating_duration_since(now) / 2 } else { deadline };
            remaining -= 1;
            match timeout_at(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last_error = error,
                Err(_) => last_error = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last_error)
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone().dial(uri);
        Box::pin(async move { dial.await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::ports;

    #[test]
    fn port_443_is_allowed_in_addition_to_any_others() {
        assert_eq!(ports("443").unwrap(), [443]);
        assert_eq!(ports("8443").unwrap(), [8443, 443]);
        assert_eq!(ports("443, 8443").unwrap(), [443, 8443]);
        assert!(ports("443,").is_err());
    }
}
