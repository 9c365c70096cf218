//! The service's answers in XML, of which every byte is somebody else's. They
//! are read in one pass; a document type, which could name entities, is refused.

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

use crate::Object;

/// The answers that are read have three levels.
const MAX_DEPTH: usize = 8;
/// A page has 1,000, unless somebody asks for fewer.
const MAX_ENTRIES: usize = 10_000;

/// Why it is not an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("{0}")]
    Syntax(#[from] quick_xml::Error),
    #[error("not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    #[error("<{0}> is missing")]
    Root(&'static str),
    #[error("it has a document type, or entities")]
    Entity,
    #[error("elements more than {MAX_DEPTH} deep")]
    Deep,
    #[error("it ends in the middle")]
    Short,
    #[error("more than {MAX_ENTRIES} entries on a page")]
    Long,
    #[error("{0} is {1:?}")]
    Value(&'static str, String),
}

/// Hands over each element below `root` where it ends: its path, such as
/// `Version/Key`, and the text in it.
fn walk(
    bytes: &[u8],
    root: &'static str,
    each: &mut dyn FnMut(&str, &str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes)?);
    reader.config_mut().expand_empty_elements = true;
    // Where each name of the path begins; the root has none.
    let (mut path, mut starts, mut text) = (String::new(), vec![], String::new());
    loop {
        match reader.read_event()? {
            Event::Start(tag) => {
                let name = tag.local_name();
                text.clear();
                match starts.len() {
                    0 if name.as_ref() != root => return Err(Malformed::Root(root)),
                    0 => starts.push(0),
                    MAX_DEPTH => return Err(Malformed::Deep),
                    depth => {
                        starts.push(path.len());
                        if depth > 1 {
                            path.push('/');
                        }
                        path.push_str(name.as_ref());
                    }
                }
            }
            Event::End(_) => {
                let start = starts.pop().unwrap_or_default();
                if starts.is_empty() {
                    return Ok(());
                }
                each(&path, &text)?;
                path.truncate(start);
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref()? {
                Some(c) => text.push(c),
                None => text.push_str(resolve_predefined_entity(&entity).ok_or(Malformed::Entity)?),
            },
            Event::DocType(_) => return Err(Malformed::Entity),
            Event::Eof if starts.is_empty() => return Err(Malformed::Root(root)),
            Event::Eof => return Err(Malformed::Short),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// The text of one element; empty where it is missing.
#[cfg(any(test, feature = "write"))]
fn text_of(bytes: &[u8], root: &'static str, name: &str) -> Result<String, Malformed> {
    let mut found = String::new();
    walk(bytes, root, &mut |path, text| {
        if path == name {
            text.clone_into(&mut found);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether a bucket has Object Lock.
#[cfg(any(test, feature = "write"))]
pub(super) fn has_lock(bytes: &[u8]) -> Result<bool, Malformed> {
    Ok(text_of(bytes, "ObjectLockConfiguration", "ObjectLockEnabled")? == "Enabled")
}

/// Whether a bucket has versions.
#[cfg(any(test, feature = "write"))]
pub(super) fn has_versions(bytes: &[u8]) -> Result<bool, Malformed> {
    Ok(text_of(bytes, "VersioningConfiguration", "Status")? == "Enabled")
}

/// What keeps an object: the mode, and until when.
pub(super) fn retention(bytes: &[u8]) -> Result<(String, String), Malformed> {
    let (mut mode, mut until) = (String::new(), String::new());
    walk(bytes, "Retention", &mut |path, text| {
        match path {
            "Mode" => text.clone_into(&mut mode),
            "RetainUntilDate" => text.clone_into(&mut until),
            _ => {}
        }
        Ok(())
    })?;
    Ok((mode, until))
}

/// The code and the words of a refusal, as far as there are any.
pub(super) fn error(bytes: &[u8]) -> (String, String) {
    let (mut code, mut message) = (String::new(), String::new());
    let read = walk(bytes, "Error", &mut |path, text| {
        match path {
            "Code" => text.clone_into(&mut code),
            "Message" => text.clone_into(&mut message),
            _ => {}
        }
        Ok(())
    });
    read.map_or_else(|_| Default::default(), |()| (code, message))
}

/// A page of versions, in the service's order, with whole names.
#[derive(Default, Debug)]
pub(super) struct Versions {
    pub(super) objects: Vec<Object>,
    /// Where the next page begins: a name and a version.
    pub(super) next: Option<(String, Option<String>)>,
}

/// A page of versions and marks.
pub(super) fn versions(bytes: &[u8]) -> Result<Versions, Malformed> {
    let mut objects: Vec<Object> = vec![];
    let (mut object, mut more) = (blank(), false);
    let (mut key, mut version) = (None, None);
    walk(bytes, "ListVersionsResult", &mut |path, text| {
        match path {
            "Version/Key" | "DeleteMarker/Key" => text.clone_into(&mut object.key),
            "Version/VersionId" | "DeleteMarker/VersionId" => object.version = Some(text.into()),
            "Version/Size" => {
                let wrong = |_| Malformed::Value("a size", text.chars().take(40).collect());
                object.bytes = text.parse().map_err(wrong)?;
            }
            "Version/ETag" => text.clone_into(&mut object.tag),
            "Version" | "DeleteMarker" if objects.len() == MAX_ENTRIES => {
                return Err(Malformed::Long);
            }
            "Version" => objects.push(std::mem::replace(&mut object, blank())),
            "DeleteMarker" => {
                let mark = std::mem::replace(&mut object, blank());
                objects.push(Object { deleted: true, ..mark });
            }
            "IsTruncated" => more = text == "true",
            "NextKeyMarker" => key = Some(text.to_owned()),
            "NextVersionIdMarker" => version = Some(text.to_owned()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Versions { objects, next: key.filter(|_| more).map(|key| (key, version)) })
}

fn blank() -> Object {
    Object { key: String::new(), version: None, bytes: 0, tag: String::new(), deleted: false }
}

/// A page of folders, and where the next one begins.
pub(super) fn folders(bytes: &[u8]) -> Result<(Vec<String>, Option<String>), Malformed> {
    let (mut folders, mut more, mut next) = (vec![], false, None);
    walk(bytes, "ListBucketResult", &mut |path, text| {
        match path {
            "CommonPrefixes/Prefix" if folders.len() == MAX_ENTRIES => {
                return Err(Malformed::Long);
            }
            "CommonPrefixes/Prefix" => folders.push(text.to_owned()),
            "IsTruncated" => more = text == "true",
            "NextContinuationToken" => next = Some(text.to_owned()),
            _ => {}
        }
        Ok(())
    })?;
    Ok((folders, next.filter(|_| more)))
}

#[cfg(test)]
mod tests;
