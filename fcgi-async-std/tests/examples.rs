//! The examples run, against a real php-fpm where they do not bring an application.

fcgi_test_support::example_tests!("smol_": call, upload, stream, pool);

#[test]
fn everything_on_its_own() {
    fcgi_test_support::examples::on_its_own("smol");
}
