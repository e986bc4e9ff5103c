//! What trusted proxies say, and what strangers make up.

use std::net::SocketAddr;

use fcgi_proto::Params;
use fcgi_proto::cgi::proxies::{
    Forwarding, ForwardingError, ForwardingHeader, Network, NetworkError, TrustedProxies,
};
use fcgi_proto::cgi::{Environment, EnvironmentError};
use proptest::prelude::*;

type Headers<'a> = &'a [(&'a str, &'a str)];

const PROXY: &str = "10.0.0.1:40000";
const STRANGER: &str = "203.0.113.9:50000";

fn proxies(header: ForwardingHeader) -> TrustedProxies {
    let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|text| text.parse().expect(text));
    TrustedProxies::new(networks).header(header)
}

fn resolve<'a>(
    header: ForwardingHeader,
    peer: &str,
    headers: Headers<'a>,
) -> Result<Forwarding<'a>, ForwardingError> {
    proxies(header).resolve(Some(peer.parse().expect(peer)), headers.iter().copied())
}

fn remote(header: ForwardingHeader, peer: &str, headers: Headers<'_>) -> String {
    resolve(header, peer, headers).expect("good headers").remote_addr().to_string()
}

fn xff(value: &str) -> String {
    remote(ForwardingHeader::XForwarded, PROXY, &[("X-Forwarded-For", value)])
}

fn forwarded(value: &str) -> Result<String, ForwardingError> {
    let headers = [("Forwarded", value)];
    let forwarding = resolve(ForwardingHeader::Forwarded, PROXY, &headers)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(format!(
        "{} {:?} {} {:?}",
        forwarding.remote_addr(),
        forwarding.is_https(),
        forwarding.host().map_or("-".to_owned(), text),
        forwarding.port(),
    ))
}

#[test]
fn networks() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
        ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
        ("0.0.0.0/0", "8.8.8.8", "2001:db8::1"),
        ("::/0", "2001:db8::1", "8.8.8.8"),
        ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
        ("::1", "::1", "::2"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ("::ffff:10.0.0.1", "10.0.0.1", "::1"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
    ] {
        let parsed: Network = network.parse().expect(network);
        assert!(parsed.contains(inside.parse().unwrap()), "{inside} in {network}");
        assert!(!parsed.contains(outside.parse().unwrap()), "{outside} in {network}");
        assert_eq!(parsed.to_string().parse(), Ok(parsed));
    }
    for (network, error) in [
        ("", NetworkError::Address),
        ("10.0.0/8", NetworkError::Address),
        ("example.org", NetworkError::Address),
        ("10.0.0.0/33", NetworkError::Prefix),
        ("10.0.0.0/", NetworkError::Prefix),
        ("10.0.0.0/+8", NetworkError::Prefix),
        ("10.0.0.0/255.0.0.0", NetworkError::Prefix),
        ("::/129", NetworkError::Prefix),
        ("::ffff:0.0.0.0/95", NetworkError::Prefix),
        ("10.0.0.1/8", NetworkError::HostBits),
        ("2001:db8::1/64", NetworkError::HostBits),
    ] {
        assert_eq!(network.parse::<Network>(), Err(error), "{network}");
    }
}

#[test]
fn a_stranger_is_not_believed_whatever_it_sends() {
    let headers: Headers<'_> = &[
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https\r\n"),
        ("X-Forwarded-Host", "<evil>"),
        ("X-Forwarded-Port", "99999"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1;proto=https;host=\"evil"),
    ];
    for header in
        [ForwardingHeader::XForwarded, ForwardingHeader::Forwarded, ForwardingHeader::XRealIp]
    {
        let forwarding = resolve(header, STRANGER, headers).unwrap();
        assert_eq!(forwarding.remote_addr(), STRANGER.parse::<SocketAddr>().unwrap());
        assert_eq!(
            (forwarding.is_https(), forwarding.host(), forwarding.port()),
            (None, None, None)
        );
        assert!(!forwarding.is_believed());
        assert!(resolve(header, PROXY, &[]).unwrap().is_believed());
        for (name, _) in headers {
            assert!(!forwarding.keeps(name) && !forwarding.keeps(name.to_lowercase()), "{name}");
        }
    }
}

