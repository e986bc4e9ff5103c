//! Every demand that `docs/SPECIFICATION.md` lists is cited by a test, and no test cites one that is not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The numbers of the lines that begin with one, in order.
fn demands() -> Vec<u32> {
    let ledger = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SPECIFICATION.md");
    let ledger = fs::read_to_string(&ledger).expect("the ledger is there");
    let rows = ledger.lines().filter_map(|line| line.strip_prefix("| S"));
    rows.map(|row| row.split(' ').next().and_then(|number| number.parse().ok()).expect("a number"))
        .collect()
}

/// All Rust files of the crates in this workspace.
fn sources() -> Vec<PathBuf> {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate is in a workspace");
    let mut folders = vec![workspace.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// What is cited, and where. A citation stands right above a test.
fn citations() -> BTreeMap<u32, Vec<String>> {
    let mut cited = BTreeMap::<u32, Vec<String>>::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("readable text");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(numbers) = line.strip_prefix("// spec: ") else { continue };
            let place = format!("{}:{}", file.display(), at + 1);
            let next = lines.get(at + 1).copied().unwrap_or_default();
            // Those of `test-support/src/client` are tests of every client.
            let is_test = next.starts_with("#[test]")
                || next.starts_with("#[tokio::test")
                || next.ends_with("<A: Adapter>() {");
            assert!(is_test, "{place} is not above a test");
            for number in numbers.split(", ") {
                let number = number.strip_prefix('S').and_then(|number| number.parse().ok());
                let number = number.unwrap_or_else(|| panic!("{place}: {numbers}"));
                cited.entry(number).or_default().push(place.clone());
            }
        }
    }
    cited
}

#[test]
fn every_demand_is_tested() {
    let demands = demands();
    let count = u32::try_from(demands.len()).expect("few");
    assert_eq!(demands, Vec::from_iter(1..=count), "numbered without gaps");
    let cited = citations();
    let untested = demands.iter().filter(|number| !cited.contains_key(number));
    let untested = Vec::from_iter(untested.map(|number| format!("S{number}")));
    assert!(untested.is_empty(), "cited by no test: {}", untested.join(", "));
    for (number, places) in &cited {
        assert!((1..=count).contains(number), "S{number} is no demand: {}", places.join(", "));
    }
}
