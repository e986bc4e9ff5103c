//! Every public type of this crate has an example in its documentation.
//!
//! Read from the source, line by line: a type that begins a line with `pub struct`, `pub enum` or `pub trait` must have a
//! code block in the comment above it that `cargo test --doc` compiles. What rustdoc itself could tell is not stable.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The name of the type that a line begins to define.
fn type_name(line: &str) -> Option<&str> {
    let rest = ["struct ", "enum ", "trait ", "union "]
        .iter()
        .find_map(|kind| line.strip_prefix("pub ")?.strip_prefix(kind))?;
    rest.split(|byte: char| !byte.is_alphanumeric() && byte != '_').next()
}

/// Whether a code block that is compiled begins in the comment that ends the lines.
fn has_example(above: &[&str]) -> bool {
    let end = above.iter().rposition(|line| line.starts_with("///")); // attributes may follow
    let comment = above.get(..=end.unwrap_or(0)).unwrap_or_default();
    let start = comment.iter().rposition(|line| !line.starts_with("///")).map_or(0, |at| at + 1);
    let fences = comment.iter().skip(start).filter_map(|line| line.strip_prefix("/// ```"));
    // Every second one ends a block.
    fences.step_by(2).any(|language| matches!(language, "" | "no_run" | "should_panic"))
}

#[test]
fn every_public_type_has_an_example() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut missing = Vec::new();
    let mut found = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("readable text");
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = type_name(line) else { continue };
            found += 1;
            if !has_example(&lines[..at]) {
                missing.push(format!("{}:{}: {name}", file.display(), at + 1));
            }
        }
    }
    assert!(
        found > 100,
        "only {found} types were found: is this test still looking at the right place?"
    );
    assert!(missing.is_empty(), "without an example:\n{}", missing.join("\n"));
}

#[test]
fn the_scan_sees_what_is_missing() {
    assert_eq!(type_name("pub struct A<'a> {"), Some("A"));
    assert_eq!(type_name("pub(crate) struct A;"), None);
    for (comment, expected) in [
        ("/// A.\n///\n/// ```\n/// a();\n/// ```\n#[derive(\n    Debug\n)]", true),
        ("/// A.\n/// ```no_run\n/// a();\n/// ```", true),
        ("/// A.\n/// ```text\n/// a\n/// ```\n#[x]", false),
        ("/// A.\n/// ```text\n/// a\n/// ```\n/// ```\n/// a();\n/// ```", true),
        ("/// ```\n/// of another\n/// ```\nfn other() {}\n/// A.", false),
        ("/// A.", false),
    ] {
        assert_eq!(has_example(&comment.lines().collect::<Vec<_>>()), expected, "{comment}");
    }
}
