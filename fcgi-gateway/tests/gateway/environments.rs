//! What a script sees of a request, beside nginx and Apache.
//!
//! What each server shows is kept in `tests/golden/{fcgi,nginx,apache}.json`; each difference between ours and another is in
//! `tests/golden/differences.md`, with its reason. `FCGI_GOLDEN=write` writes the former anew, never the latter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use fcgi_test_support::Scripts;
use serde_json::Value;

use crate::neighbours::{Neighbours, ask, golden, is_writing, read_golden, rows};

/// Variables by name.
type Environment = BTreeMap<String, String>;
/// Of one server, by the name of the request.
type Environments = BTreeMap<String, Environment>;

const REQUESTS: &[(&str, &str)] = &[
    (
        "get",
        "GET /env.php?a=1&b=%20&c=%C3%BC+x HTTP/1.1\r\nHost: site.example\r\nUser-Agent: test/1\r\n\r\n",
    ),
    (
        "form",
        "POST /env.php?a=1 HTTP/1.1\r\nHost: site.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 7\r\n\r\nb=1&c=2",
    ),
    (
        "chunked",
        "POST /env.php HTTP/1.1\r\nHost: site.example\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    ),
    ("empty-body", "PUT /env.php HTTP/1.1\r\nHost: site.example\r\nContent-Length: 0\r\n\r\n"),
    ("path-info", "GET /env.php/a/b%20c?x=1 HTTP/1.1\r\nHost: site.example\r\n\r\n"),
    ("encoded-path", "GET /a%20fold%65r/%C3%BC.php?x HTTP/1.1\r\nHost: site.example\r\n\r\n"),
    ("front-controller", "GET /blog/hello%20world/?page=2 HTTP/1.1\r\nHost: site.example\r\n\r\n"),
    ("front-page", "GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"),
    ("index", "GET /shop/?a=b HTTP/1.1\r\nHost: site.example\r\n\r\n"),
    (
        "auth",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n",
    ),
    (
        "cookies",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
    ),
    (
        "repeats",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nX-Test: one\r\nX-Test: two\r\nAccept: text/html\r\n\
         Accept: */*\r\n\r\n",
    ),
    (
        "underscore",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nX-Spoof: good\r\nX_Spoof: bad\r\n\r\n",
    ),
    (
        "httpoxy",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nProxy: http://evil.example/\r\n\r\n",
    ),
    (
        "letters",
        "GET /env.php HTTP/1.1\r\nhOST: SITE.Example\r\nx-lOWER: Value\r\nX-Empty:\r\n\r\n",
    ),
    ("port", "GET /env.php HTTP/1.1\r\nHost: site.example:8080\r\n\r\n"),
    ("ipv6", "GET /env.php HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n"),
    ("absolute", "GET http://other.example/env.php?a HTTP/1.1\r\nHost: site.example\r\n\r\n"),
    ("no-host", "GET /env.php HTTP/1.0\r\n\r\n"),
    (
        "connection",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers\r\n\r\n",
    ),
    (
        "forwarded",
        "GET /env.php HTTP/1.1\r\nHost: site.example\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\
         Forwarded: for=203.0.113.9;proto=https\r\n\r\n",
    ),
];

#[test]
fn what_scripts_see_is_what_they_see_elsewhere() {
    let servers = ask_all();
    if is_writing() {
        for (name, seen) in Neighbours::NAMES.iter().zip(&servers) {
            let text = serde_json::to_string_pretty(seen).unwrap() + "\n";
            fs::write(golden(&format!("{name}.json")), text).unwrap();
        }
    }
    for (name, seen) in Neighbours::NAMES.iter().zip(&servers) {
        let expected = read_golden(&format!("{name}.json"));
        let expected: Environments = serde_json::from_str(&expected).unwrap();
        let changed: Vec<_> = differences(seen, &expected).into_iter().collect();
        assert!(changed.is_empty(), "{name} shows another than {name}.json: {changed:#?}");
    }
    let [ours, theirs @ ..] = &servers;
    let mut reasons = Reasons::read();
    let mut unlisted = Vec::new();
    for (name, theirs) in Neighbours::NAMES.iter().skip(1).zip(theirs) {
        let found = differences(ours, theirs);
        unlisted.extend(found.into_iter().filter(|found| !reasons.explain(name, found)));
    }
    assert!(unlisted.is_empty(), "not in differences.md (here, there): {unlisted:#?}");
    let stale: Vec<_> = reasons.rows.iter().filter(|row| row.is_stale()).collect();
    assert!(stale.is_empty(), "no such difference any more: {stale:#?}");
}

fn ask_all() -> [Environments; 3] {
    let scripts = Scripts::new();
    let source = fs::read(scripts.path("env.php")).unwrap();
    for name in ["index.php", "shop/index.php", "a folder/ü.php"] {
        scripts.add(name, &source);
    }
    // What Debian's php.ini says.
    let servers = Neighbours::start(&scripts, true);
    servers.addresses().map(|address| {
        let see = |&(name, request): &(&str, &str)| {
            let response = ask(address, request);
            let seen = match serde_json::from_slice(&response.body) {
                Ok(Value::Object(seen)) if response.status == 200 => seen,
                _ => panic!("{name}: {} {}", response.status, response.text()),
            };
            let root = servers.root.as_str();
            let variables = seen.into_iter().filter(|(name, _)| !OF_PHP.contains(&name.as_str()));
            let variables = variables.map(|(name, value)| {
                let value = normal(&name, value.as_str().unwrap_or_default(), root, address.port());
                (name, value)
            });
            (name.to_owned(), variables.collect())
        };
        REQUESTS.iter().map(see).collect()
    })
}

/// Nothing of it is the web server's doing.
const OF_PHP: [&str; 4] = ["HOME", "REQUEST_TIME", "REQUEST_TIME_FLOAT", "USER"];

/// A value without what is another each time.
fn normal(name: &str, value: &str, root: &str, port: u16) -> String {
    match name {
        "REMOTE_PORT" => "PORT".to_owned(),
        "SERVER_PORT" if value == port.to_string() => "PORT".to_owned(),
        "PATH" => "PATH".to_owned(),
        "HTTP_X_REQUEST_ID" => "ID".to_owned(),
        "SERVER_SOFTWARE" => {
            let is_version = |letter: char| letter.is_ascii_digit() || letter == '.';
            let mut parts = value.split(is_version).filter(|part| !part.is_empty());
            parts.next().unwrap_or_default().to_owned() + "VERSION" + &parts.collect::<String>()
        }
        _ => value.replace(root, "ROOT"),
    }
}

/// A variable that one server shows otherwise than another, or not at all.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    variable: String,
    request: String,
    here: Option<String>,
    there: Option<String>,
}

fn differences(here: &Environments, there: &Environments) -> Vec<Difference> {
    let empty = Environment::new();
    let requests: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    let mut differences = Vec::new();
    for request in requests {
        let [here, there] = [here, there].map(|all| all.get(request).unwrap_or(&empty));
        let variables: BTreeSet<_> = here.keys().chain(there.keys()).collect();
        for variable in variables {
            let [here, there] = [here, there].map(|all| all.get(variable).cloned());
            if here != there {
                let (variable, request) = (variable.clone(), request.clone());
                differences.push(Difference { variable, request, here, there });
            }
        }
    }
    differences.sort();
    differences
}

/// The table of `differences.md`.
struct Reasons {
    rows: Vec<Reason>,
}

#[derive(Debug)]
struct Reason {
    variable: String,
    server: String,
    requests: BTreeSet<String>,
    here: String,
    there: String,
    seen: BTreeSet<String>,
}

impl Reasons {
    fn read() -> Self {
        let text = read_golden("differences.md");
        let read = |row: Vec<&str>| {
            let [variable, server, requests, here, there, why] = row[..] else {
                panic!("not six cells: {row:?}")
            };
            assert!(!why.is_empty(), "no reason: {row:?}");
            assert!(Neighbours::NAMES[1..].contains(&server) || server == "both", "{row:?}");
            Reason {
                variable: variable.trim_matches('`').to_owned(),
                server: server.to_owned(),
                requests: meant(requests),
                here: here.to_owned(),
                there: there.to_owned(),
                seen: BTreeSet::new(),
            }
        };
        Self { rows: rows(&text).map(read).collect() }
    }

    /// Whether a row tells of a difference to a server.
    fn explain(&mut self, server: &str, found: &Difference) -> bool {
        let row = self.rows.iter_mut().find(|row| {
            row.variable == found.variable
                && (row.server == server || row.server == "both")
                && row.requests.contains(&found.request)
                && is_meant(&row.here, found.here.as_deref())
                && is_meant(&row.there, found.there.as_deref())
        });
        row.map(|row| row.seen.insert(format!("{server} {}", found.request))).is_some()
    }
}

impl Reason {
    /// Whether it tells of a request without such a difference.
    fn is_stale(&self) -> bool {
        let servers = if self.server == "both" { 2 } else { 1 };
        self.seen.len() != servers * self.requests.len()
    }
}

/// A cell of names, `all`, or `all but` some.
fn meant(requests: &str) -> BTreeSet<String> {
    let all = REQUESTS.iter().map(|&(name, _)| name);
    let listed = requests.strip_prefix("all but ").unwrap_or(requests);
    let listed: BTreeSet<_> = listed.split(", ").filter(|&name| name != "all").collect();
    let unknown = listed.iter().find(|name| !all.clone().any(|known| known == **name));
    assert_eq!(unknown, None, "no such request");
    let is_meant = |name: &&str| requests.starts_with("all") != listed.contains(name);
    all.filter(is_meant).map(str::to_owned).collect()
}

/// A cell is a value, as code; `absent`; or words that any value will do for.
fn is_meant(cell: &str, value: Option<&str>) -> bool {
    match cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) {
        Some(expected) => value == Some(expected),
        None if cell == "absent" => value.is_none(),
        None if cell == "empty" => value == Some(""),
        None => value.is_some_and(|value| !value.is_empty()),
    }
}
