//! Settings of the daemon and an auditor's policy, and a setting from the
//! command line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_audit::policy_file::Policy;
use provenance_host::config::Config;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let _ = Policy::parse(text);
    if let Ok(config) = Config::parse("fuzz", text, &[]) {
        // What is in force is told as it is in the record of the settings.
        let _ = config.to_value().encode();
    }
    let (set, rest) = text.split_once('\n').unwrap_or((text, ""));
    let _ = Config::parse("fuzz", rest, &[set.to_owned()]);
});