#[test]
fn the_way_is_walked_from_the_right_over_trusted_addresses() {
    assert_eq!(xff("203.0.113.9"), "203.0.113.9:0");
    assert_eq!(xff("127.0.0.1, 203.0.113.9"), "203.0.113.9:0", "the left one is made up");
    assert_eq!(xff("garbage,\"\0\", 203.0.113.9,10.2.2.2"), "203.0.113.9:0");
    assert_eq!(xff("10.3.3.3, 10.2.2.2"), "10.3.3.3:0", "all are ours: the first has asked");
    assert_eq!(xff(""), PROXY, "no proxy says anything");
    assert_eq!(xff(" , ,203.0.113.9,, "), "203.0.113.9:0");
    assert_eq!(xff("::ffff:203.0.113.9"), "203.0.113.9:0");
    assert_eq!(xff("203.0.113.9:1234"), "203.0.113.9:1234");
    assert_eq!(xff("2001:db8::7, [2001:db8:ffff::1]:88"), "[2001:db8::7]:0");
    assert_eq!(xff("[2001:db8::7]"), "[2001:db8::7]:0");
    // In several headers, which are one list.
    let headers: Headers<'_> = &[
        ("X-Forwarded-For", "127.0.0.1"),
        ("x-forwarded-for", "203.0.113.9, 10.7.7.7"),
        ("X-FORWARDED-FOR", "10.8.8.8"),
    ];
    assert_eq!(remote(ForwardingHeader::XForwarded, PROXY, headers), "203.0.113.9:0");
    // A mapped peer is the same proxy.
    assert_eq!(
        remote(
            ForwardingHeader::XForwarded,
            "[::ffff:10.0.0.1]:9",
            &[("X-Forwarded-For", "1.2.3.4")]
        ),
        "1.2.3.4:0"
    );
}

#[test]
fn who_is_hidden_is_nobodys_neighbour() {
    assert_eq!(xff("unknown"), "0.0.0.0:0");
    assert_eq!(xff("203.0.113.9, _hidden"), "0.0.0.0:0");
    assert_eq!(forwarded("proto=https").unwrap(), "0.0.0.0:0 Some(true) - Some(443)");
    let trusting = TrustedProxies::default().unix_sockets(true);
    let none: Headers<'_> = &[];
    assert_eq!(
        trusting.resolve(None, none.iter().copied()).unwrap().remote_addr().to_string(),
        "0.0.0.0:0"
    );
    let headers: Headers<'_> = &[("X-Forwarded-For", "1.2.3.4")];
    let forwarding = TrustedProxies::default().resolve(None, headers.iter().copied()).unwrap();
    assert!(!forwarding.is_believed(), "a Unix socket is not trusted by itself");
    let forwarding = trusting.resolve(None, headers.iter().copied()).unwrap();
    assert_eq!(forwarding.remote_addr().to_string(), "1.2.3.4:0");
}

#[test]
fn what_a_proxy_vouches_for_must_be_right() {
    let x = ForwardingHeader::XForwarded;
    for (name, value, error) in [
        ("X-Forwarded-For", "example.org", ForwardingError::Address),
        ("X-Forwarded-For", "1.2.3.4, 10.0.0.256", ForwardingError::Address),
        ("X-Forwarded-For", "[1.2.3.4]", ForwardingError::Address),
        ("X-Forwarded-For", "[::1", ForwardingError::Address),
        ("X-Forwarded-For", "[::1]x", ForwardingError::Address),
        ("X-Forwarded-For", "\u{1f642}", ForwardingError::Address),
        ("X-Forwarded-For", "_", ForwardingError::Address),
        ("X-Forwarded-For", "1.2.3.4:0", ForwardingError::Port),
        ("X-Forwarded-For", "1.2.3.4:65536", ForwardingError::Port),
        ("X-Forwarded-For", "1.2.3.4:", ForwardingError::Port),
        ("X-Forwarded-Proto", "ftp", ForwardingError::Scheme),
        ("X-Forwarded-Proto", "https\r\nX: 1", ForwardingError::Scheme),
        ("X-Forwarded-Host", "a b", ForwardingError::Host),
        ("X-Forwarded-Host", "a/../b", ForwardingError::Host),
        ("X-Forwarded-Host", ":80", ForwardingError::Host),
        ("X-Forwarded-Host", "a:70000", ForwardingError::Host),
        ("X-Forwarded-Port", "0", ForwardingError::Port),
        ("X-Forwarded-Port", "-1", ForwardingError::Port),
    ] {
        assert_eq!(resolve(x, PROXY, &[(name, value)]).unwrap_err(), error, "{name}: {value:?}");
    }
    let twice: Headers<'_> = &[("X-Real-IP", "127.0.0.1"), ("X-Real-IP", "1.2.3.4")];
    let error = resolve(ForwardingHeader::XRealIp, PROXY, twice).unwrap_err();
    assert_eq!(error, ForwardingError::Repeated);
}

