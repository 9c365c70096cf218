//! The access key that a machine's instance role gives: the metadata service of
//! the machine's host, version 2 (a token first), and nothing but it.

use std::{env, io::Read, time::SystemTime};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use provenance_core::time::Timestamp;

use super::StoreError;

const SERVICE: &str = "http://169.254.169.254";
/// As AWS's own programs call it.
const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const PATH: &str = "/latest/meta-data/iam/security-credentials/";
/// Seconds: it is on the machine's own host.
const TIMEOUT: u64 = 5;
const MAX_ANSWER: u64 = 16 << 10;

/// Asks the metadata service whenever the access key runs out.
#[derive(Debug)]
pub(super) struct Role {
    service: String,
}

impl Role {
    pub(super) fn new() -> Result<Self, StoreError> {
        let service = env::var(VARIABLE).unwrap_or_else(|_| SERVICE.into());
        if !service.starts_with("http://") {
            return Err(StoreError::Access(format!("{VARIABLE} is no http:// address")));
        }
        Ok(Self { service: service.trim_end_matches('/').into() })
    }

    fn ask(&self) -> Result<Credentials, String> {
        let url = |path: &str| format!("{}{path}", self.service);
        let token = minreq::put(url("/latest/api/token"))
            .with_header("X-aws-ec2-metadata-token-ttl-seconds", "300");
        let token = answer(token)?;
        let get = |path: &str| {
            let request = minreq::get(url(path)).with_header("X-aws-ec2-metadata-token", &token);
            answer(request)
        };
        let roles = get(PATH)?;
        let role = roles.lines().next().unwrap_or_default().trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
        if role.is_empty() || !role.chars().all(plain) {
            return Err("this machine has no instance role".into());
        }
        let given = get(&format!("{PATH}{role}"))?;
        read(&given).ok_or_else(|| format!("the role {role} gives no access key"))
    }
}

fn answer(request: minreq::Request) -> Result<String, String> {
    let failed = |error: minreq::Error| format!("the metadata service does not answer: {error}");
    let answer = request.with_timeout(TIMEOUT).with_max_redirects(0).send_lazy();
    let answer = answer.map_err(failed)?;
    if answer.status_code != 200 {
        return Err(format!("the metadata service answers {}", answer.status_code));
    }
    let mut text = String::new();
    let read = Read::take(answer, MAX_ANSWER).read_to_string(&mut text);
    read.map_err(|error| format!("the metadata service's answer: {error}"))?;
    Ok(text)
}

fn read(text: &str) -> Option<Credentials> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let get = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    let expires = get("Expiration")?;
    // In whole seconds, as RFC 3339 in UTC.
    let expires = format!("{}.000000000Z", expires.strip_suffix('Z')?);
    let nanos = Timestamp::parse(expires.as_bytes())?.nanos();
    let after = std::time::Duration::from_nanos(u64::try_from(nanos).ok()?);
    let expires = SystemTime::UNIX_EPOCH.checked_add(after);
    let (id, secret, token) = (get("AccessKeyId")?, get("SecretAccessKey")?, get("Token"));
    Some(Credentials::new(id, secret, token, expires, "instance role"))
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.ask().map_err(CredentialsError::provider_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_gives_is_read_with_its_end() {
        let text = r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"s","Token":"t",
            "Expiration":"2026-11-21T10:00:00Z"}"#;
        let read = read(text).unwrap();
        assert_eq!((read.access_key_id(), read.session_token()), ("A", Some("t")));
        let end = read.expiry().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(end.as_secs(), 1_795_255_200);
        for bad in ["", "{}", r#"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"soon"}"#] {
            assert!(super::read(bad).is_none(), "{bad}");
        }
    }
}
