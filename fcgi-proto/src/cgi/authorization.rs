use core::fmt;

use super::head::{Headers, ResponseHead};

/// What an Authorizer has decided about a request (FastCGI section 6.3).
///
/// ```
/// use fcgi_proto::cgi::{Authorization, ResponseHead};
///
/// let head = ResponseHead::parse(b"Status: 403 Forbidden\n\n")?;
/// assert!(matches!(head.authorization(), Authorization::Denied));
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone, Debug)]
pub enum Authorization<'h> {
    /// Status 200: the request may go on, with these variables in the environment of what answers it. Everything else in
    /// the response, its body too, is to be dropped.
    Granted(Variables<'h>),
    /// Any other status: the response, with headers and body, is the client's.
    Denied,
}

impl ResponseHead {
    /// Reads the head as that of an Authorizer.
    ///
    /// ```
    /// use fcgi_proto::cgi::{Authorization, ResponseHead};
    ///
    /// let head = ResponseHead::parse(b"Status: 200 OK\r\nVariable-AUTH_METHOD: database lookup\r\n\r\n")?;
    /// let Authorization::Granted(variables) = head.authorization() else { panic!() };
    /// assert_eq!(variables.collect::<Vec<_>>(), [("AUTH_METHOD", &b"database lookup"[..])]);
    /// # Ok::<(), fcgi_proto::cgi::HeadError>(())
    /// ```
    #[must_use]
    pub fn authorization(&self) -> Authorization<'_> {
        match self.status() {
            200 => Authorization::Granted(Variables { headers: self.headers() }),
            _ => Authorization::Denied,
        }
    }
}

/// The `Variable-*` headers of a response as names without that prefix, and values, in order. Repeats are kept.
///
/// Never pass on a name that begins with `HTTP_`, or one that your server sets, unless you trust the Authorizer with it:
/// [`admissible`](Self::admissible) leaves those out.
///
/// ```
/// use fcgi_proto::cgi::{Authorization, ResponseHead};
///
/// let head = ResponseHead::parse(b"variable-USER: kim\nX-Other: 1\n\n")?;
/// let Authorization::Granted(mut variables) = head.authorization() else { panic!() };
/// assert_eq!((variables.next(), variables.next()), (Some(("USER", &b"kim"[..])), None));
/// # Ok::<(), fcgi_proto::cgi::HeadError>(())
/// ```
#[derive(Clone)]
pub struct Variables<'h> {
    headers: Headers<'h>,
}

impl<'h> Variables<'h> {
    /// Those that add to what is known of a request, and change nothing of it: an Authorizer may name the user, but neither
    /// a header nor the script, the client or a setting of PHP.
    ///
    /// ```
    /// use fcgi_proto::cgi::{Authorization, ResponseHead};
    ///
    /// let head = ResponseHead::parse(b"Variable-REMOTE_USER: joe\nVariable-SCRIPT_FILENAME: /etc/passwd\n\n")?;
    /// let Authorization::Granted(variables) = head.authorization() else { panic!() };
    /// assert_eq!(variables.admissible().collect::<Vec<_>>(), [("REMOTE_USER", &b"joe"[..])]);
    /// # Ok::<(), fcgi_proto::cgi::HeadError>(())
    /// ```
    pub fn admissible(self) -> impl Iterator<Item = (&'h str, &'h [u8])> {
        self.filter(|(name, _)| {
            let starts = |start: &str| {
                name.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
            };
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            !FIXED_PREFIXES.into_iter().any(starts) && !FIXED.into_iter().any(is)
        })
    }
}

/// About the request, the script, the server, the client's address, and how PHP runs.
const FIXED_PREFIXES: [&str; 10] = [
    "CONTENT_",
    "DOCUMENT_",
    "FCGI_",
    "HTTP_",
    "PATH_",
    "PHP_ADMIN_",
    "PHP_VALUE",
    "REQUEST_",
    "SCRIPT_",
    "SERVER_",
];
const FIXED: [&str; 10] = [
    "GATEWAY_INTERFACE",
    "HTTPS",
    "ORIG_PATH_INFO",
    "ORIG_SCRIPT_FILENAME",
    "QUERY_STRING",
    "REDIRECT_STATUS",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "PATH",
];

impl<'h> Iterator for Variables<'h> {
    type Item = (&'h str, &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const PREFIX: &str = "Variable-";
        self.headers.find_map(|(name, value)| {
            let (prefix, variable) = name.split_at_checked(PREFIX.len())?;
            let is_one = prefix.eq_ignore_ascii_case(PREFIX) && !variable.is_empty();
            is_one.then_some((variable, value))
        })
    }
}

impl fmt::Debug for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|(name, _)| name)).finish()
    }
}
