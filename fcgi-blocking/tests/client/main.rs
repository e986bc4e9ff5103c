//! The client: the tests that all adapters share, and those of what only this one has.

mod adapter;
mod reading;
mod suite;

use adapter::Blocking;
use suite::{faults, php};

faults::fault_tests!(Blocking);
php::php_tests!(Blocking);