#[test]
fn scheme_host_and_port_are_those_next_to_the_client() {
    let x = ForwardingHeader::XForwarded;
    let headers: Headers<'_> = &[
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.2.2.2"),
        ("X-Forwarded-Proto", "ftp, https, http"),
        ("X-Forwarded-Host", "evil, shop.example:8443, backend"),
        ("X-Forwarded-Port", "1, 8444, 80"),
    ];
    let forwarding = resolve(x, PROXY, headers).unwrap();
    assert_eq!(forwarding.remote_addr().to_string(), "203.0.113.9:0");
    assert_eq!(forwarding.is_https(), Some(true));
    assert_eq!(forwarding.host(), Some(&b"shop.example:8443"[..]));
    assert_eq!(forwarding.port(), Some(8444));
    // Overwritten on the way: one value, whoever was passed.
    let headers: Headers<'_> =
        &[("X-Forwarded-For", "203.0.113.9, 10.2.2.2"), ("X-Forwarded-Proto", "HTTPS")];
    assert_eq!(resolve(x, PROXY, headers).unwrap().port(), Some(443));
    for (headers, port) in [
        (&[("X-Forwarded-Host", "a:81"), ("X-Forwarded-Proto", "http")][..], Some(81)),
        (&[("X-Forwarded-Host", "[::1]"), ("X-Forwarded-Proto", "ws")], Some(80)),
        (&[("X-Forwarded-Host", "a:"), ("X-Forwarded-Proto", "wss")], Some(443)),
        (&[("X-Forwarded-Host", "a")], None),
    ] {
        assert_eq!(resolve(x, PROXY, headers).unwrap().port(), port, "{headers:?}");
    }
}

#[test]
fn one_address_without_a_way() {
    let headers: Headers<'_> = &[
        ("X-Real-IP", " 203.0.113.9 "),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http, https"),
        ("Forwarded", "for=127.0.0.1"),
    ];
    let forwarding = resolve(ForwardingHeader::XRealIp, PROXY, headers).unwrap();
    assert_eq!(forwarding.remote_addr().to_string(), "203.0.113.9:0");
    assert_eq!(forwarding.is_https(), Some(true), "the one that our neighbour has written");
    let kept = headers.iter().map(|(name, _)| forwarding.keeps(name));
    assert_eq!(Vec::from_iter(kept), [true, false, true, false]);
}

#[test]
fn rfc_7239() {
    for (value, seen) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0 Some(false) - Some(80)"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711 None - None"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17:0 None - None"),
        ("for=192.0.2.43,for=10.1.1.1;host=in", "192.0.2.43:0 None - None"),
        (
            "for=1.2.3.4;host=\"a.b:81\";proto=https,for=10.1.1.1",
            "1.2.3.4:0 Some(true) a.b:81 Some(81)",
        ),
        ("for=_SEVKISEK", "0.0.0.0:0 None - None"),
        ("for=\"1.2.3.4:_port\"", "1.2.3.4:0 None - None"),
        ("for=\"_gazonk:80\"", "0.0.0.0:0 None - None"),
        (" ,; , for=1.2.3.4 ; ext=\"x\" ;, ", "1.2.3.4:0 None - None"),
        ("for=[2001:db8::1]:80", "[2001:db8::1]:80 None - None"),
        ("", "10.0.0.1:40000 None - None"),
    ] {
        assert_eq!(forwarded(value).as_deref(), Ok(seen), "{value}");
    }
    for (value, error) in [
        ("for", ForwardingError::Syntax),
        ("=1.2.3.4", ForwardingError::Syntax),
        ("for=1.2.3.4;for=5.6.7.8", ForwardingError::Syntax),
        ("by=a;by=b;for=1.2.3.4", ForwardingError::Syntax),
        ("for=\"1.2.3.4", ForwardingError::Syntax),
        ("for=\"1.2.3\\.4\"", ForwardingError::Syntax),
        ("for=1.2.3.4 proto=https", ForwardingError::Syntax),
        ("for=\"1.2.3.4\"x", ForwardingError::Syntax),
        ("for=", ForwardingError::Address),
        ("for=\"\"", ForwardingError::Address),
        ("for=1.2.3.4;host=\"a\tb\"", ForwardingError::Host),
    ] {
        assert_eq!(forwarded(value), Err(error), "{value}");
    }
    // What a client leaves open must not swallow what the proxy adds behind it.
    for clients in ["for=127.0.0.1;x=\"", "for=127.0.0.1, for=\"", "\"", "for=127.0.0.1;x=\"\\"] {
        for proxys in ["for=1.2.3.4", "for=\"1.2.3.4:5\"", "by=\"[::1]\";for=\"[::2]\""] {
            let value = format!("{clients}, {proxys}");
            assert_eq!(forwarded(&value), Err(ForwardingError::Syntax), "{value}");
        }
    }
}

