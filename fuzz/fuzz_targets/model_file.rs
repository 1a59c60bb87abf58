#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| myelin_model::probe::model_file(data));
