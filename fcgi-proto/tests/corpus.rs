//! Replays what fuzzing has found worth keeping; `fuzz/README.md` says how to find more.

#[expect(unreachable_pub, reason = "the fuzz targets call the same functions from outside")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

/// Gives each file of a corpus to its target, in order.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::from_iter(files.map(|file| file.expect("a readable folder").path()));
    files.sort();
    assert!(files.len() >= 10, "{} is nearly empty", folder.display());
    for file in files {
        let data = std::fs::read(&file).expect("a readable file");
        if std::panic::catch_unwind(|| target(&data)).is_err() {
            panic!("{}", file.display());
        }
    }
}

#[test]
fn decode() {
    replay("decode", targets::decode);
}

#[test]
fn cuts() {
    replay("cuts", targets::cuts);
}

#[test]
fn client_peer() {
    replay("client_peer", targets::client_peer);
}

#[test]
fn server_peer() {
    replay("server_peer", targets::server_peer);
}

#[test]
fn pair_ops() {
    replay("pair_ops", targets::pair_ops);
}

#[test]
fn params() {
    replay("params", targets::params);
}

#[test]
fn response_head() {
    replay("response_head", targets::response_head);
}

#[test]
fn environment() {
    replay("environment", targets::environment);
}

#[test]
fn forwarding() {
    replay("forwarding", targets::forwarding);
}

#[test]
fn php_settings() {
    replay("php_settings", targets::php_settings);
}
