//! Values that read the same on the command line and in the file.

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;
use core::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

/// A time in whole or fractional seconds: `30`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seconds(pub(crate) Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse::<f64>().ok();
        let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        time.map(Self).ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl Amount for Seconds {
    const EXPECTED: &str = "a number of seconds that is not negative, such as 30 or 0.5";
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        amount(deserializer)
    }
}

/// What is a number, or a text that begins with one.
pub(crate) trait Amount: FromStr<Err: fmt::Display> {
    const EXPECTED: &str;
}

/// Reads an amount from a number or a text, as the flag reads it.
pub(crate) fn amount<'de, D: Deserializer<'de>, T: Amount>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(AmountVisitor(PhantomData))
}

struct AmountVisitor<T>(PhantomData<T>);

impl<T: Amount> Visitor<'_> for AmountVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))
    }
}

/// For a key whose value is text that `T` reads, as the flag does.
pub(crate) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// For the key of a flag that may be given several times: a list of texts, or a single one.
pub(crate) fn texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(OneOrMany(PhantomData)).map(Some)
}

/// The same where none at all would mean nothing.
pub(crate) fn some_texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let values = deserializer.deserialize_any(OneOrMany(PhantomData))?;
    if values.is_empty() {
        return Err(de::Error::custom("an empty list; leave the key out for the default"));
    }
    Ok(Some(values))
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for OneOrMany<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        text.parse().map(|value| vec![value]).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            values.push(text.parse().map_err(de::Error::custom)?);
        }
        Ok(values)
    }
}

/// For the key of a flag that takes a number.
pub(crate) fn count<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    deserializer.deserialize_any(Count(PhantomData)).map(Some)
}

struct Count<T>(PhantomData<T>);

impl<T: FromStr> Visitor<'_> for Count<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may_be_zero = "0".parse::<T>().is_ok();
        f.write_str(if may_be_zero { "a whole number" } else { "a whole number above 0" })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let unexpected = de::Unexpected::Signed(number);
        number.to_string().parse().map_err(|_| E::invalid_value(unexpected, &self))
    }
}

/// A value in a table of names and values.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Entry {
    /// As PHP reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => u8::from(*value).fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// What a line of such a table makes.
pub(crate) trait FromEntry: Sized {
    fn from_entry(name: &str, value: Entry) -> Result<Self, String>;
}

/// For the key of a flag that takes `NAME=VALUE`: a list of such texts, or a table.
pub(crate) fn entries<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display> + FromEntry,
{
    deserializer.deserialize_any(Entries(PhantomData)).map(Some)
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: FromStr<Err: fmt::Display> + FromEntry> Visitor<'de> for Entries<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names and values, or a list of texts NAME=VALUE")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        OneOrMany(PhantomData).visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some((name, value)) = table.next_entry::<String, Entry>()? {
            values.push(T::from_entry(&name, value).map_err(de::Error::custom)?);
        }
        Ok(values)
    }
}

/// For each field: what was said here, else what the fallback says.
///
/// All fields are listed, so that the compiler finds one that was forgotten.
macro_rules! or_else {
    ($own:ident, $fallback:ident: $($field:ident),* $(,)?) => {{
        let Self { $($field),* } = $own;
        Self { $($field: $field.or($fallback.$field)),* }
    }};
}
pub(crate) use or_else;

/// The fields of two groups of settings that differ, as the file calls them.
macro_rules! changed {
    ($one:ident, $other:ident: $($field:ident),* $(,)?) => {{
        let fields = [$((stringify!($field), $one.$field != $other.$field)),*];
        let differ = fields.into_iter().filter(|&(_, differs)| differs);
        Vec::from_iter(differ.map(|(field, _)| field.replace('_', "-")))
    }};
}
pub(crate) use changed;
