//! The access key: from a file of AWS's form, from the environment, or from the
//! machine's instance role.

use std::{env, sync::Arc};

use provenance_core::encoding::time::Timestamp;
use provenance_host::secret::{self, Named};

use crate::{StoreError, access_key::AccessKey, instance_role::Role};

const NAMED: Named = Named { what: "access key", setting: "store.s3.credentials_file" };

/// Where the access key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// A file, as [`secret::read`] takes it.
    File(String),
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// What the machine's instance role gives.
    Role,
}

/// What gives access keys.
#[derive(Debug)]
pub(super) enum Keys {
    /// Always the same.
    Fixed(Arc<AccessKey>),
    /// The machine's role.
    Role(Role),
}

impl Keys {
    /// The access key for a request at this time.
    pub(super) async fn at(&self, now: Timestamp) -> Result<Arc<AccessKey>, String> {
        match self {
            Self::Fixed(key) => Ok(key.clone()),
            Self::Role(role) => role.at(now).await,
        }
    }
}

impl Access {
    /// What `file` names, else the machine's role.
    pub fn of(file: Option<&str>) -> Self {
        file.map_or(Self::Role, |file| Self::File(file.into()))
    }

    pub(super) fn keys(&self) -> Result<Keys, StoreError> {
        let key = match self {
            Self::Role => return Ok(Keys::Role(Role::new()?)),
            Self::File(place) => {
                let (bytes, path) = secret::read(NAMED, place)
                    .map_err(|error| StoreError::Access(error.to_string()))?;
                parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
                    StoreError::Access(format!(
                        "{}: not an access key: write a line aws_access_key_id = … and a line \
                         aws_secret_access_key = …",
                        path.display()
                    ))
                })?
            }
            Self::Environment => {
                let get = |name| env::var(name).ok().filter(|text| !text.is_empty());
                let pair = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY"));
                let (id, secret) = pair.ok_or_else(|| {
                    let message = "there is no access key: give --credentials-file FILE, or set \
                                   AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
                    StoreError::Access(message.into())
                })?;
                AccessKey::new(id, secret, get("AWS_SESSION_TOKEN"), None)
            }
        };
        Ok(Keys::Fixed(Arc::new(key)))
    }
}

/// The first access key in a file of AWS's form: `[profile]` and lines of
/// `key = value`.
fn parse(text: &str) -> Option<AccessKey> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut sections = 0;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            sections += 1;
            if sections > 1 || id.is_some() || secret.is_some() {
                break;
            }
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    id.zip(secret).map(|(id, secret)| AccessKey::new(id, secret, token, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_first_section_and_nothing_half_is_taken() {
        let text = "# ours\n[default]\naws_access_key_id = A\naws_secret_access_key=s=/\n\
                    [other]\naws_access_key_id = B\n";
        let read = parse(text).unwrap();
        assert_eq!((&*read.id, read.secret.as_str()), ("A", "s=/"));
        assert_eq!(read.token, None);
        let bare = "aws_access_key_id=A\naws_secret_access_key=s\naws_session_token=t";
        assert_eq!(parse(bare).unwrap().token.unwrap().as_str(), "t");
        for bad in [
            "",
            "[default]",
            "aws_access_key_id = A",
            "aws_access_key_id=A\n[x]\naws_secret_access_key=s",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let read = parse("aws_access_key_id=A\naws_secret_access_key=SECRET").unwrap();
        assert!(!format!("{read:?}").contains("SECRET"));
    }
}
