//! Takes the time and counts the instructions of everything, and writes the report.
//!
//! ```text
//! cargo bench -p benches                                  everything
//! cargo bench -p benches --bench ratios -- instructions   instructions alone
//! cargo bench -p benches --bench ratios -- decode         time alone, of what has this in its name
//! ```

use std::io::{Error, ErrorKind, Result};
use std::process::Command;
use std::time::{Duration, Instant};

use benches::{Group, Work, groups, report};
use criterion::{Criterion, Throughput};

/// How many runs are made under one reading of the clock, each of work of its own that was prepared before. So many that
/// the clock does not count, and so few that all of it stays in the first cache.
const LANES: usize = 16;
/// How many runs are counted.
const COUNTED: u32 = 100;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => {
            take_times(Criterion::default());
            count_instructions()?;
            report::write()
        }
        ["instructions"] => {
            count_instructions()?;
            report::write()
        }
        ["counted", group, who] => run_counted(group, who),
        ["report"] => report::write(),
        _ => {
            take_times(Criterion::default().configure_from_args());
            Ok(())
        }
    }
}

fn take_times(criterion: Criterion) {
    let mut criterion = criterion
        .output_directory(&report::folder())
        .sample_size(60)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1800));
    for Group { id, records, cases, .. } in groups() {
        let mut group = criterion.benchmark_group(id);
        group.throughput(Throughput::Elements(u64::from(records.max(1))));
        for case in cases {
            let mut lanes: Vec<_> = (0..LANES).map(|_| (case.make)()).collect();
            group.bench_function(case.who.id(), |bencher| {
                bencher.iter_custom(|count| time(&mut lanes, count));
            });
        }
    }
    criterion.final_summary();
}

fn time(lanes: &mut [Box<dyn Work>], count: u64) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    while left > 0 {
        let used = left.min(lanes.len());
        let lanes = &mut lanes[..used];
        lanes.iter_mut().for_each(|work| work.prepare());
        let start = Instant::now();
        for work in lanes {
            work.run();
        }
        total += start.elapsed();
        left -= used;
    }
    total
}

/// Runs this program under valgrind, once for each case.
fn count_instructions() -> Result<()> {
    let mut figures = Vec::new();
    for group in groups() {
        for case in group.cases {
            match instructions(group.id, case.who.id()) {
                Ok(count) => figures.push((group.id, case.who, count)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    println!("instructions are not counted, as valgrind is not installed");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
    report::keep("instructions", &figures)
}

fn instructions(group: &str, who: &str) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*ratios::counted*")
        .arg(std::env::current_exe()?)
        .args(["counted", group, who])
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let count = report.split("Collected : ").nth(1).and_then(|rest| rest.split('\n').next());
    let count = count.and_then(|count| count.trim().parse::<f64>().ok());
    let count =
        count.ok_or_else(|| Error::other(format!("valgrind counted nothing:\n{report}")))?;
    Ok(count / f64::from(COUNTED))
}

fn run_counted(group: &str, who: &str) -> Result<()> {
    let groups = groups();
    let group = groups.iter().find(|found| found.id == group);
    let case = group.and_then(|group| group.cases.iter().find(|case| case.who.id() == who));
    let mut work = (case.ok_or_else(|| Error::other("no such case"))?.make)();
    for _ in 0..COUNTED {
        work.prepare();
        counted(&mut *work);
    }
    Ok(())
}

/// Valgrind counts what happens in here. The name is in its command line.
#[inline(never)]
fn counted(work: &mut dyn Work) {
    work.run();
}
