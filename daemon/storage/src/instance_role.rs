//! The access key that a machine's instance role gives: the metadata service of
//! the machine's host, version 2 (a token first), and nothing but it.

use std::{
    env,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use provenance_core::encoding::time::Timestamp;
use provenance_http::client;
use reqwest::{Client, Method};

use crate::{StoreError, access_key::AccessKey};

const SERVICE: &str = "http://169.254.169.254";
/// As AWS's own programs call it.
const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const PATH: &str = "/latest/meta-data/iam/security-credentials/";
/// It is on the machine's own host.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 16 << 10;
const TOKEN: &str = "X-aws-ec2-metadata-token";
const TOKEN_SECONDS: &str = "X-aws-ec2-metadata-token-ttl-seconds";
/// A key that runs out this soon is asked for anew.
const MARGIN: Duration = Duration::from_secs(60);

/// Asks the metadata service whenever the access key runs out.
#[derive(Debug)]
pub(super) struct Role {
    client: Client,
    service: String,
    key: Mutex<Option<Arc<AccessKey>>>,
}

impl Role {
    pub(super) fn new() -> Result<Self, StoreError> {
        let service = env::var(VARIABLE).unwrap_or_else(|_| SERVICE.into());
        if !service.starts_with("http://") {
            return Err(StoreError::Access(format!("{VARIABLE} is not an http:// address")));
        }
        let client = client::client(false, TIMEOUT)
            .map_err(|error| StoreError::Access(error.to_string()))?;
        let service = service.trim_end_matches('/').into();
        Ok(Self { client, service, key: Mutex::default() })
    }

    /// The access key for a request at this time.
    pub(super) async fn at(&self, now: Timestamp) -> Result<Arc<AccessKey>, String> {
        let kept = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(key) = kept.filter(|key| lasts(key, now)) {
            return Ok(key);
        }
        let key = Arc::new(self.ask().await?);
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        Ok(key)
    }

    async fn ask(&self) -> Result<AccessKey, String> {
        let token = (TOKEN_SECONDS, "300");
        let token = self.answer(Method::PUT, "/latest/api/token", token).await?;
        let get = |path: String| self.answer(Method::GET, path, (TOKEN, &token));
        let roles = get(PATH.into()).await?;
        let role = roles.lines().next().unwrap_or_default().trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
        if role.is_empty() || !role.chars().all(plain) {
            return Err("this machine has no instance role".into());
        }
        let given = get(format!("{PATH}{role}")).await?;
        read(&given).ok_or_else(|| format!("the role {role} gives no access key"))
    }

    async fn answer(
        &self,
        method: Method,
        path: impl AsRef<str>,
        header: (&str, &str),
    ) -> Result<String, String> {
        let failed =
            |error| format!("the metadata service does not answer: {}", client::causes(error));
        let url = format!("{}{}", self.service, path.as_ref());
        let request = self.client.request(method, url).header(header.0, header.1);
        let mut answer = request.send().await.map_err(failed)?;
        if answer.status().as_u16() != 200 {
            return Err(format!("the metadata service answers {}", answer.status().as_u16()));
        }
        let mut bytes = vec![];
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                let most = MAX_ANSWER >> 10;
                return Err(format!("the metadata service's answer is over {most} KiB"));
            }
        }
        String::from_utf8(bytes).map_err(|_| "the metadata service's answer is not UTF-8".into())
    }
}

fn lasts(key: &AccessKey, now: Timestamp) -> bool {
    let margin = i64::try_from(MARGIN.as_nanos()).unwrap_or(i64::MAX);
    key.expires.is_some_and(|end| end > now.plus_nanos(margin))
}

fn read(text: &str) -> Option<AccessKey> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let get = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    let expires = Timestamp::read(&get("Expiration")?)?;
    let (id, secret, token) = (get("AccessKeyId")?, get("SecretAccessKey")?, get("Token"));
    Some(AccessKey::new(id, secret, token, Some(expires)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_gives_is_read_with_its_end() {
        let text = r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"s","Token":"t",
            "Expiration":"2026-11-21T10:00:00Z"}"#;
        let read = read(text).unwrap();
        assert_eq!((&*read.id, read.token.as_ref().unwrap().as_str()), ("A", "t"));
        let end = read.expires.unwrap();
        assert_eq!(end.nanos() / 1_000_000_000, 1_795_255_200);
        assert!(lasts(&read, end.plus_nanos(-61_000_000_000)));
        assert!(!lasts(&read, end.plus_nanos(-59_000_000_000)));
        for bad in ["", "{}", r#"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"soon"}"#] {
            assert!(super::read(bad).is_none(), "{bad}");
        }
    }
}
