//! The examples run, against a real php-fpm.

fcgi_test_support::example_tests!("blocking_": call, upload, stream, pool);
