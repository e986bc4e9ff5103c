//! Settings of php.ini: what PHP-FPM is sent for them, and what is refused.

use fcgi_proto::cgi::{PhpSettingError, PhpSettings};

fn text(settings: &PhpSettings, variable: &str) -> Option<String> {
    let mut found = settings.params().filter(|(name, _)| *name == variable);
    let text = found.next().map(|(_, text)| String::from_utf8(text.to_vec()).expect("text"));
    assert!(found.next().is_none(), "each variable once");
    text
}

#[test]
fn values_are_quoted_whatever_is_in_them() {
    let cases = [
        ("64M", "a='64M'"),
        ("", r#"a="""#),
        ("it's", r#"a='it'"'"'s'"#),
        ("'", r#"a="'""#),
        ("''", r#"a="'""'""#),
        ("'x", r#"a="'"'x'"#),
        ("x'", r#"a='x'"'""#),
        (r#""${HOME}" ; \ | & ! = #"#, r#"a='"${HOME}" ; \ | & ! = #'"#),
        ("\t", "a='\t'"),
    ];
    for (value, expected) in cases {
        let settings = PhpSettings::new().value("a", value).expect("one line");
        assert_eq!(text(&settings, "PHP_VALUE").as_deref(), Some(expected), "{value}");
        assert_eq!(text(&settings, "PHP_ADMIN_VALUE"), None);
        let settings = PhpSettings::new().admin_value("a", value).expect("one line");
        assert_eq!(text(&settings, "PHP_ADMIN_VALUE").as_deref(), Some(expected), "{value}");
        assert_eq!(text(&settings, "PHP_VALUE"), None);
    }
}

#[test]
fn settings_stand_one_a_line_in_their_order() {
    assert_eq!(PhpSettings::new().params().count(), 0);
    let settings = PhpSettings::new()
        .value("memory_limit", "1G")
        .and_then(|settings| settings.admin_value("open_basedir", "/srv"))
        .and_then(|settings| settings.value("opcache.enable", "0"))
        .and_then(|settings| settings.value("memory_limit", "2G"))
        .expect("four settings");
    let values = "memory_limit='1G'\nopcache.enable='0'\nmemory_limit='2G'";
    assert_eq!(text(&settings, "PHP_VALUE").as_deref(), Some(values));
    assert_eq!(text(&settings, "PHP_ADMIN_VALUE").as_deref(), Some("open_basedir='/srv'"));
    let names: Vec<_> = settings.params().map(|(name, _)| name).collect();
    assert_eq!(names, ["PHP_VALUE", "PHP_ADMIN_VALUE"], "the binding one last");
}

#[test]
fn what_could_be_a_second_setting_is_refused() {
    for name in ["", "1a", "_a", "a b", "a=b", "a[]", "a\n", "ä", "a;", "-", "."] {
        let error = Err(PhpSettingError::Name);
        assert_eq!(PhpSettings::new().value(name, "1"), error, "{name:?}");
        assert_eq!(PhpSettings::new().admin_value(name, "1"), error, "{name:?}");
    }
    for name in ["a", "Z", "a1", "a_b.c-d"] {
        assert!(PhpSettings::new().value(name, "1").is_ok(), "{name}");
    }
    for value in ["a\nb", "\r", "a\0", "\n"] {
        let error = Err(PhpSettingError::Value);
        assert_eq!(PhpSettings::new().value("a", value), error, "{value:?}");
        assert_eq!(PhpSettings::new().admin_value("a", value), error, "{value:?}");
    }
}
