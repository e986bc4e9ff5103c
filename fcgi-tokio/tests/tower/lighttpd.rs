use fcgi_test_support::WebServer;

use crate::app::App;
use crate::front::{Front, check, check_aborts};

#[test]
fn over_tcp() {
    let mut app = App::on_tcp();
    let address = app.address.to_string();
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let server = WebServer::lighttpd(&format!(
        r#"server.stream-response-body = 1
        fastcgi.server = ("/" => (("host" => "{host}", "port" => {port}, "check-local" => "disable")))"#,
    ));
    check(&server, Front::LIGHTTPD);
    check_aborts(&server, &mut app, false);
}
