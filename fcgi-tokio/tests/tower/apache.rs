use fcgi_test_support::WebServer;

use crate::app::App;
use crate::front::{Front, check, check_aborts};

#[test]
fn mod_proxy_fcgi() {
    let mut app = App::on_tcp();
    let server = WebServer::apache(&format!("ProxyPass / fcgi://{}/", app.address));
    check(&server, Front::APACHE);
    check_aborts(&server, &mut app, false);
}

#[test]
fn mod_proxy_fcgi_with_kept_connections() {
    let app = App::on_tcp();
    let server =
        WebServer::apache(&format!("ProxyPass / fcgi://{}/ enablereuse=on max=4", app.address));
    check(&server, Front::APACHE);
}
