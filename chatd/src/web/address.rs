//! The client's address behind proxies (docs/operations.md, Proxies and client addresses). Pure: no I/O.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::settings::Cidr;

/// The header in which proxies name whom they speak for, the nearest last.
const FORWARDED: &str = "x-forwarded-for";

/// The last hop that is not one of our proxies. What an untrusted hop says of others is not believed.
pub(super) fn client_address(socket: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let hops = headers.get_all(FORWARDED).iter().rev();
    let hops = hops.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let mut client = socket;
    for hop in hops {
        if !is_trusted(client) {
            break;
        }
        let Some(address) = parse(hop.trim()) else {
            break;
        };
        client = address;
    }
    client
}

/// An address; some proxies add the port.
fn parse(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bare).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_untrusted_hop() {
        let table: &[(&str, &[&str], &str)] = &[
            ("9.9.9.9", &["1.1.1.1"], "9.9.9.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1 , 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["1.1.1.1, garbage"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, garbage, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("fd00::1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ];
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (socket, values, client) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(FORWARDED, value.parse().unwrap());
            }
            let found = client_address(socket.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{socket} {values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, "1.1.1.1".parse().unwrap());
        assert_eq!(client_address([10, 0, 0, 1].into(), &headers, &[]), IpAddr::from([10, 0, 0, 1]));
    }
}
