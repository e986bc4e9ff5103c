use alloc::string::ToString;
use alloc::vec::Vec;

use super::Config;
use crate::params::{Params, ParamsError};

/// The answer to GET_VALUES (section 4.1): the values of the names that were asked for and are known, in that order.
///
/// Each name is answered once, however often it was asked for, so that the answer is never larger than the three
/// values there are.
pub(super) fn answer(asked: Vec<u8>, config: &Config) -> Result<Vec<u8>, ParamsError> {
    let asked = Params::parse(asked)?;
    let mut answered = Params::new();
    for (name, _) in &asked {
        if let Some(value) = value(name, config).filter(|_| answered.get(name).is_none()) {
            answered.push(name, value.to_string());
        }
    }
    Ok(answered.into_encoded())
}

fn value(name: &[u8], config: &Config) -> Option<u32> {
    let max_requests = u32::from(config.max_requests.get());
    match name {
        b"FCGI_MAX_CONNS" => Some(config.max_conns),
        b"FCGI_MAX_REQS" => {
            Some(config.max_reqs.unwrap_or_else(|| config.max_conns.saturating_mul(max_requests)))
        }
        b"FCGI_MPXS_CONNS" => Some(u32::from(max_requests > 1)),
        _ => None,
    }
}
