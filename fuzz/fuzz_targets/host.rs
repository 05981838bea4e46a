#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chittyconnect_fuzz::host::check(input));
