//! Certificates of others, and damaged ones.
