//! What a service's refusals mean, in our words. Codes are S3's.

use crate::StoreError;

/// Where, and what was tried.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) place: String,
    pub(super) doing: &'static str,
    /// With which object.
    pub(super) key: Option<String>,
}

impl Operation {
    pub(super) fn unreachable(&self, why: String) -> StoreError {
        StoreError::Unreachable { place: self.place.clone(), doing: self.doing, why }
    }

    pub(super) fn missing(&self) -> StoreError {
        let key = self.key.as_deref().unwrap_or_default();
        StoreError::Missing(format!("{}/{key}", self.place))
    }
}

/// What a refusal with this status, code and message means.
pub(super) fn refused(status: u16, code: &str, message: &str, at: &Operation) -> StoreError {
    let place = || at.place.clone();
    let said = match (code.is_empty(), message.is_empty()) {
        (true, _) => format!("HTTP status {status}"),
        (_, true) => shortened(code),
        _ => shortened(&format!("{code}: {message}")),
    };
    match code {
        "RequestTimeTooSkewed" => StoreError::Skewed(place()),
        "NoSuchBucket" => StoreError::NoBucket(place()),
        "NoSuchKey" | "NoSuchVersion" => at.missing(),
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

/// A service's text is somebody else's: one line of it, and no more.
fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_our_words() {
        let at = Operation { place: "s3://a".into(), doing: "b", key: Some("c".into()) };
        let told = |status, code, message| refused(status, code, message, &at);
        assert!(matches!(told(403, "RequestTimeTooSkewed", ""), StoreError::Skewed(_)));
        assert!(matches!(told(404, "NoSuchBucket", ""), StoreError::NoBucket(_)));
        assert!(
            matches!(told(404, "NoSuchKey", ""), StoreError::Missing(name) if name == "s3://a/c")
        );
        assert!(
            matches!(told(403, "", ""), StoreError::Denied { why, .. } if why == "HTTP status 403")
        );
        for (status, code) in [(500, ""), (503, "SlowDown"), (429, ""), (400, "RequestTimeout")] {
            assert!(matches!(told(status, code, ""), StoreError::Unreachable { .. }), "{code}");
        }
        for (status, code) in [(301, "PermanentRedirect"), (400, "BadDigest"), (404, "")] {
            assert!(matches!(told(status, code, ""), StoreError::Refused { .. }), "{code}");
        }
        let long = "x\n".repeat(1000);
        let StoreError::Refused { why, .. } = told(400, "A", &long) else { panic!() };
        assert!(why.starts_with("A: x x ") && why.len() == 400, "{why}");
    }
}
