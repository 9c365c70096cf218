use super::*;

fn settings(endpoint: Option<&str>, bucket: &str, path_style: Option<bool>) -> S3 {
    let endpoint = endpoint.map(str::to_owned);
    S3::new(endpoint, bucket.into(), "", "eu-central-1".into(), path_style).unwrap()
}

fn http(settings: &S3) -> Http {
    let key = crate::access_key::AccessKey::new("A".into(), "s".into(), None, None);
    let keys = Keys::Fixed(std::sync::Arc::new(key));
    Http::new(settings, keys, Trusted::Nobody, Throttle::new(None)).unwrap()
}

#[test]
fn a_bucket_is_in_the_host_name_or_in_the_path() {
    for (endpoint, bucket, path_style, root) in [
        (None, "evidence", None, "https://evidence.s3.eu-central-1.amazonaws.com/"),
        (None, "a.evidence", None, "https://s3.eu-central-1.amazonaws.com/a.evidence"),
        (Some("http://127.0.0.1:9000"), "evidence", None, "http://127.0.0.1:9000/evidence"),
        (Some("http://127.0.0.1:9000"), "evidence", Some(false), "http://127.0.0.1:9000/evidence"),
        (
            Some("https://s3.example:8443/x/"),
            "evidence",
            None,
            "https://s3.example:8443/x/evidence",
        ),
        (Some("https://s3.example"), "evidence", Some(false), "https://evidence.s3.example/"),
        (Some("http://[::1]:9000"), "evidence", Some(false), "http://[::1]:9000/evidence"),
    ] {
        let root_of = super::root(&settings(endpoint, bucket, path_style)).unwrap();
        assert_eq!(root_of.as_str(), root);
    }
    let china = S3 { region: "cn-north-1".into(), ..settings(None, "evidence", None) };
    let root = super::root(&china).unwrap();
    assert_eq!(host(&root), "evidence.s3.cn-north-1.amazonaws.com.cn");
}

#[test]
fn an_address_is_what_was_signed_and_names_nothing_else() {
    let http = http(&settings(Some("http://127.0.0.1:9000"), "evidence", None));
    let query = vec![("versions", String::new()), ("key-marker", "a/ü +".into())];
    let url = http.url(&S3Request::get(None, query)).unwrap();
    assert_eq!(url.query(), Some("key-marker=a%2F%C3%BC%20%2B&versions="));
    let url = |key: &str| http.url(&S3Request::get(Some(key.into()), vec![]));
    assert_eq!(url("a b/%2e?#ü//~").unwrap().path(), "/evidence/a%20b/%252e%3F%23%C3%BC//~");
    for climbing in ["../other/a", "a/../../other", "a/.", ".."] {
        assert!(url(climbing).is_none(), "{climbing}");
    }
}

#[tokio::test]
async fn a_request_bears_its_signature_and_no_secret() {
    let http = http(&settings(Some("http://127.0.0.1:9000"), "evidence", None));
    let at = Operation { place: "s3://evidence".into(), doing: "x", key: None };
    let request = http.request(&S3Request::get(Some("a".into()), vec![]), &at).await.unwrap();
    let value = request.headers()["authorization"].to_str().unwrap();
    assert!(value.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,"), "{value}");
    assert!(!format!("{request:?}").contains("Signature="), "{request:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_answer_is_tried_three_times_and_what_is_refused_once() {
    let at = Operation { place: "s3://evidence".into(), doing: "x", key: None };
    for (status, times) in [(503, 3), (429, 3), (403, 1), (404, 1)] {
        let count = std::cell::Cell::new(0);
        let done: Result<(), _> = tried(async || {
            count.set(count.get() + 1);
            Err(refused(status, "", "", &at))
        })
        .await;
        assert!(done.is_err());
        assert_eq!(count.get(), times, "{status}");
    }
    let skewed = tried(async || Err::<(), _>(refused(403, "RequestTimeTooSkewed", "", &at))).await;
    assert!(matches!(skewed, Err(StoreError::Skewed(_))));
}
