use core::net::SocketAddr;

use fcgi_proto::cgi::TrustedProxies;
use fcgi_proto::cgi::proxies::ForwardingHeader;

use super::input::Input;

/// Headers of any proxy and of any client behind it. Nobody who is not trusted is believed, and what a client puts before
/// the words of its proxies changes nothing.
pub fn forwarding(data: &[u8]) {
    let mut input = Input::new(data);
    let options = input.byte();
    let family = [
        (ForwardingHeader::XForwarded, "X-Forwarded-For", "6.6.6.6"),
        (ForwardingHeader::Forwarded, "Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
        (ForwardingHeader::XRealIp, "X-Real-IP", "6.6.6.6"),
    ];
    let (header, name, invention) = family[usize::from(options & 3) % 3];
    let networks = ["10.0.0.0/8", "::1"].map(|network| network.parse().expect("a network"));
    let proxies = TrustedProxies::new(networks).header(header).unix_sockets(options & 4 == 4);
    let peer: Option<SocketAddr> = match options >> 3 & 3 {
        0 => None,
        1 => Some("203.0.113.9:5".parse().expect("an address")),
        2 => Some("[::1]:5".parse().expect("an address")),
        _ => Some("10.0.0.1:5".parse().expect("an address")),
    };
    let mut headers = Vec::new();
    while !input.is_empty() && headers.len() < 20 {
        headers.push((header_name(&mut input), input.text()));
    }
    let headers = || headers.iter().map(|(name, value)| (*name, *value));

    let is_trusted = peer.map_or(options & 4 == 4, |peer| proxies.is_trusted(peer.ip()));
    let Ok(said) = proxies.resolve(peer, headers()) else {
        return assert!(is_trusted, "a stranger's headers are not even judged");
    };
    assert_eq!(said.is_believed(), is_trusted);
    assert!(said.keeps("Accept"));
    if !is_trusted {
        assert_eq!((said.is_https(), said.host(), said.port()), (None, None, None));
        assert!(peer.is_none_or(|peer| said.remote_addr() == peer));
        assert!(!said.keeps("X-Forwarded-For") && !said.keeps("Forwarded"));
        return;
    }
    assert!(said.keeps(name));
    if let Some(host) = said.host() {
        let is_harmless = |byte: &u8| byte.is_ascii_graphic() && !b"/\\?#@\"<>".contains(byte);
        assert!(!host.is_empty() && host.iter().all(is_harmless), "{}", host.escape_ascii());
    }
    let is_way = header != ForwardingHeader::XRealIp;
    if is_way && peer.is_some() && !proxies.is_trusted(said.remote_addr().ip()) {
        let invented = [(name, invention.as_bytes())].into_iter().chain(headers());
        assert_eq!(proxies.resolve(peer, invented), Ok(said), "the client's invention is read");
    }
}

/// Often one that matters.
fn header_name<'a>(input: &mut Input<'a>) -> &'a str {
    const NAMES: [&str; 8] = [
        "X-Forwarded-For",
        "x-forwarded-for",
        "Forwarded",
        "X-Real-IP",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "Host",
    ];
    match input.byte() {
        byte @ ..250 => NAMES[usize::from(byte) % NAMES.len()],
        _ => core::str::from_utf8(input.text()).unwrap_or("X-Forwarded-For"),
    }
}
