//! A server that takes the lock's headers and keeps nothing. A real one cannot
//! be brought to misbehave so; this one knows just the requests that we make.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    service::service_fn,
};

use super::harness::{StoreFixture, run};
use crate::common::programs::{PROVCTL, json, output_text};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lie {
    /// It says of each object that it keeps it, and removes it when asked to.
    Echo,
    /// It takes the header and says nothing of it afterwards.
    Silent,
    /// Its listings never end: each page leads to itself.
    Circle,
}

type Objects = Arc<Mutex<BTreeMap<String, (Bytes, String)>>>;

fn start(lie: Lie) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let objects = Objects::default();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let local = tokio::task::LocalSet::new();
            local
                .run_until(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let objects = objects.clone();
                        let serve =
                            service_fn(move |request| answer(request, objects.clone(), lie));
                        let stream = hyper_util::rt::TokioIo::new(stream);
                        tokio::task::spawn_local(async move {
                            let http = hyper::server::conn::http1::Builder::new();
                            let _ = http.serve_connection(stream, serve).await;
                        });
                    }
                })
                .await;
        });
    });
    address
}

async fn answer(
    request: Request<Incoming>,
    objects: Objects,
    lie: Lie,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (path, query) =
        (request.uri().path().to_owned(), request.uri().query().unwrap_or_default());
    let key = path.trim_start_matches("/evidence").trim_start_matches('/').to_owned();
    let xml = |text: &str| Response::new(Full::from(text.to_owned()));
    let enabled = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
                   </ObjectLockConfiguration>";
    let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let code = |status: u16, code: &str| {
        let body = format!("<Error><Code>{code}</Code></Error>");
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
    };
    let asks = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    Ok(match *request.method() {
        Method::GET if asks("object-lock") => xml(enabled),
        Method::GET if asks("versioning") => xml(versions),
        Method::GET if asks("retention") => code(404, "NoSuchObjectLockConfiguration"),
        Method::GET if asks("versions") => {
            let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix="));
            let prefix = prefix.unwrap_or_default().replace("%2F", "/");
            let objects = objects.lock().unwrap();
            let each = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
            let each: String = each
                .map(|(key, (bytes, _))| {
                    format!(
                        "<Version><Key>{key}</Key><VersionId>v1</VersionId><Size>{}</Size>\
                         <IsLatest>true</IsLatest></Version>",
                        bytes.len()
                    )
                })
                .collect();
            let more = match lie {
                Lie::Circle => {
                    "<IsTruncated>true</IsTruncated><NextKeyMarker>zzz</NextKeyMarker>\
                     <NextVersionIdMarker>v1</NextVersionIdMarker>"
                }
                _ => "<IsTruncated>false</IsTruncated>",
            };
            xml(&format!("<ListVersionsResult>{more}{each}</ListVersionsResult>"))
        }
        Method::GET if asks("list-type") => {
            let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix="));
            let prefix = prefix.unwrap_or_default().replace("%2F", "/");
            let objects = objects.lock().unwrap();
            let below = objects.keys().filter_map(|key| key.strip_prefix(&prefix));
            let folders: BTreeSet<&str> =
                below.filter_map(|name| Some(name.split_once('/')?.0)).collect();
            let each = folders.iter().map(|name| {
                format!("<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>")
            });
            let each: String = each.collect();
            let more = match lie {
                Lie::Circle => {
                    "<IsTruncated>true</IsTruncated>\
                     <NextContinuationToken>on</NextContinuationToken>"
                }
                _ => "<IsTruncated>false</IsTruncated>",
            };
            xml(&format!("<ListBucketResult>{more}{each}</ListBucketResult>"))
        }
        Method::GET => match objects.lock().unwrap().get(&key) {
            None => code(404, "NoSuchKey"),
            Some((bytes, until)) => {
                let mut answer = Response::new(Full::from(bytes.clone()));
                if lie == Lie::Echo {
                    let headers = answer.headers_mut();
                    headers.insert("x-amz-object-lock-mode", "COMPLIANCE".parse().unwrap());
                    let until = until.parse().unwrap();
                    headers.insert("x-amz-object-lock-retain-until-date", until);
                }
                answer
            }
        },
        Method::PUT => {
            let until = request.headers().get("x-amz-object-lock-retain-until-date");
            let until = until.unwrap().to_str().unwrap().to_owned();
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            objects.lock().unwrap().insert(key, (bytes, until));
            let mut answer = xml("");
            answer.headers_mut().insert("x-amz-version-id", "v1".parse().unwrap());
            answer
        }
        Method::DELETE => {
            objects.lock().unwrap().remove(&key);
            let mut answer = xml("");
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        _ => code(400, "InvalidRequest"),
    })
}

#[test]
fn a_server_that_ignores_the_lock_raises_an_alert_until_it_is_over() {
    for lie in [Lie::Echo, Lie::Silent] {
        let address = start(lie);
        let fixture = StoreFixture::new("");
        fixture.settings(&fixture.bucket(&format!("http://{address}"), "evidence"));
        let stored = fixture.store();
        assert_eq!(stored.status.code(), Some(1), "{lie:?}: {}", output_text(&stored));
        let run = &json(&stored)["stores"][0]["runs"][0];
        let all = run["objects"].as_u64().unwrap();
        assert_eq!((run["unlocked"].as_u64(), run["lock"].as_str()), (Some(all), Some("none")));
        // The copies are there all the same, and the auditor sees what keeps them.
        let access = fixture.access(&format!("http://{address}"));
        let access: Vec<&str> = access.iter().map(String::as_str).collect();
        let there = fixture.audit("s3://evidence/msp", &access);
        assert_eq!(there.code, 0, "{lie:?}: {there:?}");
        assert_eq!(there.codes.contains_key("store.unlocked"), lie == Lie::Silent, "{there:?}");
        fixture.tick("four");
        let alerts = fixture.alerts();
        assert!(alerts.iter().any(|(code, state)| code == "store.unlocked" && state == "raised"));
    }
}

#[test]
fn a_listing_that_leads_back_to_itself_ends_with_an_error() {
    let address = start(Lie::Circle);
    let fixture = StoreFixture::new("");
    fixture.settings(&fixture.bucket(&format!("http://{address}"), "evidence"));
    let stored = fixture.store();
    assert_ne!(stored.status.code(), Some(0), "{}", output_text(&stored));
    assert!(output_text(&stored).contains("lead back"), "{}", output_text(&stored));
    let access = fixture.access(&format!("http://{address}"));
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let there = run(PROVCTL, &[&["verify", "s3://evidence/msp"], &access[..]].concat());
    assert_eq!(there.status.code(), Some(75), "{}", output_text(&there));
    assert!(output_text(&there).contains("lead back"), "{}", output_text(&there));
}
