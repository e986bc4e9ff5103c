use fcgi_test_support::WebServer;

use crate::app::App;
use crate::front::{Front, check, check_aborts};

fn nginx(app: &App, more: &str) -> WebServer {
    WebServer::nginx(&format!(
        "location / {{ include /etc/nginx/fastcgi_params; fastcgi_pass {}; {more} }}",
        app.address
    ))
}

#[test]
fn over_tcp() {
    let mut app = App::on_tcp();
    let server = nginx(&app, "");
    check(&server, Front::NGINX);
    check_aborts(&server, &mut app, true);
}

#[test]
fn over_a_unix_socket() {
    let mut app = App::on_unix();
    let server = nginx(&app, "fastcgi_keep_conn on;");
    check(&server, Front::NGINX);
    check_aborts(&server, &mut app, true);
}

#[test]
fn without_buffers() {
    let mut app = App::on_unix();
    let server = nginx(&app, "fastcgi_buffering off; fastcgi_request_buffering off;");
    check(&server, Front::NGINX);
    check_aborts(&server, &mut app, true);
}
