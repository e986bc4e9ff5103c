//! `docs/PARITY.md` says what the code has.

use std::fs;
use std::path::{Path, PathBuf};

const ADAPTERS: [&str; 3] = ["fcgi-tokio", "fcgi-async-std", "fcgi-blocking"];
const LISTS: [&str; 3] = ["client_tests", "pool_tests", "shared_connection_tests"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust below a folder, as one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &read(&path);
        }
    }
    text
}

/// The shared tests that a macro makes: what stands in its lists.
fn listed(shared: &str, makes: &str) -> Vec<String> {
    let begin = shared.find(&format!("macro_rules! {makes} ")).expect("the macro");
    let rest = &shared[begin..];
    let body = &rest[..rest.find("\n}\n").expect("its end")];
    let words = body.split(|byte: char| !(byte.is_alphanumeric() || byte == '_'));
    words.map(str::to_owned).collect()
}

/// The names of all tests that an adapter runs.
fn tests_of(adapter: &str) -> Vec<String> {
    let own = sources(&workspace().join(adapter).join("tests"));
    let shared = read(&workspace().join("fcgi-proto/test-support/src/client/mod.rs"));
    let mut names: Vec<String> = own
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split(['(', '<']).next())
        .map(str::to_owned)
        .collect();
    for makes in LISTS {
        if own.contains(&format!("{makes}!(")) {
            names.extend(listed(&shared, makes));
        }
    }
    names
}

#[test]
fn every_tick_has_its_test_and_every_blank_has_none() {
    let table = read(&workspace().join("docs/PARITY.md"));
    let tests = ADAPTERS.map(tests_of);
    let mut rows = 0;
    for line in table.lines().filter(|line| line.ends_with("` |")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, what, ticks @ .., name, _] = &cells[..] else { panic!("no row: {line}") };
        let name = name.trim_matches('`');
        assert_eq!(ticks.len(), ADAPTERS.len(), "{line}");
        for ((tick, adapter), tests) in ticks.iter().zip(ADAPTERS).zip(&tests) {
            let is_there = tests.iter().any(|test| test == name);
            assert_eq!(*tick == "✓", is_there, "{what}: {adapter} and {name}");
            assert!(matches!(*tick, "✓" | ""), "{line}");
        }
        rows += 1;
    }
    assert!(rows > 15, "only {rows} rows are left");
}

#[test]
fn every_shared_test_is_run() {
    let folder = workspace().join("fcgi-proto/test-support/src/client");
    let shared = read(&folder.join("mod.rs"));
    let listed = LISTS.map(|makes| listed(&shared, makes)).concat();
    for file in ["faults", "scripts", "php", "pools", "promises", "real"] {
        let source = read(&folder.join(format!("{file}.rs")));
        for rest in source.split("\npub fn ").skip(1) {
            let name = rest.split('<').next().expect("a name").to_owned();
            assert!(listed.contains(&name), "{name} of {file}.rs is in no list");
        }
    }
}
