//! The texts of an appliance's settings and of its auditor's policy.

use std::path::Path;

/// Settings of a daemon that ticks each second and watches the files that match
/// `watch`. They end within `[chain]`.
pub(crate) fn settings(
    (client, host): (&str, &str),
    tier: &str,
    state: &Path,
    key: Option<&Path>,
    watch: &Path,
) -> String {
    let key = key.map(|key| format!("signing_key = \"{}\"\n", key.display()));
    format!(
        "client = \"{client}\"\nhost = \"{host}\"\ntier = \"{tier}\"\nstate_dir = \"{}\"\n{}\
         [chain]\ninterval_s = 1\nwatch = [\"{}\"]\njournal = false\n",
        state.display(),
        key.unwrap_or_default(),
        watch.display()
    )
}

/// The entry of a policy that trusts this key, in PEM.
pub(crate) fn trusted_key(name: &str, public: &str) -> String {
    format!("[[keys]]\nname = \"{name}\"\npublic_key = \"\"\"\n{public}\"\"\"\n")
}
