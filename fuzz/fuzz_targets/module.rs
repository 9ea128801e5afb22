//! The reader of kernel modules, on anything.

#![no_main]
#![allow(dead_code, reason = "the reader is a part of the program, and the rest of that is not here")]

#[path = "../../probe-user/src/hotfix"]
mod hotfix {
    pub mod module;
}

#[path = "../../probe-user/src/kernel"]
mod kernel {
    pub mod printable;
}

use hotfix::module::Module;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(module) = Module::parse(bytes) {
        let _ = (module.built_for(), module.replaces_estimator(), module.switch(24));
    }
});
