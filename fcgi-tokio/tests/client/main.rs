//! The client and its pool: the tests that all adapters share.

mod adapter;

fcgi_test_support::client_tests!(adapter::Tokio);
fcgi_test_support::pool_tests!(adapter::Tokio);
fcgi_test_support::shared_connection_tests!(adapter::Tokio);
