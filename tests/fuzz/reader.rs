//! Runs the target that the variable `READER` names.
#![no_main]

#[path = "../it/fuzz/targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use targets::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("READER").unwrap_or_default();
    let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("READER={name:?} names none of {}", known.join(", ")))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.run)(input));
