//! What a service's refusals mean, in our words. Codes are S3's.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::store::StoreError;

/// Where, and what was tried.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    pub(super) place: String,
    pub(super) doing: &'static str,
    /// With which object.
    pub(super) key: Option<String>,
}

impl Doing {
    pub(super) fn unreachable(&self, why: String) -> StoreError {
        StoreError::Unreachable { place: self.place.clone(), doing: self.doing, why }
    }
}

pub(super) fn why<E>(error: SdkError<E, HttpResponse>, at: &Doing) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let place = || at.place.clone();
    let (code, message, status) = match &error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or_default().to_owned();
            let message = answer.err().message().unwrap_or_default().to_owned();
            (code, message, answer.raw().status().as_u16())
        }
        SdkError::ConstructionFailure(_) => {
            return StoreError::Access(format!("{}: {}", at.place, causes(&error)));
        }
        // No answer, a late one, or one that is none.
        error => {
            let text = causes(error);
            return match text.contains("instance role") || text.contains("metadata service") {
                true => StoreError::Access(format!("{}: {text}", at.place)),
                false => at.unreachable(shortened(text)),
            };
        }
    };
    let said = match (code.is_empty(), message.is_empty()) {
        (true, _) => format!("HTTP status {status}"),
        (_, true) => code.clone(),
        _ => shortened(format!("{code}: {message}")),
    };
    match &*code {
        "RequestTimeTooSkewed" => StoreError::Skewed(place()),
        "NoSuchBucket" => StoreError::NoBucket(place()),
        "NoSuchKey" | "NoSuchVersion" => {
            StoreError::Missing(format!("{}/{}", at.place, at.key.as_deref().unwrap_or_default()))
        }
        "ObjectLockConfigurationNotFoundError" | "NoSuchObjectLockConfiguration" => {
            StoreError::NoLock(place())
        }
        "AccessDenied"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "Forbidden" => StoreError::Denied { place: place(), doing: at.doing, why: said },
        _ if status >= 500 || status == 429 || code == "RequestTimeout" => at.unreachable(said),
        _ if status == 403 => StoreError::Denied { place: place(), doing: at.doing, why: said },
        _ => StoreError::Refused { place: place(), doing: at.doing, why: said },
    }
}

/// What went wrong, with its causes.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// A service's text is somebody else's: one line of it, and no more.
fn shortened(text: String) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
    line
}
