//! A site over TLS and HTTP/2, and behind a proxy: what PHP learns about the way the request came.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use fcgi_test_support::http::Request;
use fcgi_test_support::{PhpFpm, Scripts};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::support::{Serve, json};

/// A certificate in files, as an operator has one.
struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a new one over it.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }
}

struct Site {
    serve: Serve,
    certificate: Certificate,
    trusted: CertificateDer<'static>,
    _fpm: PhpFpm,
    _scripts: Scripts,
}

fn site(args: &[&str]) -> Site {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let certificate = Certificate { folder: tempfile::tempdir().unwrap() };
    let trusted = certificate.renew();
    let (file, key) = (certificate.path("cert.pem"), certificate.path("key.pem"));
    let address = fpm.address().to_string();
    let own = ["--fpm", &address, "--tls-cert", &file, "--tls-key", &key];
    let serve = Serve::start(scripts.root(), own.iter().chain(args));
    Site { serve, certificate, trusted, _fpm: fpm, _scripts: scripts }
}

/// Connects as a client that believes this certificate alone.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

/// $_SERVER of a request over HTTP/2.
async fn environment(site: &Site, uri: &str, headers: &[(&str, &str)]) -> serde_json::Value {
    let stream = connect(site.serve.address(), &site.trusted).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[track_caller]
fn assert_env(env: &serde_json::Value, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(env[name], *value, "{name}");
    }
}

/// What a proxy says that the request was.
const FORWARDED: [(&str, &str); 3] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "public.example"),
];

#[tokio::test]
async fn php_sees_https_and_http2() {
    let site = site(&[]);
    let port = site.serve.address().port().to_string();
    let uri = format!("https://shop.example:{port}/env.php?a=b");
    let env = environment(&site, &uri, &FORWARDED).await;
    assert_env(
        &env,
        &[
            ("HTTPS", "on"),
            ("REQUEST_SCHEME", "https"),
            ("SERVER_PROTOCOL", "HTTP/2.0"),
            ("HTTP_HOST", &format!("shop.example:{port}")),
            ("SERVER_NAME", "shop.example"),
            ("SERVER_PORT", &port),
            ("REQUEST_URI", "/env.php?a=b"),
            // Nobody is trusted: these are words of a client.
            ("REMOTE_ADDR", "127.0.0.1"),
            ("HTTP_X_FORWARDED_FOR", "203.0.113.9"),
        ],
    );
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_over_http2_too() {
    let site = site(&["--trusted-proxy", "127.0.0.1"]);
    let plain = [FORWARDED[0], ("x-forwarded-proto", "http"), FORWARDED[2]];
    let env = environment(&site, "https://inner.example/env.php", &plain).await;
    assert_env(
        &env,
        &[
            ("REMOTE_ADDR", "203.0.113.9"),
            ("REQUEST_SCHEME", "http"),
            ("HTTP_HOST", "public.example"),
            ("SERVER_NAME", "public.example"),
            ("SERVER_PROTOCOL", "HTTP/2.0"),
        ],
    );
    assert!(env["HTTPS"].is_null() || env["HTTPS"] == "off", "{}", env["HTTPS"]);
}

#[test]
fn what_a_proxy_in_front_says_counts_only_if_it_is_trusted() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let fpm = fpm.address().to_string();
    let seen = |args: &[&str]| {
        let serve = Serve::start(scripts.root(), ["--fpm", &fpm].iter().chain(args));
        let request = Request::get("/env.php").header("Host", "inner.example");
        let request =
            FORWARDED.iter().fold(request, |request, (name, value)| request.header(name, value));
        json(&request.send(serve.address()))
    };
    let believed = [
        ("REMOTE_ADDR", "203.0.113.9"),
        ("HTTPS", "on"),
        ("REQUEST_SCHEME", "https"),
        ("HTTP_HOST", "public.example"),
        ("SERVER_NAME", "public.example"),
    ];
    assert_env(&seen(&["--trusted-proxy", "127.0.0.1"]), &believed);
    for args in [&[][..], &["--trusted-proxy", "10.0.0.0/8"]] {
        let env = seen(args);
        assert_env(
            &env,
            &[
                ("REMOTE_ADDR", "127.0.0.1"),
                ("REQUEST_SCHEME", "http"),
                ("HTTP_HOST", "inner.example"),
                ("SERVER_NAME", "inner.example"),
            ],
        );
        assert!(env["HTTPS"].is_null() || env["HTTPS"] == "off", "{}", env["HTTPS"]);
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_at_sighup() {
    let site = site(&[]);
    let address = site.serve.address();
    connect(address, &site.trusted).await.unwrap();
    let renewed = site.certificate.renew();
    site.serve.signal(Signal::HUP);
    site.serve.wait_for_log("the settings were read again");
    connect(address, &renewed).await.unwrap();
    connect(address, &site.trusted).await.unwrap_err();
    // A bad one is told of, and the good one stays.
    std::fs::write(site.certificate.path("cert.pem"), "no certificate").unwrap();
    site.serve.signal(Signal::HUP);
    site.serve.wait_for_log("holds no certificate in PEM form; the old certificate stays in use");
    connect(address, &renewed).await.unwrap();
}
