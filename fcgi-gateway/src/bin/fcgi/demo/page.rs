//! The demo's pages. Whatever comes from outside is escaped on its way into them.

use core::fmt::{self, Display, Write};

use fcgi_proto::Params;

use super::app::Body;
use super::form;
use super::multipart::Part;
use super::record::{Direction, Line, Lines};

pub(super) const CSS: &str = include_str!("demo.css");
pub(super) const JS: &str = include_str!("demo.js");
const PAGE: &str = include_str!("page.html");
const FRAME: &str = include_str!("frame.html");

/// What the page shows.
pub(super) struct View<'a> {
    pub(super) number: u64,
    pub(super) params: &'a Params,
    pub(super) body: Body,
}

pub(super) fn page(view: &View<'_>) -> String {
    let param = |name| Text(view.params.get(name).unwrap_or_default());
    let content = fill(PAGE, |name| match name {
        "method" => param("REQUEST_METHOD").to_string(),
        "uri" => param("REQUEST_URI").to_string(),
        "number" => view.number.to_string(),
        "received" => received(view),
        "count" => view.params.len().to_string(),
        "params" => params(view.params),
        _ => String::new(),
    });
    frame("fcgi demo", &content)
}

pub(super) fn not_found() -> String {
    frame(
        "Not found",
        "<h1>Not found</h1><p>The application has no such page. <a href=\"/\">Start</a></p>",
    )
}

pub(super) fn trace_page(number: u64, list: &str) -> String {
    let content = format!(
        "<h1>Exchange {number}</h1><section class=\"card\">{list}</section><p><a href=\"/\">Start</a></p>"
    );
    frame("Records", &content)
}

/// The records of an exchange as a list.
pub(super) fn trace(lines: &Lines) -> String {
    let mut html = String::from("<ol class=\"trace\">");
    for line in &lines.first {
        push_line(&mut html, line);
    }
    if lines.left_out > 0 {
        push(&mut html, format_args!("<li class=\"gap\">… {} more records …</li>", lines.left_out));
    }
    for line in &lines.last {
        push_line(&mut html, line);
    }
    html.push_str("</ol>");
    html
}

fn push_line(html: &mut String, line: &Line) {
    let (class, arrow, title) = match line.direction {
        Direction::In => ("in", "→", "to the application"),
        Direction::Out => ("out", "←", "from the application"),
    };
    let millis = line.millis;
    push(
        html,
        format_args!(
            "<li class=\"{class}\"><span class=\"time\">{millis:.1} ms</span>\
             <span class=\"arrow\" title=\"{title}\">{arrow}</span>"
        ),
    );
    // A record with pairs has one on each further line.
    match line.text.split_once('\n') {
        Some((first, rest)) => push(
            html,
            format_args!(
                "<details><summary>{}</summary><pre>{}</pre></details>",
                Text(first.as_bytes()),
                Pre(&rest.trim_start().replace("\n    ", "\n"))
            ),
        ),
        None => push(html, format_args!("<code>{}</code>", Text(line.text.as_bytes()))),
    }
    html.push_str("</li>");
}

/// What the application made of the request: the fields of the query and the form, and the files.
fn received(view: &View<'_>) -> String {
    let mut html = String::new();
    let query = form::decode(view.params.get("QUERY_STRING").unwrap_or_default());
    push_fields(&mut html, "From the query", &query);
    match &view.body {
        Body::None => {}
        Body::Fields(fields) => push_fields(&mut html, "From the form", fields),
        Body::Parts(parts) => push_parts(&mut html, parts),
        Body::Other { len, sha256 } => push(
            &mut html,
            format_args!("<p>A body of {len} bytes, SHA-256 <code>{sha256}</code>.</p>"),
        ),
        Body::Unreadable(why) => push(&mut html, format_args!("<p class=\"bad\">The {why}.</p>")),
    }
    if html.is_empty() {
        return html;
    }
    format!("<div class=\"received\">{html}</div>")
}

fn push_fields(html: &mut String, title: &str, fields: &[(String, String)]) {
    if fields.is_empty() {
        return;
    }
    push(html, format_args!("<h3>{title}</h3><table>"));
    for (name, value) in fields {
        let (name, value) = (Text(name.as_bytes()), Text(value.as_bytes()));
        push(html, format_args!("<tr><th>{name}</th><td>{value}</td></tr>"));
    }
    html.push_str("</table>");
}

fn push_parts(html: &mut String, parts: &[Part]) {
    let fields: Vec<(String, String)> = parts
        .iter()
        .filter(|part| part.file.is_none())
        .map(|part| (part.name.clone(), String::from_utf8_lossy(&part.text).into_owned()))
        .collect();
    push_fields(html, "From the form", &fields);
    for file in parts.iter().filter_map(|part| part.file.as_ref()) {
        push(
            html,
            format_args!(
                "<h3>Uploaded</h3><table><tr><th>name</th><td>{}</td></tr><tr><th>type</th><td>{}</td></tr>\
                 <tr><th>size</th><td>{} bytes</td></tr>\
                 <tr><th>SHA-256</th><td><code>{}</code></td></tr></table>",
                Text(file.name.as_bytes()),
                Text(file.content_type.as_bytes()),
                file.len,
                file.sha256
            ),
        );
    }
}

fn params(params: &Params) -> String {
    let mut html = String::new();
    for (name, value) in params {
        push(&mut html, format_args!("<tr><th>{}</th><td>{}</td></tr>", Text(name), Text(value)));
    }
    html
}

fn frame(title: &str, content: &str) -> String {
    fill(FRAME, |name| match name {
        "title" => title.to_owned(),
        "content" => content.to_owned(),
        "version" => env!("CARGO_PKG_VERSION").to_owned(),
        _ => String::new(),
    })
}

/// Puts values in the places of `{{name}}`, once: what comes in is not looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut html = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        html.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        html.push_str(&value(name));
        rest = after;
    }
    html.push_str(rest);
    html
}

fn push(html: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(text);
}

/// Bytes as text for HTML, on one line.
struct Text<'t>(&'t [u8]);

/// Text for HTML with its line breaks.
struct Pre<'t>(&'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in String::from_utf8_lossy(self.0).chars() {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                escape(f, char)?;
            }
        }
        Ok(())
    }
}

impl Display for Pre<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| escape(f, char))
    }
}

fn escape(f: &mut fmt::Formatter<'_>, char: char) -> fmt::Result {
    match char {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        char => f.write_char(char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_in_as_markup() {
        let mut params = Params::new();
        params.push("QUERY_STRING", "<b>=%3Cscript%3E");
        params.push("REQUEST_URI", "/?{{params}}<i>");
        params.push("HTTP_X", b"\"'&\xff\n<u>");
        let html = page(&View { number: 1, params: &params, body: Body::None });
        for markup in ["<b>", "<i>", "<u>", "<script>"] {
            assert!(!html.contains(markup), "{markup}");
        }
        assert!(html.contains("/?{{params}}&lt;i&gt;"));
        assert!(html.contains("&quot;&#39;&amp;\u{fffd}\\n&lt;u&gt;"));
    }
}
