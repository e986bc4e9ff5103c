#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fcgi_fuzz::php_settings(data));
