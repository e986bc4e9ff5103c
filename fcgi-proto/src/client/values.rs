use crate::Params;

/// Whether an answer to GET_VALUES says that requests may share a connection (section 4.1). Without a word about it they
/// may not.
pub(crate) fn multiplexes(values: &Params) -> bool {
    values.get("FCGI_MPXS_CONNS") == Some(b"1")
}
