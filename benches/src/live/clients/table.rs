use super::measured::{Cell, Measured, find};
use super::meter::Spent;
use super::who::{ALL, Who};
use super::{CONCURRENCY, CROWD, TOGETHER, goals};

const INTRODUCTION: &str = "\
# The clients beside others

Written by `cargo bench -p benches --bench clients`, all in one run on one machine. Each client runs in a process of its \
own and asks, over Unix sockets and with kept connections, an application that does nothing and answers 12 bytes at once, \
or a php-fpm with a worker for each connection. All send the same 17 variables, and build each request anew. Raw sockets \
by hand and fcgi-blocking have a thread for each request under way, the others one thread in all. Cells are for 1 / 16 / \
64 requests at once. How each is used is in `src/live/clients/load.rs`.

![bar chart](clients.svg)
";

pub(super) fn render(measured: &Measured) -> String {
    let mut out = String::from(INTRODUCTION);
    write_goals(&mut out, measured);
    load(&mut out, "An application that does nothing", &measured.null);
    exact(&mut out, measured);
    shared(&mut out, measured);
    streamed(&mut out, measured);
    crowds(&mut out, measured);
    load(&mut out, "php-fpm, a script that prints two words", &measured.php);
    out
}

fn write_goals(out: &mut String, measured: &Measured) {
    out.push_str("\n## Goals\n\nOf several concurrencies the worst counts.\n\n");
    out.push_str("| goal | limit | measured | |\n|---|--:|--:|---|\n");
    for goal in goals::all(measured) {
        let sign = if goal.is_least { "≥" } else { "≤" };
        let met = if goal.is_met() { "met" } else { "**not met**" };
        out.push_str(&format!(
            "| {} | {sign} {:.2} | {:.2} | {met} |\n",
            goal.title, goal.limit, goal.found
        ));
    }
}

fn load(out: &mut String, title: &str, cells: &[Cell]) {
    out.push_str(&format!(
        "\n## {title}\n\n| client | processor time for a request, µs | requests per second |\n|---|--:|--:|\n"
    ));
    for who in ALL {
        let show = |show: fn(&Spent) -> String| {
            let cells = CONCURRENCY.iter().filter_map(|concurrency| find(cells, who, *concurrency));
            cells.map(|spent| show(&spent)).collect::<Vec<_>>().join(" / ")
        };
        let cpu = show(|spent| format!("{:.1}", spent.cpu_micros()));
        let rate = show(|spent| format!("{:.0}", spent.per_second()));
        out.push_str(&format!("| {} | {cpu} | {rate} |\n", who.name()));
    }
}

fn exact(out: &mut String, measured: &Measured) {
    out.push_str(
        "\n## For each small request, one after the other\n\n\
        | client | writes | reads | other system calls | all | allocations |\n|---|--:|--:|--:|--:|--:|\n",
    );
    for (who, exact) in &measured.exact {
        let calls = exact.calls.map_or_else(
            || "- | - | - | -".to_owned(),
            |calls| {
                let (writes, reads, others) = (calls.writes, calls.reads, calls.others);
                format!("{writes:.2} | {reads:.2} | {others:.2} | {:.2}", calls.all())
            },
        );
        out.push_str(&format!("| {} | {calls} | {:.1} |\n", who.name(), exact.allocations));
    }
    if measured.exact.iter().any(|(_, exact)| exact.calls.is_none()) {
        out.push_str("\nSystem calls were not counted, as strace is not installed.\n");
    }
}

fn shared(out: &mut String, measured: &Measured) {
    out.push_str(&format!(
        "\n## {TOGETHER} requests at once, over one connection or over as many\n\n\
        | client | requests per second | processor time for a request, µs |\n|---|--:|--:|\n"
    ));
    for who in [Who::Tokio, Who::TokioShared, Who::AsyncStd, Who::AsyncStdShared] {
        let Some(spent) = measured.shared(who).or_else(|| measured.null(who, TOGETHER)) else {
            continue;
        };
        let (rate, cpu) = (spent.per_second(), spent.cpu_micros());
        out.push_str(&format!("| {} | {rate:.0} | {cpu:.1} |\n", who.name()));
    }
}

fn streamed(out: &mut String, measured: &Measured) {
    out.push_str(
        "\n## A response of 1 GiB, read piece by piece\n\n\
        Raw sockets only copy it and look at nothing.\n\n\
        | client | MiB per second | processor time, ms | most memory held by the process, MiB |\n|---|--:|--:|--:|\n",
    );
    for (who, streamed) in &measured.streamed {
        let rate = 1024.0 / streamed.spent.time.as_secs_f64();
        let (cpu, peak) =
            (streamed.spent.cpu.as_secs_f64() * 1e3, streamed.peak_kib.div_ceil(1024));
        out.push_str(&format!("| {} | {rate:.0} | {cpu:.0} | {peak} |\n", who.name()));
    }
}

fn crowds(out: &mut String, measured: &Measured) {
    out.push_str(&format!(
        "\n## Heap at {CROWD} at once\n\n\
        The process's own; what the kernel holds for a socket comes on top.\n\n\
        | client | bytes for a request under way | bytes for an idle connection |\n|---|--:|--:|\n"
    ));
    for (who, held) in &measured.crowds {
        out.push_str(&format!("| {} | {} | {} |\n", who.name(), held.in_flight, held.idle));
    }
}
