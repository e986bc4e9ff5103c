//! Settings of php.ini that travel with a request, as a real php-fpm reads them.

use fcgi_proto::cgi::PhpSettings;
use fcgi_test_support::{PhpFpm, Scripts};
use fcgi_tokio::{Client, Request};

/// Shows settings, each length first so that nothing is lost or added unseen.
const SHOW: &str = r#"<?php
foreach (explode(' ', $_GET['names']) as $name) {
    $value = ini_get($name);
    echo $name, '=', $value === false ? 'none' : strlen($value) . ':' . $value, "\n";
}
echo 'ini_set: ', var_export(ini_set('error_append_string', 'changed'), true), "\n";
"#;

struct Site {
    _fpm: PhpFpm,
    scripts: Scripts,
    client: Client,
}

impl Site {
    /// With one worker, which serves every request.
    fn start() -> Self {
        let fpm = PhpFpm::builder().workers(1).listen_unix().start();
        let scripts = Scripts::new();
        scripts.add("show.php", SHOW);
        let client = Client::new(fpm.address().parse().expect("an address"));
        Self { _fpm: fpm, scripts, client }
    }

    async fn show(&self, names: &str, settings: &PhpSettings) -> String {
        let mut request = Request::get(self.scripts.path("show.php")).query([("names", names)]);
        for (name, value) in settings.params() {
            request = request.param(name, value);
        }
        let response = self.client.call(request).await.expect("a response");
        String::from_utf8_lossy(response.body()).into_owned()
    }
}

#[tokio::test]
async fn hostile_values_arrive_as_they_are_and_set_nothing_else() {
    let site = Site::start();
    for value in [
        "",
        " ",
        "plain",
        " blanks around ",
        "it's",
        "'",
        "''",
        "'quoted'",
        "\"",
        "\"double\"",
        "'\"'\"'",
        "back\\slash\\",
        "\\",
        "\\'",
        "\\\"",
        "${PATH}",
        "$HOME ${SCRIPT_FILENAME}",
        "E_ALL & ~E_NOTICE | 1 ^ (2)",
        "PHP_VERSION",
        "on",
        "off",
        "none",
        "null",
        "yes",
        "a=b",
        "; comment",
        "a ; auto_prepend_file=/etc/passwd",
        "# comment",
        "[section]",
        "{brace}!",
        "tab\there",
        "\u{1b}\u{7f}\u{1}",
        "p\u{e4}th/\u{1f642}",
        "<?php echo 1; ?>",
        "\u{2028}auto_prepend_file=/etc/passwd",
    ] {
        let settings = PhpSettings::new()
            .value("error_prepend_string", value)
            .unwrap()
            .value("user_agent", "behind it")
            .unwrap()
            .admin_value("error_append_string", value)
            .unwrap();
        let names = "error_prepend_string user_agent error_append_string auto_prepend_file";
        let shown = site.show(names, &settings).await;
        let len = value.len();
        let expected = format!(
            "error_prepend_string={len}:{value}\nuser_agent=9:behind it\n\
             error_append_string={len}:{value}\nauto_prepend_file=0:\nini_set: false\n"
        );
        assert_eq!(shown, expected, "{value:?}");
    }
}

#[tokio::test]
async fn the_last_of_a_name_counts_and_an_unknown_one_does_no_harm() {
    let site = Site::start();
    let settings = PhpSettings::new()
        .value("user_agent", "first")
        .unwrap()
        .value("no.such-setting_1", "x")
        .unwrap()
        .value("user_agent", "second")
        .unwrap()
        .value("memory_limit", "77M")
        .unwrap();
    let shown = site.show("user_agent no.such-setting_1 memory_limit", &settings).await;
    let expected = "user_agent=6:second\nno.such-setting_1=none\nmemory_limit=3:77M\n";
    assert!(shown.starts_with(expected), "{shown}");
    assert!(shown.ends_with("ini_set: ''\n"), "a script may change what no administrator has set");
}

/// What the documentation warns of.
#[tokio::test]
async fn the_worker_keeps_settings_for_later_requests() {
    let site = Site::start();
    let settings = PhpSettings::new().value("user_agent", "of somebody").unwrap();
    let settings = settings.admin_value("precision", "7").unwrap();
    let shown = site.show("user_agent precision", &settings).await;
    assert!(shown.starts_with("user_agent=11:of somebody\nprecision=1:7\n"), "{shown}");
    let shown = site.show("user_agent precision", &PhpSettings::new()).await;
    assert!(shown.starts_with("user_agent=11:of somebody\nprecision=1:7\n"), "{shown}");
}
