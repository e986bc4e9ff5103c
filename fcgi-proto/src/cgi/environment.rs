//! stub
#[allow(missing_docs)]
#[derive(Debug)]
pub struct Environment;
#[allow(missing_docs)]
#[derive(Debug)]
pub struct EnvironmentError;
