//! The two text formats of metrics, and which of them is asked for.

use http::HeaderMap;
use http::header;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older text format of Prometheus, 0.0.4, which all readers know.
    Text,
}

impl Exposition {
    /// The one that a reader's `Accept` field asks for.
    pub(crate) fn asked_for(request: &HeaderMap) -> Self {
        let accepted =
            request.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepted.flat_map(|value| value.split(','));
        let is_open_metrics = |media: &str| {
            media.split(';').next().is_some_and(|name| {
                name.trim().eq_ignore_ascii_case("application/openmetrics-text")
            })
        };
        if types.any(is_open_metrics) { Self::OpenMetrics } else { Self::Text }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// `open_metrics` in this format.
    pub(crate) fn convert(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => to_text(&open_metrics),
        }
    }
}

/// In the older format a counter is described by the name of its samples, there is no type for facts, and no unit.
fn to_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The help comes before the type, on which its name depends.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some((name, help)) = help.take() {
                text.extend(["# HELP ", name, ending, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_chosen_by_accept() {
        let asked = |accept: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            Exposition::asked_for(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(asked(Some(prometheus)), Exposition::OpenMetrics);
        for accept in [None, Some("*/*"), Some("text/plain"), Some("text/html,*/*;q=0.8")] {
            assert_eq!(asked(accept), Exposition::Text, "{accept:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_older_format() {
        let open_metrics = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
            a_seconds_total{x=\"# TYPE\"} 1\n# HELP b It.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c C\n# TYPE c histogram\nc_bucket{le=\"+Inf\"} 0\n# EOF\n";
        assert_eq!(
            to_text(open_metrics),
            "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\na_seconds_total{x=\"# TYPE\"} 1\n\
             # HELP b_info It.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n# HELP c C\n# TYPE c histogram\n\
             c_bucket{le=\"+Inf\"} 0\n"
        );
    }
}
