//! What was measured, as a table and a chart beside this crate's manifest.

mod chart;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

use crate::{Group, Who};

/// A figure for each case of a group.
type Figures = BTreeMap<(&'static str, Who), f64>;

/// All figures there are.
struct Measured {
    /// Nanoseconds for one run.
    times: Figures,
    /// Instructions for one run.
    instructions: Figures,
    /// Allocations in one run.
    allocations: Figures,
}

/// Where all figures are kept.
#[must_use]
pub fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("../target"), PathBuf::from);
    target.join("criterion")
}

/// Keeps figures of a kind for the report, and prints them.
///
/// # Errors
/// Those of writing a file.
pub fn keep(kind: &str, figures: &[(&'static str, Who, f64)]) -> Result<()> {
    let lines = figures.iter().map(|(group, who, figure)| {
        println!("{kind}: {figure:>10.0} {group}/{}", who.id());
        format!("{group} {} {figure}\n", who.id())
    });
    let lines: String = lines.collect();
    fs::create_dir_all(folder())?;
    fs::write(folder().join(kind), lines)
}

/// Writes `RESULTS.md` and `results.svg` from what was kept, and from the estimates that criterion has kept.
///
/// # Errors
/// Those of writing a file.
pub fn write() -> Result<()> {
    let groups = crate::groups();
    let measured = Measured {
        times: times(&groups),
        instructions: kept("instructions", &groups),
        allocations: kept("allocations", &groups),
    };
    let table = table::render(&groups, &measured);
    print!("\n{table}");
    fs::write(root().join("RESULTS.md"), table)?;
    fs::write(root().join("results.svg"), chart::render(&groups, &measured.times))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn times(groups: &[Group]) -> Figures {
    let time = |group: &Group, who: Who| {
        let file = folder().join(group.id).join(who.id()).join("new/estimates.json");
        let estimates: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        // Another program that takes the processor for a while moves the mean, and hardly the median.
        estimates["median"]["point_estimate"].as_f64()
    };
    collect(groups, time)
}

fn kept(kind: &str, groups: &[Group]) -> Figures {
    let text = fs::read_to_string(folder().join(kind)).unwrap_or_default();
    collect(groups, |group, who| {
        let prefix = format!("{} {} ", group.id, who.id());
        text.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
    })
}

fn collect(groups: &[Group], figure: impl Fn(&Group, Who) -> Option<f64>) -> Figures {
    let cases = groups.iter().flat_map(|group| group.cases.iter().map(move |case| (group, case)));
    cases
        .filter_map(|(group, case)| Some(((group.id, case.who), figure(group, case.who)?)))
        .collect()
}
