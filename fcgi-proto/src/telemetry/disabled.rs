#[cfg(feature = "std")]
use core::fmt::Display;
use core::time::Duration;

#[cfg(feature = "std")]
use crate::Phase;
use crate::client::End;
use crate::{Address, Params, Role};

#[derive(Clone, Debug)]
pub(crate) struct ClientSpan;

#[cfg(feature = "std")]
#[derive(Clone, Debug)]
pub(crate) struct ServerSpan;

impl ClientSpan {
    pub(crate) const fn new(_: Role, _: &Params, _: Option<&Address>) -> Self {
        Self
    }
    pub(crate) const fn first_byte(&self, _: Duration) {}
    pub(crate) const fn head(&self, _: u16) {}
    pub(crate) const fn ended(&self, _: End, _: u64, _: u64) {}
    #[cfg(feature = "std")]
    pub(crate) const fn failed(&self, _: &str, _: Phase, _: u64, _: u64) {}
}

#[cfg(feature = "std")]
impl ServerSpan {
    pub(crate) const fn new(_: Role, _: &Params) -> Self {
        Self
    }
    pub(crate) fn in_scope<T>(&self, run: impl FnOnce() -> T) -> T {
        run()
    }
    pub(crate) const fn ended(&self, _: u32) {}
    pub(crate) const fn failed(&self, _: &str) {}
    pub(crate) const fn aborted(&self) {}
}

pub(crate) const fn connected(_: &Address) {}
#[cfg(feature = "std")]
pub(crate) const fn connect_failed(_: &Address, _: &dyn Display) {}
#[cfg(feature = "std")]
pub(crate) const fn timed_out(_: Phase, _: Duration) {}
#[cfg(feature = "std")]
pub(crate) const fn refused(_: u16, _: &dyn Display) {}
pub(crate) const fn retrying(_: u32) {}
