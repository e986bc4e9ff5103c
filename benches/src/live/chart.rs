use std::fmt::Write;

use super::gateway::{Measured, WORKLOADS};
use super::proxies::{ALL, Proxy};

const LEFT: f64 = 170.0;
const WIDTH: f64 = 900.0;
const BAR: f64 = 14.0;

/// Processor time for one request at 32 connections, a block for each workload.
pub(super) fn render(measured: &Measured) -> String {
    let mut body = String::new();
    let mut y = 34.0;
    text(
        &mut body,
        12.0,
        20.0,
        "Processor time of the server for one request at 32 connections, in microseconds; less is better",
    );
    for (index, workload) in WORKLOADS.iter().enumerate() {
        let cells: Vec<_> = ALL
            .iter()
            .filter_map(|proxy| {
                let cell = measured.cells.iter().find(|cell| {
                    (cell.proxy, cell.workload, cell.connections) == (*proxy, index, 32)
                })?;
                Some((*proxy, cell.cpu.as_secs_f64() * 1e6))
            })
            .collect();
        let most = cells.iter().map(|(_, cpu)| *cpu).fold(1.0, f64::max);
        text(&mut body, 12.0, y + 12.0, workload.title);
        y += 20.0;
        for (proxy, cpu) in cells {
            let length = cpu / most * (WIDTH - LEFT - 60.0);
            let fill = if matches!(proxy, Proxy::Ours | Proxy::OursMultiplexed) {
                "#1b7f5c"
            } else {
                "#9aa5b1"
            };
            text(&mut body, 24.0, y + 11.0, proxy.name());
            let bar = BAR - 2.0;
            writeln!(body, "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{bar}\" fill=\"{fill}\"/>")
                .expect("a string takes everything");
            text(&mut body, LEFT + length + 4.0, y + 11.0, &format!("{cpu:.0}"));
            y += BAR;
        }
        y += 8.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn text(out: &mut String, x: f64, y: f64, text: &str) {
    writeln!(out, "<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"#222\">{text}</text>")
        .expect("a string takes everything");
}
