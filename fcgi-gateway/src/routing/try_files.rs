//! The list of what is tried for a path, as nginx's and Caddy's `try_files`.

use core::fmt;

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The file that the path names.
    Itself,
    /// The index of the folder that the path names.
    Folder,
    /// A file whose name is made of the path.
    Around { before: String, after: String },
}

/// What answers when nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// The first script among the names of the index that lies in the document root.
    FrontController,
    /// A certain script, or file.
    File(String),
    /// Nobody.
    NotFound,
}

/// Why a list of patterns is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryFilesError {
    /// It neither holds `{path}`, nor is it a path at the end of the list, nor `=404`.
    Pattern(String),
    /// A pattern after the one that always answers.
    AfterLast(String),
    /// It changes the query, which always stays as the client sent it.
    Query(String),
    /// There is no pattern at all.
    Empty,
}

/// Reads the patterns. The path may also be called `$uri` and the query `$args`, so that lines from nginx can be used.
pub(super) fn parse<S: AsRef<str>>(
    patterns: impl IntoIterator<Item = S>,
) -> Result<(Vec<Step>, Last), TryFilesError> {
    let mut steps = Vec::new();
    let mut last = None;
    for pattern in patterns {
        let said = pattern.as_ref();
        if last.is_some() {
            return Err(TryFilesError::AfterLast(said.to_owned()));
        }
        match without_query(said)?.replace("$uri", PATH).split_once(PATH) {
            Some(("", "")) => steps.push(Step::Itself),
            Some(("", "/")) => steps.push(Step::Folder),
            Some((before, after)) if is_around(before, after) => {
                steps.push(Step::Around { before: before.to_owned(), after: after.to_owned() });
            }
            Some(_) => return Err(TryFilesError::Pattern(said.to_owned())),
            None => last = Some(parse_last(said)?),
        }
    }
    if steps.is_empty() && last.is_none() {
        return Err(TryFilesError::Empty);
    }
    Ok((steps, last.unwrap_or(Last::NotFound)))
}

const PATH: &str = "{path}";

fn is_around(before: &str, after: &str) -> bool {
    let is_folder = before.is_empty() || (before.starts_with('/') && !before.ends_with('/'));
    is_folder && !before.contains("..") && !after.contains(['/', '{', '$'])
}

fn parse_last(said: &str) -> Result<Last, TryFilesError> {
    let path = without_query(said)?;
    if path == "=404" {
        return Ok(Last::NotFound);
    }
    let is_file = !path.ends_with('/') && !path.contains(['{', '$', '=']) && !path.contains("..");
    // Caddy leaves the slash out.
    let path = path.strip_prefix('/').unwrap_or(path);
    if is_file && !path.is_empty() {
        return Ok(Last::File(format!("/{path}")));
    }
    Err(TryFilesError::Pattern(said.to_owned()))
}

/// Without what only says that the query stays, which it always does.
fn without_query(pattern: &str) -> Result<&str, TryFilesError> {
    let at = pattern.find('?').or_else(|| pattern.find("$is_args"));
    let (path, query) = pattern.split_at(at.unwrap_or(pattern.len()));
    match query {
        ""
        | "?$args"
        | "?$query_string"
        | "?{query}"
        | "$is_args$args"
        | "$is_args$query_string" => Ok(path),
        _ => Err(TryFilesError::Query(pattern.to_owned())),
    }
}

impl fmt::Display for TryFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => write!(
                f,
                "cannot try {pattern:?}; expected {{path}}, {{path}}/, {{path}}.html or the like, and in the end the path of a script or =404"
            ),
            Self::AfterLast(pattern) => {
                write!(f, "{pattern:?} is never tried, as the pattern before it always answers")
            }
            Self::Query(pattern) => write!(
                f,
                "{pattern:?} would change the query, which stays as the client sent it: scripts read REQUEST_URI"
            ),
            Self::Empty => f.write_str("there is nothing to try"),
        }
    }
}

impl core::error::Error for TryFilesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let file = |name: &str| Last::File(name.to_owned());
        let around = |before: &str, after: &str| Step::Around {
            before: before.to_owned(),
            after: after.to_owned(),
        };
        for (patterns, steps, last) in [
            (
                &["{path}", "{path}/", "/index.php"][..],
                vec![Step::Itself, Step::Folder],
                file("/index.php"),
            ),
            (
                &["$uri", "$uri/", "/index.php?$query_string"],
                vec![Step::Itself, Step::Folder],
                file("/index.php"),
            ),
            (&["$uri", "/app.php$is_args$args"], vec![Step::Itself], file("/app.php")),
            (
                &["/cache{path}.html", "{path}.php", "=404"],
                vec![around("/cache", ".html"), around("", ".php")],
                Last::NotFound,
            ),
            (&["{path}"], vec![Step::Itself], Last::NotFound),
            (&["index.php"], vec![], file("/index.php")),
        ] {
            assert_eq!(parse(patterns), Ok((steps, last)), "{patterns:?}");
        }
    }

    #[test]
    fn mistakes() {
        let text = str::to_owned;
        for (patterns, error) in [
            (&[][..], TryFilesError::Empty),
            (&["=403"], TryFilesError::Pattern(text("=403"))),
            (&["/"], TryFilesError::Pattern(text("/"))),
            (&["{path}/{path}"], TryFilesError::Pattern(text("{path}/{path}"))),
            (&["/../{path}"], TryFilesError::Pattern(text("/../{path}"))),
            (&["/../index.php"], TryFilesError::Pattern(text("/../index.php"))),
            (&["$document_root"], TryFilesError::Pattern(text("$document_root"))),
            (&["/index.php", "{path}"], TryFilesError::AfterLast(text("{path}"))),
            (&["/index.php?q=$uri&$args"], TryFilesError::Query(text("/index.php?q=$uri&$args"))),
        ] {
            assert_eq!(parse(patterns), Err(error), "{patterns:?}");
        }
    }
}
