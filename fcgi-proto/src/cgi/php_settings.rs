//! Settings of php.ini that travel with a request.

use alloc::vec::Vec;
use core::fmt;

/// Settings of php.ini for PHP-FPM, as the variables PHP_VALUE and PHP_ADMIN_VALUE.
///
/// PHP-FPM reads these two as text in the form of php.ini. Names and values are checked and quoted here, so that no value
/// can become a second setting, or a constant, or a variable of the environment. Several settings of one name are all
/// sent, and the last counts.
///
/// # PHP-FPM keeps them
/// A setting stays with the worker process that has served the request, for **all later requests** it serves, of
/// whatever site and whoever asks, until the process ends or another request sets it again. So send the same settings with
/// every request to a pool, or give the site a pool of its own and write them into the pool's file. Those named
/// `disable_functions` and `disable_classes` cannot be taken back at all, and `extension` loads a library. Other
/// applications than PHP-FPM ignore both variables; php-cgi does too.
///
/// PHP_VALUE goes first. Scripts may change with `ini_set` what is in it, but not what is in PHP_ADMIN_VALUE. PHP-FPM
/// does not mind that a setting is one for php.ini alone. One that it does not know it logs and passes over.
///
/// ```
/// use fcgi_proto::cgi::{Environment, PhpSettings};
///
/// let settings = PhpSettings::new()
///     .value("error_prepend_string", "it's \"${HOME}\"")?
///     .admin_value("open_basedir", "/srv/www:/tmp")?;
/// let params = Environment::new("GET", "/")?.php_settings(&settings).params()?;
/// assert_eq!(params.get_str("PHP_VALUE"), Some(r#"error_prepend_string='it'"'"'s "${HOME}"'"#));
/// assert_eq!(params.get_str("PHP_ADMIN_VALUE"), Some("open_basedir='/srv/www:/tmp'"));
///
/// assert!(PhpSettings::new().value("memory_limit", "64M\nauto_prepend_file=/etc/passwd").is_err());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhpSettings {
    values: Vec<u8>,
    admin_values: Vec<u8>,
}

impl PhpSettings {
    /// No settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: Vec::new(), admin_values: Vec::new() }
    }

    /// Adds a setting that scripts may change, like `php_value` in a pool's file.
    ///
    /// # Errors
    /// [`PhpSettingError`] when the name is none or the value cannot be written in one line.
    pub fn value(
        mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Self, PhpSettingError> {
        push(&mut self.values, name.as_ref(), value.as_ref())?;
        Ok(self)
    }

    /// Adds a setting that scripts may not change, like `php_admin_value` in a pool's file.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn admin_value(
        mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Self, PhpSettingError> {
        push(&mut self.admin_values, name.as_ref(), value.as_ref())?;
        Ok(self)
    }

    /// The variables, names and values: none, one or both, for [`Request::param`](crate::Request::param) or
    /// [`Params::push`](crate::Params::push).
    pub fn params(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        [("PHP_VALUE", self.values.as_slice()), ("PHP_ADMIN_VALUE", &self.admin_values)]
            .into_iter()
            .filter(|(_, settings)| !settings.is_empty())
    }
}

fn push(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), PhpSettingError> {
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    if !name.iter().all(is_name_byte) || !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return Err(PhpSettingError::Name);
    }
    if value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
        return Err(PhpSettingError::Value);
    }
    if !out.is_empty() {
        out.push(b'\n');
    }
    out.extend_from_slice(name);
    out.push(b'=');
    quote(out, value);
    Ok(())
}

/// Within single quotes nothing has a meaning but their end, and pieces may stand next to each other. There is no empty
/// text in single quotes.
fn quote(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        return out.extend_from_slice(b"\"\"");
    }
    for (at, piece) in value.split(|&byte| byte == b'\'').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"'\"");
        }
        if !piece.is_empty() {
            out.push(b'\'');
            out.extend_from_slice(piece);
            out.push(b'\'');
        }
    }
}

/// Why a setting cannot be sent.
///
/// ```
/// use fcgi_proto::cgi::{PhpSettingError, PhpSettings};
///
/// assert_eq!(PhpSettings::new().value("a=b\nc", "1"), Err(PhpSettingError::Name));
/// assert_eq!(PhpSettings::new().value("memory_limit", "1\0"), Err(PhpSettingError::Value));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PhpSettingError {
    /// The name does not begin with a letter, or has more in it than letters, digits, `_`, `.` and `-`.
    Name,
    /// The value has a NUL byte or a line break.
    Value,
}

impl fmt::Display for PhpSettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name of a PHP setting is no word of letters, digits, '_', '.' and '-'",
            Self::Value => "value of a PHP setting has a NUL byte or a line break",
        })
    }
}

impl core::error::Error for PhpSettingError {}
