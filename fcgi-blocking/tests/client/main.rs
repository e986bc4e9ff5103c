//! The client and its pool: the tests that all adapters share, and those of what only this one has.

mod adapter;
mod reading;

fcgi_test_support::client_tests!(adapter::Blocking);
fcgi_test_support::pool_tests!(adapter::Blocking);
fcgi_test_support::shared_connection_tests!(adapter::Blocking);
