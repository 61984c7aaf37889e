//! The connection to a collector: retried without end, across a list of collectors.

mod clocks;
pub mod control;
pub mod notices;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use quinn::{ClientConfig, Connection, Endpoint};
use settings::way_out;
use tokio::time::timeout;
use wire::advice::Advised;

use self::control::close_reason;

/// Time limit for a handshake; QUIC itself would wait for the idle timeout.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// Time limit for resolving a name: enough for two name servers that don't answer.
pub const RESOLVE: Duration = Duration::from_secs(10);

/// Most addresses of a name that are tried.
const ADDRESSES: usize = 8;

/// A collector's address as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Host name or IP address.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("can't find collector {server}")]
    Resolve {
        /// The collector.
        server: Server,
        /// The error of the resolver, with the remedy.
        #[source]
        error: Advised,
    },
    /// No UDP socket.
    #[error("can't open a UDP socket")]
    Socket(#[source] Advised),
    /// The collector can't be reached or refuses.
    #[error("can't connect to collector {server} ({address})")]
    Refused {
        /// The collector.
        server: Server,
        /// The address tried last.
        address: SocketAddr,
        /// Why. A collector that refuses says so in text of its own.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Connects to one collector, by any of its addresses. The connection must speak
/// an application protocol of `config` and prove to be `server_name`.
///
/// # Errors
/// [`ConnectError`] of the address tried last.
pub async fn connect(
    server: &Server,
    server_name: &str,
    config: &ClientConfig,
) -> Result<(Endpoint, Connection), ConnectError> {
    let resolve_error = |error: std::io::Error| ConnectError::Resolve {
        server: server.clone(),
        error: Advised::new(error, "check server.host"),
    };
    let late = || std::io::Error::other(format!("no answer within {RESOLVE:?}"));
    let looked_up = tokio::net::lookup_host((server.host.as_str(), server.port));
    let looked_up = timeout(RESOLVE, looked_up).await.unwrap_or_else(|_| Err(late()));
    let addresses: Vec<SocketAddr> = looked_up.map_err(resolve_error)?.take(ADDRESSES).collect();
    let none = std::io::Error::other("the name has no address");
    let mut failure = resolve_error(none);
    for address in addresses {
        match connect_to(address, server_name, config.clone()).await? {
            Ok(connected) => return Ok(connected),
            Err(error) => {
                failure = ConnectError::Refused { server: server.clone(), address, error };
            }
        }
    }
    Err(failure)
}

async fn connect_to(
    address: SocketAddr,
    server_name: &str,
    config: ClientConfig,
) -> Result<Result<(Endpoint, Connection), Box<dyn std::error::Error + Send + Sync>>, ConnectError>
{
    let local: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket_error = |error: std::io::Error| {
        let way_out = way_out(&error, "see `agent doctor`");
        ConnectError::Socket(Advised::new(error, way_out))
    };
    let endpoint = Endpoint::client(local).map_err(socket_error)?;
    let connecting = match endpoint.connect_with(config, address, server_name) {
        Ok(connecting) => connecting,
        Err(error) => return Ok(Err(error.into())),
    };
    Ok(match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => Ok((endpoint, connection)),
        Ok(Err(error)) => Err(close_reason(&error).into()),
        Err(_) => {
            Err(format!("no answer within {HANDSHAKE:?}; is UDP {} open?", address.port()).into())
        }
    })
}
