//! Which appliances have copies in a storage.

use provenance_core::statement::is_chain_id;

use super::{Appliance, CopyError};
use crate::ReadStorage;

/// Above an appliance's copies lie so many folders at most.
const MAX_DEPTH: usize = 8;

/// Every appliance with copies at `path` or below, by name. `path` is a prefix
/// that ends where a folder does.
///
/// # Errors
/// [`CopyError`].
pub fn appliances(bucket: &mut dyn ReadStorage, path: &str) -> Result<Vec<Appliance>, CopyError> {
    let path = path.trim_matches('/');
    let mut found = vec![];
    match of_base(path) {
        Some(appliance) => found.push(appliance),
        None => {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
            descend(bucket, &prefix, 0, &mut found)?;
        }
    }
    found.sort();
    Ok(found)
}

/// The one appliance with copies there.
///
/// # Errors
/// [`CopyError::Place`] where there is none, or more than one.
pub fn only(bucket: &mut dyn ReadStorage, path: &str) -> Result<Appliance, CopyError> {
    let mut found = appliances(bucket, path)?.into_iter();
    let name = format!("{}{path}", bucket.name());
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(CopyError::Place(format!(
            "{name}: there are no copies (CLIENT/HOST/CHAIN/) at or below this address"
        ))),
        (Some(one), Some(another)) => Err(CopyError::Place(format!(
            "{name} has copies of more than one chain, such as {} and {}: name one of them, or use \
             `provctl verify-fleet`",
            one.base, another.base
        ))),
    }
}

fn descend(
    bucket: &mut dyn ReadStorage,
    prefix: &str,
    depth: usize,
    found: &mut Vec<Appliance>,
) -> Result<(), CopyError> {
    for folder in bucket.folders(prefix)? {
        let base = folder.trim_end_matches('/');
        match of_base(base) {
            Some(appliance) => found.push(appliance),
            None if depth < MAX_DEPTH => descend(bucket, &folder, depth + 1, found)?,
            None => {}
        }
    }
    Ok(())
}

/// `…/CLIENT/HOST/CHAIN`.
fn of_base(base: &str) -> Option<Appliance> {
    let mut parts = base.rsplit('/');
    let (chain, host) = (parts.next()?, parts.next()?);
    let client = parts.next()?;
    is_chain_id(chain).then(|| Appliance {
        base: base.into(),
        client: client.into(),
        host: host.into(),
        chain: chain.into(),
    })
}
