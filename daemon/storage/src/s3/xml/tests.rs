use proptest::prelude::*;

use super::*;

const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>evidence</Name><Prefix/><KeyMarker></KeyMarker>
  <IsTruncated>true</IsTruncated>
  <NextKeyMarker>b&amp;&#x63;</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>
  <Version><Key>a b</Key><VersionId>v1</VersionId><Size>12</Size><ETag>"x"</ETag>
    <Owner><ID>test</ID></Owner></Version>
  <DeleteMarker><Key>a&lt;</Key><VersionId>v2</VersionId></DeleteMarker>
</ListVersionsResult>"#;

#[test]
fn a_page_is_read_with_its_marks_and_where_the_next_begins() {
    let page = versions(PAGE.as_bytes()).unwrap();
    let first = Object { key: "a b".into(), version: Some("v1".into()), ..blank() };
    let mark = Object { key: "a<".into(), version: Some("v2".into()), deleted: true, ..blank() };
    assert_eq!(page.objects, [Object { bytes: 12, tag: "\"x\"".into(), ..first }, mark]);
    assert_eq!(page.next, Some(("b&c".into(), Some("v2".into()))));
    let last = PAGE.replace(">true<", ">false<");
    assert_eq!(versions(last.as_bytes()).unwrap().next, None);

    let page = "<ListBucketResult><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>\
                <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
                </ListBucketResult>";
    assert_eq!(folders(page.as_bytes()).unwrap(), (vec!["a/".into()], Some("t".into())));
}

#[test]
fn an_answer_of_another_kind_or_half_of_one_is_an_error() {
    let entity = "<!DOCTYPE a [<!ENTITY b \"c\">]><ListVersionsResult/>";
    let deep = format!("<ListVersionsResult>{}", "<a>".repeat(MAX_DEPTH + 1));
    let long = format!("<ListVersionsResult>{}", "<Version/>".repeat(MAX_ENTRIES + 1));
    for bad in [
        "",
        "{}",
        "<html></html>",
        entity,
        &deep,
        &long,
        "<ListVersionsResult>",
        "<ListVersionsResult><a></b></ListVersionsResult>",
        "<ListVersionsResult>&b;</ListVersionsResult>",
        "<ListVersionsResult>&#x110000;</ListVersionsResult>",
        "<ListVersionsResult><Version><Size>-1</Size></Version></ListVersionsResult>",
    ] {
        assert!(versions(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(versions(b"<ListVersionsResult>\xff</ListVersionsResult>").is_err());
    for end in 1..PAGE.len() {
        let (half, _) = PAGE.split_at(end);
        assert!(versions(half.as_bytes()).is_err(), "{half}");
    }
}

#[test]
fn what_a_bucket_has_and_what_keeps_an_object_is_read() {
    let on = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
               </ObjectLockConfiguration>";
    assert!(has_lock(on).unwrap());
    assert!(!has_lock(b"<ObjectLockConfiguration/>").unwrap());
    assert!(!has_versions(b"<VersioningConfiguration/>").unwrap());
    let kept = b"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>x</RetainUntilDate>\
                 </Retention>";
    assert_eq!(retention(kept).unwrap(), ("COMPLIANCE".into(), "x".into()));
}

#[test]
fn of_a_refusal_what_can_be_read_is_and_the_rest_is_nothing() {
    let said = error(b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>");
    assert_eq!(said, ("NoSuchKey".into(), "no".into()));
    assert_eq!(error(b"<html>503</html>"), Default::default());
    assert_eq!(error(b"<Error><Code>NoSuchKey</Code>"), Default::default());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0..PAGE.len(), byte: u8) {
        let _ = versions(&bytes);
        let mut page = PAGE.as_bytes().to_vec();
        page[at] = byte;
        let _ = (versions(&page), error(&page), folders(&page));
    }
}
