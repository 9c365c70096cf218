//! The systemd journal.
