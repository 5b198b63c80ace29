//! The base address of a provider: as much of a URL as that needs, and nothing that could carry a
//! secret or change which host is meant.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::{Scheme, Url};

impl Url {
    /// The message of an error never quotes the text: somebody may have written a password into it.
    pub fn parse(text: &str) -> Result<Url, String> {
        let expected = "expected an address like https://host, https://host:port or https://host/path";
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(expected.to_owned()),
        };
        if rest.contains(['?', '#']) {
            return Err("an address has no query and no fragment".to_owned());
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("an address has no user or password in it; `credential` says where the key is".to_owned());
        }
        let (host, port) = split_authority(authority).ok_or(expected)?;
        let port = match port {
            None => scheme.default_port(),
            Some(port) => match port.parse() {
                Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                _ => return Err("the port is a number from 1 to 65535".to_owned()),
            },
        };
        let path = path.trim_end_matches('/');
        let plain = |byte: u8| {
            byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
        };
        if !path.bytes().all(plain) {
            return Err("the path has characters that must be percent-encoded".to_owned());
        }
        if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("the path has an empty segment, or one of `.` and `..`".to_owned());
        }
        Ok(Url { scheme, host, port, path: path.to_owned() })
    }

    /// The host, if it is an address and no name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host, and the port where it is not the scheme's own: what `:authority` is to be.
    pub fn authority(&self) -> String {
        let host = match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

fn split_authority(authority: &str) -> Option<(String, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        return Some((address.to_string(), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    is_host(host).then(|| (host.to_ascii_lowercase(), port))
}

/// An IPv4 address, or a name as DNS takes it (RFC 1123, with the underscores that people use).
fn is_host(host: &str) -> bool {
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return host.parse::<std::net::Ipv4Addr>().is_ok();
    }
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://API.openai.com:443/v1/", "https://api.openai.com/v1"),
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://my_host/", "http://my_host"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(Url::parse(written), Ok(url));
        }
    }

    #[test]
    fn what_is_no_base_address_is_refused() {
        for text in [
            "",
            "api.openai.com",
            "ftp://host",
            "https://",
            "https:///v1",
            "https://u:p@host",
            "https://host?x=1",
            "https://host#f",
            "https://host:0",
            "https://host:70000",
            "https://host:+1",
            "https://host:",
            "https://a..b",
            "https://300.1.1.1",
            "https://[::1",
            "https://[::1]x",
            "https://ho st",
            "https://host/a b",
            "https://host/a//b",
            "https://host/../b",
            "https://höst",
            "https://host\n",
            "https://host/\u{7f}",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }
}