fn environment(peer: &str, headers: Headers<'_>) -> Result<Params, EnvironmentError> {
    let forwarding = resolve(ForwardingHeader::XForwarded, peer, headers).expect("good headers");
    Environment::new("GET", "http://target/")?
        .headers(headers.iter().copied())
        .server_addr("10.0.0.9:8080".parse::<SocketAddr>().unwrap())
        .forwarding(&forwarding)
        .params()
}

#[test]
fn the_environment_is_the_clients_view() {
    let headers: Headers<'_> = &[
        ("Host", "backend"),
        ("X-Forwarded-For", "127.0.0.1, 203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example:8443"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Forwarded", "odd"),
    ];
    let all = [
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "HTTPS",
        "REQUEST_SCHEME",
        "HTTP_HOST",
        "SERVER_NAME",
        "SERVER_PORT",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_REAL_IP",
        "HTTP_FORWARDED",
        "HTTP_X_FORWARDED",
    ];
    let seen = |params: &Params| all.map(|name| params.get_str(name).unwrap_or("-").to_owned());
    let params = environment(PROXY, headers).unwrap();
    assert_eq!(
        seen(&params),
        [
            "203.0.113.9",
            "-",
            "on",
            "https",
            "shop.example:8443",
            "shop.example",
            "8443",
            "127.0.0.1, 203.0.113.9",
            "https",
            "-",
            "-",
            "odd",
        ]
    );
    let params = environment(STRANGER, headers).unwrap();
    assert_eq!(
        seen(&params),
        [
            "203.0.113.9",
            "50000",
            "-",
            "http",
            "target",
            "target",
            "8080",
            "-",
            "-",
            "-",
            "-",
            "odd"
        ]
    );
}

proptest! {
    /// Whatever a client puts in front, what the proxy has added decides, or the request is refused.
    #[test]
    fn nothing_in_front_changes_the_client(invented in "[ -~]{0,40}", hops in 0_usize..3) {
        let mut value = format!("{invented}, 203.0.113.9");
        for hop in 0..hops {
            value += &format!(", 10.0.0.{hop}");
        }
        prop_assert_eq!(xff(&value), "203.0.113.9:0");
        let mut value = format!("{invented}, for=203.0.113.9;proto=https");
        for hop in 0..hops {
            value += &format!(", for=10.0.0.{hop};proto=http");
        }
        if let Ok(seen) = forwarded(&value) {
            prop_assert_eq!(seen, "203.0.113.9:0 Some(true) - Some(443)");
        }
    }

    #[test]
    fn any_bytes_are_safe(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        for header in
            [ForwardingHeader::XForwarded, ForwardingHeader::Forwarded, ForwardingHeader::XRealIp]
        {
            let names = [
                "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "Forwarded",
            ];
            for name in names {
                let headers = [(name.as_bytes(), value.as_slice())];
                let forwarding = proxies(header).resolve(Some(PROXY.parse().unwrap()), headers);
                if let Some(host) = forwarding.ok().and_then(|forwarding| forwarding.host()) {
                    prop_assert!(!host.iter().any(|byte| byte.is_ascii_control() || b"/\\ \"<>".contains(byte)));
                }
            }
        }
    }
}

#[test]
fn only_the_headers_of_the_family_are_read() {
    let invented = "for=6.6.6.6;proto=https;host=evil";
    for (header, name, value) in [
        (ForwardingHeader::Forwarded, "Forwarded", "for=203.0.113.9"),
        (ForwardingHeader::XForwarded, "X-Forwarded-For", "203.0.113.9"),
        (ForwardingHeader::XRealIp, "X-Real-IP", "203.0.113.9"),
    ] {
        for other in ["X-Forwarded", "Host", "Forwarded-For", "X-Real", "Via", ""] {
            for headers in [[(name, value), (other, invented)], [(other, invented), (name, value)]]
            {
                let forwarding = resolve(header, PROXY, &headers).expect(other);
                assert_eq!(forwarding.remote_addr().to_string(), "203.0.113.9:0", "{other}");
                assert_eq!((forwarding.is_https(), forwarding.host()), (None, None), "{other}");
            }
        }
    }
}

#[test]
fn extensions_of_an_element_may_repeat_and_what_is_known_may_not() {
    let remote = |value| {
        let headers = [("Forwarded", value)];
        let forwarding = resolve(ForwardingHeader::Forwarded, PROXY, &headers);
        forwarding.map(|forwarding| forwarding.remote_addr().to_string())
    };
    let extended = remote("for=203.0.113.9;secret=1;x=2;secret=3;by=_us");
    assert_eq!(extended, Ok("203.0.113.9:0".to_owned()));
    for twice in ["for=203.0.113.9;FOR=203.0.113.9", "by=_a;for=203.0.113.9;By=_b"] {
        assert_eq!(remote(twice), Err(ForwardingError::Syntax), "{twice}");
    }
}
