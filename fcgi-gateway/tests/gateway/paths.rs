//! What becomes of odd paths, beside nginx and Apache: the table is `tests/golden/paths.md`.
//!
//! `FCGI_GOLDEN=write` writes the cells of the servers anew, and leaves paths and reasons.

use std::fs;
use std::net::SocketAddr;

use fcgi_test_support::Scripts;
use fcgi_test_support::http::Response;
use serde_json::Value;

use crate::neighbours::{Neighbours, ask, golden, is_writing, read_golden, rows};

/// Those that are scripts show their environment.
const SCRIPTS: &[&str] = &[
    "a.php",
    "a.php.d/b.php",
    "dir.php/index.php",
    "dir.php/inner.php",
    "empty.php/inner.php",
    "folder/index.php",
    "a script.php",
    "ü.php",
    "100%.php",
    "a;b.php",
    "a+b.php",
    "a?b.php",
    "UPPER.PHP",
    ".hidden.php",
    ".php",
    "picture.jpg.php",
];
const OTHERS: &[&str] = &[
    "notes.txt",
    "dir.php/inner.txt",
    "picture.jpg",
    "x.php.bak",
    "x.phtml",
    ".env",
    "bare/x.txt",
];

#[test]
fn odd_paths_lead_where_they_should() {
    let scripts = Scripts::empty();
    let source = fs::read(Scripts::new().path("env.php")).unwrap();
    for name in SCRIPTS {
        scripts.add(name, &source);
    }
    for name in OTHERS {
        scripts.add(name, "plain");
    }
    // PHP is to believe what it is told, as careful administrators set it; not so with Apache, which then reaches no
    // script that something follows.
    let servers = Neighbours::start(&scripts, false);
    let guessing = Neighbours::start(&scripts, true);
    let text = read_golden("paths.md");
    let mut table = String::new();
    let mut unexplained = Vec::new();
    for line in text.lines() {
        let Some([path, _, _, _, why]) = cells(line) else {
            table += line;
            table.push('\n');
            continue;
        };
        let target = path.trim_matches('`');
        let [ours, nginx, _] =
            servers.addresses().map(|address| outcome(address, target, &servers.root));
        let [guessed, _, apache] =
            guessing.addresses().map(|address| outcome(address, target, &guessing.root));
        table += &format!("| {path} | {ours} | {nginx} | {apache} | {why} |\n");
        if why.is_empty() == (ours != nginx || ours != apache) {
            unexplained.push(format!("{path}: {ours}, {nginx}, {apache}: {why:?}"));
        }
        // It makes no difference to our scripts whether PHP guesses.
        assert_eq!(guessed, ours, "{path} with cgi.fix_pathinfo=1");
    }
    if is_writing() {
        fs::write(golden("paths.md"), &table).unwrap();
    }
    let text = read_golden("paths.md");
    for (found, expected) in rows(&table).zip(rows(&text)) {
        assert_eq!(found, expected);
    }
    assert!(unexplained.is_empty(), "a reason is missing or too much: {unexplained:#?}");
    assert!(rows(&table).count() > 40, "the table is read");
}

/// The cells of a row that begins with a path.
fn cells(line: &str) -> Option<[&str; 5]> {
    let row = line.strip_prefix("| `")?;
    let mut cells = row.strip_suffix('|')?.split('|').map(str::trim);
    cells.next()?;
    let path = line.split('|').nth(1)?.trim();
    Some([path, cells.next()?, cells.next()?, cells.next()?, cells.next()?])
}

/// Where a path leads, in a few words.
fn outcome(address: SocketAddr, target: &str, root: &str) -> String {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n");
    let response = ask(address, &request);
    match (response.status, serde_json::from_slice::<Value>(&response.body)) {
        (200, Ok(env)) => script(&env, target, root),
        (200, Err(_)) if response.text().starts_with("<?php") => "**source**".to_owned(),
        (200, Err(_)) => "file".to_owned(),
        (status @ 300..=399, _) => format!("{status} `{}`", location(&response, address)),
        (status, _) => status.to_string(),
    }
}

/// Where a redirect leads, without what is the same for all.
fn location(response: &Response, address: SocketAddr) -> String {
    let location = response.header("location").unwrap_or_default();
    location.replace(&address.port().to_string(), "PORT")
}

/// SCRIPT_NAME and PATH_INFO, and what does not follow from them.
fn script(env: &Value, target: &str, root: &str) -> String {
    let text = |name: &str| env[name].as_str().or(env[name]["hex"].as_str()).unwrap_or_default();
    let mut outcome = format!("`{}`", text("SCRIPT_NAME"));
    if !text("PATH_INFO").is_empty() {
        outcome += &format!(" + `{}`", text("PATH_INFO").replace('\n', r"\n"));
    }
    let file = text("SCRIPT_FILENAME");
    if file != format!("{root}{}", text("SCRIPT_NAME")) {
        outcome += &format!(", file `{}`", file.replace(root, ""));
    }
    if text("REQUEST_URI") != target {
        outcome += &format!(", REQUEST_URI `{}`", text("REQUEST_URI"));
    }
    outcome
}
